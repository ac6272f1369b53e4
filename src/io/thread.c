/* SPDX-License-Identifier: Apache-2.0 */
#include "io/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

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

/* A thread that ended keeps its place until the next one needs it or the pool ends: somebody has to join it. */
enum place_state { PLACE_EMPTY, PLACE_RUNNING, PLACE_ENDED };

struct place {
	struct thread_pool *pool; /* NULL: never used; only whoever adds threads writes it */
	pthread_t thread;
	enum place_state state;
};

struct thread_pool {
	pthread_mutex_t mutex;
	pthread_cond_t work, finished;
	struct job *first, **last;
	char name[NAME_SIZE];
	bool stopping;
	unsigned count, running, waiting, queued; /* places; threads; those of them without a job; jobs nobody took yet */
	struct place places[];
};

/* Mutex held. False: this thread has had nothing to do for so long that it ends; the last one stays. */
static bool wait_for_job(struct thread_pool *pool)
{
	uint64_t deadline_ms = pool->running > 1 ? clock_monotonic_ms() + THREAD_POOL_IDLE_MS : UINT64_MAX;
	int code;

	pool->waiting++;
	code = thread_condition_wait(&pool->work, &pool->mutex, deadline_ms);
	pool->waiting--;
	return code != ETIMEDOUT || pool->first != NULL || pool->running == 1;
}

static void run_job(struct thread_pool *pool)
{
	struct job *job = pool->first;

	pool->first = job->next;
	if (pool->first == NULL)
		pool->last = &pool->first;
	pool->queued--;
	pthread_mutex_unlock(&pool->mutex);
	job->function(job->argument);
	pthread_mutex_lock(&pool->mutex);
	if (job->finished != NULL) {
		*job->finished = true;
		pthread_cond_broadcast(&pool->finished);
	}
	free(job);
}

static void *pool_worker(void *argument)
{
	struct place *place = argument;
	struct thread_pool *pool = place->pool;
	bool wanted = true;

	pthread_mutex_lock(&pool->mutex);
	while (wanted) {
		if (pool->first != NULL)
			run_job(pool);
		else if (pool->stopping)
			wanted = false;
		else
			wanted = wait_for_job(pool);
	}
	pool->running--;
	place->state = PLACE_ENDED;
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

/* Mutex held. A thread that says it ended takes no lock any more, so it can be joined. */
static int add_thread(struct thread_pool *pool, struct error *err)
{
	struct place *place = pool->places;

	while (place->state == PLACE_RUNNING)
		place++;
	if (place->state == PLACE_ENDED)
		(void)pthread_join(place->thread, NULL);
	*place = (struct place){ .pool = pool, .state = PLACE_RUNNING };
	pool->running++;
	if (thread_start(&place->thread, pool->name, pool_worker, place, err) == 0)
		return 0;
	*place = (struct place){ .state = PLACE_EMPTY };
	pool->running--;
	return -1;
}

struct thread_pool *thread_pool_new(const char *name, unsigned threads, struct error *err)
{
	struct thread_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->places[0]));
	int code;

	if (pool == NULL)
		abort();
	pthread_mutex_init(&pool->mutex, NULL);
	thread_condition_init(&pool->work);
	pthread_cond_init(&pool->finished, NULL);
	pool->last = &pool->first;
	pool->count = threads;
	(void)snprintf(pool->name, sizeof(pool->name), "%s", name);
	pthread_mutex_lock(&pool->mutex);
	code = add_thread(pool, err);
	pthread_mutex_unlock(&pool->mutex);
	if (code == 0)
		return pool;
	thread_pool_free(pool);
	return NULL;
}

void thread_pool_free(struct thread_pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->mutex);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->mutex);
	/* No thread is added any more: a place that is taken stays so. */
	for (unsigned i = 0; i < pool->count; i++)
		if (pool->places[i].pool != NULL)
			pthread_join(pool->places[i].thread, NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->finished);
	pthread_mutex_destroy(&pool->mutex);
	free(pool);
}

static void post(struct thread_pool *pool, void (*function)(void *), void *argument, bool *finished)
{
	struct job *job = calloc(1, sizeof(*job));
	struct error ignored; /* those that run do the job, later */

	if (job == NULL)
		abort();
	job->function = function;
	job->argument = argument;
	job->finished = finished;
	THREAD_LOCKED(&pool->mutex);
	*pool->last = job;
	pool->last = &job->next;
	pool->queued++;
	if (pool->queued > pool->waiting && pool->running < pool->count && !pool->stopping)
		(void)add_thread(pool, &ignored);
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
