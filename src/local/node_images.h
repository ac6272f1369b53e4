/* SPDX-License-Identifier: Apache-2.0 */
/* Which images a node's containerd has, and bringing in those of an image set that it lacks. */
#pragma once

#include "base/error.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "local/image_set.h"

struct node_image {
	char *reference, *digest;
	bool made_here; /* carries our label (image_set.h) */
};

struct node_image_list {
	struct node_image *items;
	size_t count;
};

/* Reads the table that `ctr images ls` prints: REF TYPE DIGEST SIZE PLATFORMS LABELS, columns of any width. */
int node_image_list_parse(const char *table, struct node_image_list *ret_list, struct error *err);
const struct node_image *node_image_list_find(const struct node_image_list *list, const char *reference);
void node_image_list_free(struct node_image_list *list);
#define NODE_IMAGE_LIST_CLEANUP __attribute__((cleanup(node_image_list_free)))

struct node_images_options {
	const char *ctr, *socket;
	struct image_set *set;
	bool (*wanted)(const struct image_entry *entry); /* NULL: every one */
	struct cancel *cancel;
	/* Called before each import with the title of the image and how many are to come. */
	void (*progress)(void *context, const char *title, size_t done, size_t total);
	void *context;
};

struct node_images_result {
	unsigned kept, imported, pulled; /* pulled: left to containerd, upstream's registry answers */
};

/* For `wanted`: what the admin cluster's own pods run, and what only tenants do. */
bool node_images_is_base(const struct image_entry *entry);
bool node_images_is_tenants(const struct image_entry *entry);
int node_image_list_read(const char *ctr, const char *socket, struct cancel *cancel, struct node_image_list *ret_list, struct error *err);
int node_images_bring(const struct node_images_options *options, struct node_images_result *ret_result, struct error *err);
