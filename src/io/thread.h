/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and a pool for CPU work (key generation, signatures) so that neither loops nor reconcile workers stall on it. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/error.h"

/* Starts a joinable thread with all signals blocked, a 512 KiB stack and the name (15 characters at most). */
int thread_start(pthread_t *thread, const char *name, void *(*function)(void *), void *argument, struct error *err);

struct thread_pool;

/*
 * `threads` at most, one at least: more are started when jobs wait, and end when they had nothing to do for THREAD_POOL_IDLE_MS. A thread
 * that sleeps keeps what its jobs touched: its stack and the C library's cache of small pieces, together up to 250 KiB.
 */
enum { THREAD_POOL_IDLE_MS = 2000 };
struct thread_pool *thread_pool_new(const char *name, unsigned threads, struct error *err);
void thread_pool_free(struct thread_pool *pool); /* finishes what is queued, joins */
/* Runs function(argument) on a pool thread; never waits. */
void thread_pool_post(struct thread_pool *pool, void (*function)(void *), void *argument);
/* The same and waits for it. */
void thread_pool_call(struct thread_pool *pool, void (*function)(void *), void *argument);

/* Condition variables here use the monotonic clock. deadline: clock_monotonic_ms(), UINT64_MAX for none. */
void thread_condition_init(pthread_cond_t *condition);
/* 0 when signalled (or woken for nothing), ETIMEDOUT at the deadline. */
int thread_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ms);

static inline void thread_unlock(pthread_mutex_t **mutex)
{
	pthread_mutex_unlock(*mutex);
}
/* Holds the mutex until the end of the scope. */
#define THREAD_LOCKED(mutex) \
	pthread_mutex_t *thread_locked_scope __attribute__((cleanup(thread_unlock), unused)) = (pthread_mutex_lock(mutex), (mutex))
