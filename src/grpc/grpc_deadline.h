/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines of many calls on one timer: a binary heap, so that a call costs no timer of its own. On the loop. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/loop.h"

/* Part of what has the deadline; zero-initialise. */
struct grpc_deadline {
	uint64_t at_ms; /* clock_monotonic_ms(); UINT64_MAX: none */
	size_t place;   /* in the heap, from 1; 0: not in it */
};

struct grpc_deadlines {
	struct grpc_deadline **heap; /* [0] is not used */
	size_t count, capacity;
	struct loop_timer *timer;
	uint64_t armed_ms; /* when the timer fires; UINT64_MAX: not armed */
	void (*expired)(struct grpc_deadline *deadline, void *argument);
	void *argument;
};

/* expired: it is no longer in the heap; anything may be added and removed inside. */
void grpc_deadlines_init(struct grpc_deadlines *deadlines, struct loop *loop, void (*expired)(struct grpc_deadline *, void *),
                         void *argument);
void grpc_deadlines_add(struct grpc_deadlines *deadlines, struct grpc_deadline *deadline);
void grpc_deadlines_remove(struct grpc_deadlines *deadlines, struct grpc_deadline *deadline); /* when it is in it */
void grpc_deadlines_free(struct grpc_deadlines *deadlines);
