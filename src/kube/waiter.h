/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the room: waiting on a condition variable until it is signalled, a deadline passes or a cancel token is triggered. The waiter
 * registers with the token before the mutex is taken and unregisters after it is released: declare it before THREAD_LOCKED, so that the
 * scope ends in that order (the token's callback takes the mutex).
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/error.h"
#include "io/cancel.h"

struct kube_waiter_target {
	pthread_mutex_t *mutex;
	pthread_cond_t *condition;
};

struct kube_waiter {
	struct cancel *cancel;
	struct cancel_callback *callback;
	struct kube_waiter_target *target;
};

struct kube_waiter kube_waiter_begin(struct cancel *cancel, pthread_mutex_t *mutex, pthread_cond_t *condition);
void kube_waiter_end(struct kube_waiter *waiter);
#define KUBE_WAITER_CLEANUP __attribute__((cleanup(kube_waiter_end)))
/* With the mutex held. 0: look again (signalled, or deadline_ms passed). -1 with *err: the token ended it. */
int kube_waiter_wait(struct kube_waiter *waiter, uint64_t deadline_ms, struct error *err);
