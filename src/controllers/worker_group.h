/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A work queue with its worker threads: what every controller is made of. A key is never on two workers. What happens after a
 * reconcile follows from its error's class:
 *
 *   none              the key's back-off begins anew
 *   pending           nothing: an event wakes the key; a safety net looks again after PENDING_RECHECK_MS
 *   conflict, transient, timeout, system, exists, expired   back-off, 50 ms doubling to 60 s (or what the server asked for)
 *   forbidden         30 s
 *   invalid, corrupt, exhausted, not found, bug   only a change helps; looked at again after 5 min
 *   cancelled         nothing when stopping, else back-off
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/cancel.h"

enum {
	WORKER_BASE_DELAY_MS = 50,
	WORKER_MAXIMUM_DELAY_MS = 60 * 1000,
	WORKER_FORBIDDEN_DELAY_MS = 30 * 1000,
	WORKER_INVALID_DELAY_MS = 5 * 60 * 1000,
	WORKER_PENDING_RECHECK_MS = 10 * 60 * 1000,
};

struct heap_trim;
struct worker_group;

struct worker_group_options {
	const char *name; /* of the controller in metrics and logs */
	unsigned workers;
	uint64_t timeout_ms;    /* of one reconcile */
	struct cancel *stop;    /* parent of every reconcile's token */
	struct heap_trim *heap; /* told of every reconcile's end; may be NULL */
	/* On a worker thread. It reports its own failure to people (status, Event); the group logs it and plans the next attempt. */
	int (*reconcile)(const char *key, struct cancel *cancel, void *argument, struct error *err);
	void *argument;
};

struct worker_group *worker_group_new(const struct worker_group_options *options);
int worker_group_start(struct worker_group *group, struct error *err);
/* Takes no more keys and waits for reconciles under way until the deadline (clock_monotonic_ms()); false when some are still running. */
bool worker_group_stop(struct worker_group *group, uint64_t deadline_ms);
/*
 * For the time without the Lease: cancels reconciles under way and waits until none is left (false: not by the deadline). Keys keep
 * collecting. resume goes on with them.
 */
bool worker_group_pause(struct worker_group *group, uint64_t deadline_ms);
void worker_group_resume(struct worker_group *group);
/* Waits for the workers' end; keys may still be added, nobody takes them. */
void worker_group_join(struct worker_group *group);
void worker_group_free(struct worker_group *group); /* joins; nobody may add any more */

/* Any thread; before the start they only collect. */
void worker_group_add(struct worker_group *group, const char *key);
void worker_group_add_after(struct worker_group *group, const char *key, uint64_t milliseconds);
void worker_group_add_rate_limited(struct worker_group *group, const char *key);

/* The delay that an error asks for; UINT64_MAX: none, 0: the key's own back-off. Pure. */
uint64_t worker_retry_delay(const struct error *err);
void worker_group_update_metrics(struct worker_group *group);
