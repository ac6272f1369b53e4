/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/worker_group.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "io/heap_trim.h"
#include "io/thread.h"
#include "kube/work_queue.h"

enum { WORKERS_MAXIMUM = 64 };

static const char *const result_labels[] = { "controller", "result", NULL };
static const char *const time_labels[] = { "controller", NULL };
static const double time_buckets[] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 };
static struct metric_family results = {
	.name = "controller_runtime_reconcile_total",
	.help = "Reconciles by controller and result.",
	.type = METRIC_COUNTER,
	.labels = result_labels,
};
static struct metric_family errors = {
	.name = "controller_runtime_reconcile_errors_total",
	.help = "Reconciles that failed, by controller.",
	.type = METRIC_COUNTER,
	.labels = time_labels,
};
static struct metric_family active_workers = {
	.name = "controller_runtime_active_workers",
	.help = "Reconciles under way, by controller.",
	.type = METRIC_GAUGE,
	.labels = time_labels,
};
static struct metric_family maximum_workers = {
	.name = "controller_runtime_max_concurrent_reconciles",
	.help = "Workers, by controller.",
	.type = METRIC_GAUGE,
	.labels = time_labels,
};
static struct metric_family durations = {
	.name = "controller_runtime_reconcile_time_seconds",
	.help = "Time of one reconcile.",
	.type = METRIC_HISTOGRAM,
	.labels = time_labels,
	.buckets = time_buckets,
	.bucket_count = ARRAY_LENGTH(time_buckets),
};

struct worker_group {
	struct worker_group_options options;
	struct work_queue *queue;
	pthread_t threads[WORKERS_MAXIMUM];
	unsigned started;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t changed;
	struct cancel *epoch; /* parent of every reconcile's token; a child of options.stop, new after each pause */
	bool paused, ended;
	unsigned active;
};

struct worker_group *worker_group_new(const struct worker_group_options *options)
{
	struct worker_group *group = calloc(1, sizeof(*group));

	if (!group)
		abort();
	group->options = *options;
	if (group->options.workers < 1)
		group->options.workers = 1;
	if (group->options.workers > WORKERS_MAXIMUM)
		group->options.workers = WORKERS_MAXIMUM;
	(void)pthread_mutex_init(&group->mutex, NULL);
	thread_condition_init(&group->changed);
	group->epoch = cancel_new(options->stop, UINT64_MAX);
	group->queue = work_queue_new(&(struct work_queue_options){
		.name = options->name, .base_delay_ms = WORKER_BASE_DELAY_MS, .maximum_delay_ms = WORKER_MAXIMUM_DELAY_MS });
	metric_register(&results);
	metric_register(&durations);
	metric_add(&errors, METRIC_VALUES(options->name), 0);
	metric_set(&active_workers, METRIC_VALUES(options->name), 0);
	metric_set(&maximum_workers, METRIC_VALUES(options->name), group->options.workers);
	return group;
}

uint64_t worker_retry_delay(const struct error *err)
{
	if (err->retry_after_ms > 0)
		return err->retry_after_ms;
	switch (err->class) {
	case ERROR_NONE:
		return UINT64_MAX;
	case ERROR_PENDING:
		return WORKER_PENDING_RECHECK_MS;
	case ERROR_FORBIDDEN:
		return WORKER_FORBIDDEN_DELAY_MS;
	case ERROR_INVALID:
	case ERROR_CORRUPT:
	case ERROR_EXHAUSTED:
	case ERROR_NOT_FOUND:
	case ERROR_BUG:
		return WORKER_INVALID_DELAY_MS;
	case ERROR_TRANSIENT:
	case ERROR_TIMEOUT:
	case ERROR_CONFLICT:
	case ERROR_EXISTS:
	case ERROR_EXPIRED:
	case ERROR_CANCELLED:
	case ERROR_SYSTEM:
		return 0;
	}
	return 0;
}

static void plan_next(struct worker_group *group, const char *key, const struct error *err)
{
	uint64_t delay = worker_retry_delay(err);

	if (err->class == ERROR_NONE || err->class == ERROR_PENDING)
		work_queue_forget(group->queue, key);
	if (delay == 0)
		work_queue_add_rate_limited(group->queue, key);
	else if (delay != UINT64_MAX)
		work_queue_add_after(group->queue, key, delay);
}

static const char *result_name(const struct error *err)
{
	if (err->class == ERROR_NONE)
		return "success";
	return err->class == ERROR_PENDING ? "requeue_after" : "error";
}

static void log_result(const struct worker_group *group, const char *key, const struct error *err)
{
	if (err->class == ERROR_NONE)
		return;
	if (err->class == ERROR_PENDING || err->class == ERROR_CONFLICT || err->class == ERROR_CANCELLED)
		log_debug("reconcile.waiting", err->message, LOG_STRING("controller", group->options.name), LOG_STRING("key", key));
	else
		log_warning_error("reconcile.failed", "reconcile failed", err, LOG_STRING("controller", group->options.name),
		                  LOG_STRING("key", key));
}

