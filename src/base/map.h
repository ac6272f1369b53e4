/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from strings to pointers. Keys are copied; values belong to the caller. Not thread-safe. Zero-initialise, end with
 * map_free(). Removing the current entry while iterating is allowed; inserting is not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct map_entry {
	char *key;
	void *value;
	struct map_entry *next;
	size_t hash;
};

struct map {
	struct map_entry **buckets;
	size_t bucket_count, count;
};

void *map_get(const struct map *map, const char *key);        /* NULL when absent */
void *map_put(struct map *map, const char *key, void *value); /* the value replaced, or NULL */
void *map_remove(struct map *map, const char *key);           /* the value removed, or NULL */
void map_free(struct map *map, void (*free_value)(void *));   /* free_value may be NULL */

/* Unordered: for (struct map_entry *e = map_first(m); e; e = map_next(m, e)); fetch the next before removing e. */
struct map_entry *map_first(const struct map *map);
struct map_entry *map_next(const struct map *map, const struct map_entry *entry);
