/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_deadline.h"

#include <stdlib.h>

#include "base/clock.h"

static void put(struct grpc_deadlines *deadlines, size_t place, struct grpc_deadline *deadline)
{
	deadlines->heap[place] = deadline;
	deadline->place = place;
}

static void rise(struct grpc_deadlines *deadlines, size_t place, struct grpc_deadline *deadline)
{
	while (place > 1 && deadlines->heap[place / 2]->at_ms > deadline->at_ms) {
		put(deadlines, place, deadlines->heap[place / 2]);
		place /= 2;
	}
	put(deadlines, place, deadline);
}

static void sink(struct grpc_deadlines *deadlines, size_t place, struct grpc_deadline *deadline)
{
	for (size_t child; (child = place * 2) <= deadlines->count; place = child) {
		if (child < deadlines->count && deadlines->heap[child + 1]->at_ms < deadlines->heap[child]->at_ms)
			child++;
		if (deadlines->heap[child]->at_ms >= deadline->at_ms)
			break;
		put(deadlines, place, deadlines->heap[child]);
	}
	put(deadlines, place, deadline);
}

/* Only ever earlier: a timer that fires for nothing is cheaper than one that is moved with every call. */
static void rearm(struct grpc_deadlines *deadlines)
{
	uint64_t first = deadlines->count > 0 ? deadlines->heap[1]->at_ms : UINT64_MAX;

	if (first >= deadlines->armed_ms)
		return;
	deadlines->armed_ms = first;
	loop_timer_arm(deadlines->timer, clock_until(first) + 1);
}

void grpc_deadlines_add(struct grpc_deadlines *deadlines, struct grpc_deadline *deadline)
{
	if (deadline->at_ms == UINT64_MAX || deadline->place != 0)
		return;
	if (deadlines->count + 1 >= deadlines->capacity) {
		deadlines->capacity = deadlines->capacity ? deadlines->capacity * 2 : 64;
		deadlines->heap = realloc(deadlines->heap, deadlines->capacity * sizeof(*deadlines->heap));
		if (deadlines->heap == NULL)
			abort();
	}
	rise(deadlines, ++deadlines->count, deadline);
	rearm(deadlines);
}

void grpc_deadlines_remove(struct grpc_deadlines *deadlines, struct grpc_deadline *deadline)
{
	size_t place = deadline->place;
	struct grpc_deadline *last;

	if (place == 0)
		return;
	deadline->place = 0;
	last = deadlines->heap[deadlines->count--];
	if (last == deadline)
		return;
	if (place > 1 && deadlines->heap[place / 2]->at_ms > last->at_ms)
		rise(deadlines, place, last);
	else
		sink(deadlines, place, last);
}

static void on_timer(void *argument)
{
	struct grpc_deadlines *deadlines = argument;
	uint64_t now = clock_monotonic_ms();

	deadlines->armed_ms = UINT64_MAX;
	while (deadlines->count > 0 && deadlines->heap[1]->at_ms <= now) {
		struct grpc_deadline *first = deadlines->heap[1];

		grpc_deadlines_remove(deadlines, first);
		deadlines->expired(first, deadlines->argument);
	}
	rearm(deadlines);
}

void grpc_deadlines_init(struct grpc_deadlines *deadlines, struct loop *loop, void (*expired)(struct grpc_deadline *, void *),
                         void *argument)
{
	*deadlines = (struct grpc_deadlines){ .armed_ms = UINT64_MAX, .expired = expired, .argument = argument };
	deadlines->timer = loop_timer_new(loop, on_timer, deadlines);
}

void grpc_deadlines_free(struct grpc_deadlines *deadlines)
{
	loop_timer_free(deadlines->timer);
	free(deadlines->heap);
}
