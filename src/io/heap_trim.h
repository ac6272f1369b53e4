/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives memory back to the system after work. What a burst freed lies between things that stay, where the C library keeps it for ever:
 * its own threshold looks at the end of the main heap alone. A call costs about a millisecond for each few MiB of heap, so it is made once a
 * pace at most, the last time a whole pace after the last work, and never at rest.
 */
#pragma once

#include <stdint.h>

struct heap_trim;
struct loop;

/* trim: what gives memory back, called on the loop; NULL: malloc_trim() of every heap. */
struct heap_trim *heap_trim_new(struct loop *loop, uint64_t pace_ms, void (*trim)(void *argument), void *argument);
/* Work that took memory has ended. Any thread; two atomic operations when a trim is due already. */
void heap_trim_note(struct heap_trim *heap);
/* Not on the loop, and before it stops; nobody may note any more. NULL is allowed. */
void heap_trim_free(struct heap_trim *heap);
