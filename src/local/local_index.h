/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What environments of one state folder share, in ROOT/index.json: which block of addresses each has, which are up, and kernel settings
 * that were changed for them, to be put back when the last one goes down. Held under ROOT/index.lock, for moments only.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "local/local_address.h"

struct local_index {
	char *path; /* of index.json */
	int lock;   /* descriptor of the lock, -1 when not held */
	json_t *root;
};

/* Makes the folder when `create`, takes the lock, reads. A damaged index is an error that names the file and the remedy. */
int local_index_open(const char *state_root, bool create, struct local_index *ret_index, struct error *err);
int local_index_save(struct local_index *index, struct error *err);
/* Lets the lock go without saving. */
void local_index_close(struct local_index *index);
#define LOCAL_INDEX_CLEANUP __attribute__((cleanup(local_index_close)))

/* The block of an environment, or false when it is not listed. */
bool local_index_block(const struct local_index *index, const char *name, struct local_cidr *ret_block);
/*
 * Gives the environment a block: the one it has; `wanted` (NULL: any) otherwise; else the first that no environment of this folder has
 * and no route overlaps. ERROR_EXISTS names what the block collides with.
 */
int local_index_allocate(struct local_index *index, const char *name, const struct local_cidr *wanted,
                         const struct local_route_list *routes, struct local_cidr *ret_block, struct error *err);
void local_index_set_up(struct local_index *index, const char *name, bool up);
bool local_index_any_up(const struct local_index *index);
void local_index_remove(struct local_index *index, const char *name);
/* Names of all environments, in the order of their making. */
void local_index_names(const struct local_index *index, struct string_list *names);
