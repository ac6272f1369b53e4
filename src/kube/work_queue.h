/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work queue of a controller, with the semantics of client-go's: a key waits at most once, however often it is added; a key that is
 * being worked on and is added again waits until work_queue_done() and then runs again, so no key is ever on two workers and no addition
 * is lost; first in, first out. Delayed additions keep the earliest time. Failures of a key are spaced base * 2^n up to a maximum.
 *
 * Metrics under client-go's names with the label `name`: workqueue_depth, workqueue_adds_total, workqueue_queue_duration_seconds,
 * workqueue_work_duration_seconds, workqueue_retries_total, workqueue_unfinished_work_seconds,
 * workqueue_longest_running_processor_seconds. Any thread; nothing but get and drain waits. No thread of its own: waiting getters watch the
 * clock for delayed keys.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/cancel.h"

struct work_queue;

struct work_queue_options {
	const char *name;          /* for metrics; unique among live queues */
	uint64_t base_delay_ms;    /* 0: 5 */
	uint64_t maximum_delay_ms; /* 0: 1,000,000 (1000 s) */
};

struct work_queue *work_queue_new(const struct work_queue_options *options);
/* No other thread may be in a call. */
void work_queue_free(struct work_queue *queue);

/* Ignored after shutdown. */
void work_queue_add(struct work_queue *queue, const char *key);
void work_queue_add_after(struct work_queue *queue, const char *key, uint64_t milliseconds);
/* After the key's back-off, which doubles. */
void work_queue_add_rate_limited(struct work_queue *queue, const char *key);
/* Success: the key's back-off begins anew. */
void work_queue_forget(struct work_queue *queue, const char *key);
/* How often add_rate_limited was called since the last forget. */
unsigned work_queue_retries(const struct work_queue *queue, const char *key);

/*
 * Waits for a key and takes it: free() the text after work_queue_done(). NULL with ERROR_CANCELLED or ERROR_TIMEOUT from the token, or
 * ERROR_CANCELLED "queue is shut down" once it is shut down and empty.
 */
char *work_queue_get(struct work_queue *queue, struct cancel *cancel, struct error *err);
/* The key that this worker got is finished; if it was added meanwhile it waits again. Must be called for every key got. */
void work_queue_done(struct work_queue *queue, const char *key);

/* Takes no more keys; waiting delayed keys are dropped; getters get what is queued, then NULL. */
void work_queue_shutdown(struct work_queue *queue);
/* Shutdown, then waits until queued keys were taken and done (or -1 when cancelled). */
int work_queue_drain(struct work_queue *queue, struct cancel *cancel, struct error *err);

size_t work_queue_depth(const struct work_queue *queue); /* waiting, without delayed ones */
size_t work_queue_delayed(const struct work_queue *queue);
size_t work_queue_processing(const struct work_queue *queue);
/* Sets the gauges that depend on the present time (unfinished work, longest running): call before metrics_write(). */
void work_queue_update_metrics(struct work_queue *queue);
