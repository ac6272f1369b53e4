/* SPDX-License-Identifier: Apache-2.0 */
#include "io/heap_trim.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "io/loop.h"

struct heap_trim {
	struct loop *loop;
	uint64_t pace_ms;
	void (*trim)(void *argument);
	void *argument;
	atomic_uint notes;
	atomic_bool due;          /* the timer is armed or about to be */
	struct loop_timer *timer; /* these two: of the loop's thread */
	unsigned seen;            /* notes when the timer was armed */
};

static void give_back(void *argument)
{
	(void)malloc_trim(0);
}

static void arm(void *argument)
{
	struct heap_trim *heap = argument;

	heap->seen = atomic_load(&heap->notes);
	loop_timer_arm(heap->timer, heap->pace_ms);
}

/* Work that ended since the timer was armed gets its whole pace, too: once more, later. */
static void on_due(void *argument)
{
	struct heap_trim *heap = argument;

	heap->trim(heap->argument);
	if (atomic_load(&heap->notes) == heap->seen)
		atomic_store(&heap->due, false);
	/* The second look is for a note that found `due` still set. */
	if (atomic_load(&heap->notes) != heap->seen) {
		atomic_store(&heap->due, true);
		arm(heap);
	}
}

static void make_timer(void *argument)
{
	struct heap_trim *heap = argument;

	heap->timer = loop_timer_new(heap->loop, on_due, heap);
}

static void free_timer(void *argument)
{
	struct heap_trim *heap = argument;

	loop_timer_free(heap->timer);
}

struct heap_trim *heap_trim_new(struct loop *loop, uint64_t pace_ms, void (*trim)(void *argument), void *argument)
{
	struct heap_trim *heap = calloc(1, sizeof(*heap));

	if (heap == NULL)
		abort();
	heap->loop = loop;
	heap->pace_ms = pace_ms;
	heap->trim = trim != NULL ? trim : give_back;
	heap->argument = argument;
	atomic_init(&heap->notes, 0);
	atomic_init(&heap->due, false);
	loop_call(loop, make_timer, heap);
	return heap;
}

void heap_trim_note(struct heap_trim *heap)
{
	atomic_fetch_add(&heap->notes, 1);
	if (!atomic_exchange(&heap->due, true))
		loop_post(heap->loop, arm, heap);
}

void heap_trim_free(struct heap_trim *heap)
{
	if (heap == NULL)
		return;
	loop_call(heap->loop, free_timer, heap); /* after what was posted */
	free(heap);
}