/* Waits while the group is paused, then counts this worker as active. NULL when the end has come: keys not begun yet are left. */
static struct cancel *begin_work(struct worker_group *group)
{
	THREAD_LOCKED(&group->mutex);
	while (group->paused && !group->ended)
		(void)thread_condition_wait(&group->changed, &group->mutex, UINT64_MAX);
	if (group->ended)
		return NULL;
	group->active++;
	return cancel_new(group->epoch, clock_monotonic_ms() + group->options.timeout_ms);
}

static void end_work(struct worker_group *group, struct cancel *cancel)
{
	THREAD_LOCKED(&group->mutex);
	cancel_free(cancel); /* before its parent may be replaced */
	group->active--;
	(void)pthread_cond_broadcast(&group->changed);
}

static void work_on(struct worker_group *group, const char *key, struct cancel *cancel)
{
	uint64_t begin = clock_monotonic_ns();
	struct error err = { 0 };

	if (group->options.reconcile(key, cancel, group->options.argument, &err) == 0)
		error_clear(&err);
	else if (err.class == ERROR_NONE)
		(void)error_set(&err, ERROR_BUG, "reconcile failed without a reason");
	log_result(group, key, &err);
	metric_add(&results, METRIC_VALUES(group->options.name, result_name(&err)), 1);
	if (string_equal(result_name(&err), "error"))
		metric_add(&errors, METRIC_VALUES(group->options.name), 1);
	metric_observe(&durations, METRIC_VALUES(group->options.name), (double)(clock_monotonic_ns() - begin) / 1e9);
	if (!cancel_is_triggered(group->options.stop))
		plan_next(group, key, &err);
}

static void *worker(void *argument)
{
	struct worker_group *group = argument;

	for (;;) {
		struct error err = { 0 };
		FREE_CLEANUP char *key = work_queue_get(group->queue, NULL, &err);

		if (!key)
			return NULL;
		struct cancel *cancel = begin_work(group);

		if (cancel) {
			work_on(group, key, cancel);
			end_work(group, cancel);
			if (group->options.heap)
				heap_trim_note(group->options.heap);
		}
		work_queue_done(group->queue, key);
	}
}

int worker_group_start(struct worker_group *group, struct error *err)
{
	while (group->started < group->options.workers) {
		if (thread_start(&group->threads[group->started], group->options.name, worker, group, err) < 0)
			return error_wrap(err, "controller %s", group->options.name);
		group->started++;
	}
	return 0;
}

bool worker_group_pause(struct worker_group *group, uint64_t deadline_ms)
{
	THREAD_LOCKED(&group->mutex);
	group->paused = true;
	cancel_trigger(group->epoch);
	while (group->active > 0) {
		if (thread_condition_wait(&group->changed, &group->mutex, deadline_ms) != 0)
			return group->active == 0;
	}
	return true;
}

void worker_group_resume(struct worker_group *group)
{
	THREAD_LOCKED(&group->mutex);
	/* Nobody is active, so no child of the old one is left. */
	cancel_free(group->epoch);
	group->epoch = cancel_new(group->options.stop, UINT64_MAX);
	group->paused = false;
	(void)pthread_cond_broadcast(&group->changed);
}

/* The process ends: what is under way goes on, nothing new begins. */
static void begin_end(struct worker_group *group)
{
	THREAD_LOCKED(&group->mutex);
	group->ended = true;
	(void)pthread_cond_broadcast(&group->changed);
}

bool worker_group_stop(struct worker_group *group, uint64_t deadline_ms)
{
	CANCEL_CLEANUP struct cancel *limit = cancel_new(NULL, deadline_ms);
	struct error err = { 0 };

	begin_end(group);
	work_queue_shutdown(group->queue);
	return group->started == 0 || work_queue_drain(group->queue, limit, &err) == 0;
}

void worker_group_join(struct worker_group *group)
{
	begin_end(group);
	work_queue_shutdown(group->queue);
	for (unsigned i = 0; i < group->started; i++)
		(void)pthread_join(group->threads[i], NULL);
	group->started = 0;
}

void worker_group_free(struct worker_group *group)
{
	if (!group)
		return;
	worker_group_join(group);
	work_queue_free(group->queue);
	cancel_free(group->epoch);
	(void)pthread_cond_destroy(&group->changed);
	(void)pthread_mutex_destroy(&group->mutex);
	free(group);
}

void worker_group_add(struct worker_group *group, const char *key)
{
	work_queue_add(group->queue, key);
}

void worker_group_add_after(struct worker_group *group, const char *key, uint64_t milliseconds)
{
	work_queue_add_after(group->queue, key, milliseconds);
}

void worker_group_add_rate_limited(struct worker_group *group, const char *key)
{
	work_queue_add_rate_limited(group->queue, key);
}

void worker_group_update_metrics(struct worker_group *group)
{
	work_queue_update_metrics(group->queue);
	THREAD_LOCKED(&group->mutex);
	metric_set(&active_workers, METRIC_VALUES(group->options.name), group->active);
}
