/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the log folder: names, making, recycling, removing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { SEGMENT_MAGIC_BYTES = 8, SEGMENT_SPARE_MAXIMUM = 2 };
extern const char segment_magic[SEGMENT_MAGIC_BYTES];

struct segment_list {
	uint64_t *first; /* ascending first sequences */
	size_t count, capacity;
	size_t spares; /* files "spare-N" ready to be written over */
};

void segment_list_add(struct segment_list *list, uint64_t first_sequence);
int segment_list_read(struct segment_list *list, const char *directory, struct error *err); /* from the folder; [spares] too */
void segment_list_free(struct segment_list *list);
/* Those whose records are all <= sequence become spares or go; `current` is the first sequence of the segment in use. */
void segment_list_trim(struct segment_list *list, const char *directory, uint64_t current, uint64_t sequence);

char *segment_path(const char *directory, uint64_t first_sequence); /* free() */
/* Opens a segment for writing: a spare renamed, or a new file with its space allocated. The name is durable on return. */
int segment_open(const char *directory, uint64_t first_sequence, size_t bytes, struct segment_list *list, struct error *err);
