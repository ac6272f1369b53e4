/* SPDX-License-Identifier: Apache-2.0 */
#include "io/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STACK_BYTES = 512 * 1024, NAME_SIZE = 16 };

struct start {
	void *(*function)(void *);
	void *argument;
	char name[NAME_SIZE];
};

static void *run_thread(void *argument)
{
	struct start start = *(struct start *)argument;

	free(argument);
	(void)pthread_setname_np(pthread_self(), start.name);
	return start.function(start.argument);
}

int thread_start(pthread_t *thread, const char *name, void *(*function)(void *), void *argument, struct error *err)
{
	struct start *start = calloc(1, sizeof(*start));
	pthread_attr_t attributes;
	sigset_t all, before;
	int code;

	if (start == NULL)
		abort();
	start->function = function;
	start->argument = argument;
	(void)snprintf(start->name, sizeof(start->name), "%s", name);
	pthread_attr_init(&attributes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
#endif
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	code = pthread_create(thread, &attributes, run_thread, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (code != 0) {
		free(start);
		return error_set_errno(err, code, "start thread %s", name);
	}
	return 0;
}

struct job {
	struct job *next;
	void (*function)(void *);
	void *argument;
	bool *finished; /* of thread_pool_call; guarded by the pool's mutex */
};

struct thread_pool {
	pthread_mutex_t mutex;
	pthread_cond_t work, finished;
	struct job *first, **last;
	bool stopping;
	unsigned count;
	pthread_t threads[];
};

static void *pool_worker(void *argument)
{
	struct thread_pool *pool = argument;

	pthread_mutex_lock(&pool->mutex);
	for (;;) {
		struct job *job = pool->first;

		if (job == NULL) {
			if (pool->stopping)
				break;
			pthread_cond_wait(&pool->work, &pool->mutex);
			continue;
		}
		pool->first = job->next;
		if (pool->first == NULL)
			pool->last = &pool->first;
		pthread_mutex_unlock(&pool->mutex);
		job->function(job->argument);
		pthread_mutex_lock(&pool->mutex);
		if (job->finished != NULL) {
			*job->finished = true;
			pthread_cond_broadcast(&pool->finished);
		}
		free(job);
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

struct thread_pool *thread_pool_new(const char *name, unsigned threads, struct error *err)
{
	struct thread_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));

	if (pool == NULL)
		abort();
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->finished, NULL);
	pool->last = &pool->first;
	for (unsigned i = 0; i < threads; i++) {
		if (thread_start(&pool->threads[i], name, pool_worker, pool, err) < 0) {
			thread_pool_free(pool);
			return NULL;
		}
		pool->count++;
	}
	return pool;
}

void thread_pool_free(struct thread_pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->mutex);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->mutex);
	for (unsigned i = 0; i < pool->count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->finished);
	pthread_mutex_destroy(&pool->mutex);
	free(pool);
}

static void post(struct thread_pool *pool, void (*function)(void *), void *argument, bool *finished)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		abort();
	job->function = function;
	job->argument = argument;
	job->finished = finished;
	THREAD_LOCKED(&pool->mutex);
	*pool->last = job;
	pool->last = &job->next;
	pthread_cond_signal(&pool->work);
}

void thread_pool_post(struct thread_pool *pool, void (*function)(void *), void *argument)
{
	post(pool, function, argument, NULL);
}

void thread_pool_call(struct thread_pool *pool, void (*function)(void *), void *argument)
{
	bool finished = false;

	post(pool, function, argument, &finished);
	THREAD_LOCKED(&pool->mutex);
	while (!finished)
		pthread_cond_wait(&pool->finished, &pool->mutex);
}

void thread_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

int thread_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline_ms)
{
	struct timespec when = { .tv_sec = (time_t)(deadline_ms / 1000), .tv_nsec = (long)(deadline_ms % 1000) * 1000000 };

	if (deadline_ms == UINT64_MAX)
		return pthread_cond_wait(condition, mutex);
	return pthread_cond_timedwait(condition, mutex, &when);
}
