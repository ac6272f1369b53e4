/* SPDX-License-Identifier: Apache-2.0 */
#include "io/cancel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/thread.h"

struct cancel_callback {
	struct cancel_callback *next;
	void (*function)(void *);
	void *argument;
};

struct cancel {
	struct cancel *parent;
	struct cancel_callback *link; /* our registration with the parent */
	uint64_t deadline;
	atomic_bool triggered;
	int descriptor;
	pthread_mutex_t mutex; /* guards callbacks and is held while they run, so that unregistering waits for them */
	struct cancel_callback *callbacks;
};

static void parent_triggered(void *argument)
{
	cancel_trigger(argument);
}

struct cancel *cancel_new(struct cancel *parent, uint64_t deadline_ms)
{
	struct cancel *cancel = calloc(1, sizeof(*cancel));

	if (cancel == NULL)
		abort();
	cancel->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cancel->descriptor < 0)
		abort();
	pthread_mutex_init(&cancel->mutex, NULL);
	cancel->parent = parent;
	cancel->deadline = deadline_ms;
	if (parent != NULL) {
		if (parent->deadline < deadline_ms)
			cancel->deadline = parent->deadline;
		cancel->link = cancel_register(parent, parent_triggered, cancel);
	}
	return cancel;
}

void cancel_free(struct cancel *cancel)
{
	if (cancel == NULL)
		return;
	if (cancel->parent != NULL)
		cancel_unregister(cancel->parent, cancel->link);
	while (cancel->callbacks != NULL) {
		struct cancel_callback *callback = cancel->callbacks;

		cancel->callbacks = callback->next;
		free(callback);
	}
	pthread_mutex_destroy(&cancel->mutex);
	(void)close(cancel->descriptor);
	free(cancel);
}

void cancel_trigger(struct cancel *cancel)
{
	uint64_t one = 1;

	THREAD_LOCKED(&cancel->mutex);
	if (atomic_exchange(&cancel->triggered, true))
		return;
	(void)!write(cancel->descriptor, &one, sizeof(one));
	for (struct cancel_callback *callback = cancel->callbacks; callback != NULL; callback = callback->next)
		callback->function(callback->argument);
}

bool cancel_is_triggered(const struct cancel *cancel)
{
	if (cancel == NULL)
		return false;
	return atomic_load(&cancel->triggered) || clock_until(cancel->deadline) == 0;
}

uint64_t cancel_deadline(const struct cancel *cancel)
{
	return cancel ? cancel->deadline : UINT64_MAX;
}

int cancel_check(const struct cancel *cancel, struct error *err)
{
	if (cancel == NULL)
		return 0;
	if (atomic_load(&cancel->triggered))
		return error_set(err, ERROR_CANCELLED, "cancelled");
	if (clock_until(cancel->deadline) == 0)
		return error_set(err, ERROR_TIMEOUT, "the deadline has passed");
	return 0;
}

int cancel_descriptor(const struct cancel *cancel)
{
	return cancel ? cancel->descriptor : -1;
}

int cancel_sleep(const struct cancel *cancel, uint64_t milliseconds, struct error *err)
{
	uint64_t end = clock_monotonic_ms() + milliseconds;

	if (cancel_deadline(cancel) < end)
		end = cancel_deadline(cancel);
	for (;;) {
		struct pollfd ready = { .fd = cancel_descriptor(cancel), .events = POLLIN };
		uint64_t left;

		if (cancel_check(cancel, err) < 0)
			return -1;
		left = clock_until(end);
		if (left == 0)
			return 0;
		if (poll(&ready, 1, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return error_set_errno(err, errno, "poll");
	}
}

struct cancel_callback *cancel_register(struct cancel *cancel, void (*function)(void *), void *argument)
{
	struct cancel_callback *callback = calloc(1, sizeof(*callback));

	if (callback == NULL)
		abort();
	callback->function = function;
	callback->argument = argument;
	THREAD_LOCKED(&cancel->mutex);
	callback->next = cancel->callbacks;
	cancel->callbacks = callback;
	if (atomic_load(&cancel->triggered))
		function(argument);
	return callback;
}

void cancel_unregister(struct cancel *cancel, struct cancel_callback *callback)
{
	THREAD_LOCKED(&cancel->mutex);
	for (struct cancel_callback **place = &cancel->callbacks; *place != NULL; place = &(*place)->next) {
		if (*place == callback) {
			*place = callback->next;
			free(callback);
			return;
		}
	}
}
