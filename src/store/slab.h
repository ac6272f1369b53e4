/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for many small things that live long: keys and their versions. They lie apart from values, answers and events, which come and go; else
 * each page of those would hold something that stays, and nothing would ever return to the system. Pages of one size of thing, each returned
 * when its last thing is freed. One thread at a time. Zeroed is empty.
 */
#pragma once

#include <stddef.h>

enum { SLAB_STEP = 16, SLAB_LARGEST = 1024, SLAB_CLASSES = SLAB_LARGEST / SLAB_STEP };

struct slab_page;

struct slab {
	struct slab_page *room[SLAB_CLASSES]; /* pages with a free place */
};

void *slab_alloc(struct slab *slab, size_t size);            /* not zeroed; never NULL. Larger than SLAB_LARGEST: malloc() */
void slab_free(struct slab *slab, void *thing, size_t size); /* the size it was allocated with */
