/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cooperative cancellation with a deadline. Passed to every call that may wait. A child is cancelled with its parent and never outlives
 * its parent's deadline. Thread-safe; NULL means "never cancelled, no deadline".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct cancel;

/* Deadline in milliseconds of clock_monotonic_ms(), UINT64_MAX for none. parent may be NULL; it must outlive the child. */
struct cancel *cancel_new(struct cancel *parent, uint64_t deadline_ms);
void cancel_free(struct cancel *cancel);
void cancel_trigger(struct cancel *cancel);
bool cancel_is_triggered(const struct cancel *cancel); /* also true when the deadline has passed */
uint64_t cancel_deadline(const struct cancel *cancel); /* the nearest of it and its parents' */
/* 0, or -1 with ERROR_CANCELLED or ERROR_TIMEOUT. */
int cancel_check(const struct cancel *cancel, struct error *err);
/* Readable when triggered (not at the deadline): for poll(). -1 for NULL. */
int cancel_descriptor(const struct cancel *cancel);
/* Sleeps; ends early with -1 when triggered or at its deadline. */
int cancel_sleep(const struct cancel *cancel, uint64_t milliseconds, struct error *err);
/*
 * Calls function(argument) once, on the thread that triggers, when the token is triggered (not at the deadline); at once when it already
 * was. The function must be quick and must not call back into this token. Returns a handle for cancel_unregister(), which waits for a
 * call under way.
 */
struct cancel_callback *cancel_register(struct cancel *cancel, void (*function)(void *), void *argument);
void cancel_unregister(struct cancel *cancel, struct cancel_callback *callback);

static inline void cancel_cleanup(struct cancel **cancel)
{
	cancel_free(*cancel);
}
#define CANCEL_CLEANUP __attribute__((cleanup(cancel_cleanup)))
