/* SPDX-License-Identifier: Apache-2.0 */
/* Collects what goes into an image. Strings are copied into the arena, which the list does not own. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "local/image_archive.h"

struct image_contents {
	struct arena *arena;
	struct image_file *files; /* free() by image_contents_free() */
	size_t count, capacity;
};

void image_contents_free(struct image_contents *contents);
/* A path that is there already is not added again. */
void image_contents_add(struct image_contents *contents, enum image_file_type type, const char *path, const char *source, mode_t mode);
/* /tmp, /etc/passwd and /etc/group with root and nonroot (65532), /etc/nsswitch.conf. */
void image_contents_add_base(struct image_contents *contents);
/* The authorities that this machine trusts, at /etc/ssl/certs/ca-certificates.crt. ERROR_NOT_FOUND when it has none. */
int image_contents_add_authorities(struct image_contents *contents, struct error *err);
/* A program and, where it is dynamic, its loader and libraries. */
int image_contents_add_program(struct image_contents *contents, const char *program, const char *path, struct error *err);
/*
 * nft and iptables of this machine with what they load: kube-proxy's tools, which upstream's image has too. What is not installed is
 * left out.
 */
int image_contents_add_firewall_tools(struct image_contents *contents, struct error *err);

#define IMAGE_CONTENTS_CLEANUP __attribute__((cleanup(image_contents_free)))
