/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/work_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "io/thread.h"
#include "kube/waiter.h"

/*
 * What is known of one key; it lives in `items` as long as any of it is set. `dirty` and `processing` are client-go's two sets: a key that is
 * dirty and not processing is in the FIFO; one that is dirty and processing goes there at done.
 */
struct item {
	char *key;
	bool dirty, processing;
	unsigned failures;
	uint64_t added_ns, started_ns; /* since when it waits, is worked on */
	struct item *next;             /* in the FIFO */
	size_t heap_index;             /* in the delayed heap, 1-based; 0: not there */
	uint64_t ready_ms;
};

struct work_queue {
	char *name;
	uint64_t base_delay_ms, maximum_delay_ms;
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	struct map items;
	struct item *first, *last;
	size_t depth, processing;
	struct item **heap; /* [1..heap_count] by ready_ms */
	size_t heap_count, heap_capacity;
	bool shut_down;
};

static const double queue_buckets[] = { 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10 };
static const char *const queue_labels[] = { "name", NULL };

#define QUEUE_FAMILY(variable, name_, type_, help_, ...) \
	static struct metric_family variable = { .name = name_, .help = help_, .type = type_, .labels = queue_labels, __VA_ARGS__ }
QUEUE_FAMILY(depth_family, "workqueue_depth", METRIC_GAUGE, "Current depth of workqueue");
QUEUE_FAMILY(adds_family, "workqueue_adds_total", METRIC_COUNTER, "Total number of adds handled by workqueue");
QUEUE_FAMILY(wait_family, "workqueue_queue_duration_seconds", METRIC_HISTOGRAM,
             "How long in seconds an item stays in workqueue before being requested", .buckets = queue_buckets,
             .bucket_count = ARRAY_LENGTH(queue_buckets));
QUEUE_FAMILY(work_family, "workqueue_work_duration_seconds", METRIC_HISTOGRAM,
             "How long in seconds processing an item from workqueue takes.", .buckets = queue_buckets,
             .bucket_count = ARRAY_LENGTH(queue_buckets));
QUEUE_FAMILY(retries_family, "workqueue_retries_total", METRIC_COUNTER, "Total number of retries handled by workqueue");
QUEUE_FAMILY(unfinished_family, "workqueue_unfinished_work_seconds", METRIC_GAUGE,
             "How many seconds of work has been done that is in progress and hasn't been observed by work_duration.");
QUEUE_FAMILY(longest_family, "workqueue_longest_running_processor_seconds", METRIC_GAUGE,
             "How many seconds has the longest running processor for workqueue been running.");

struct work_queue *work_queue_new(const struct work_queue_options *options)
{
	struct work_queue *queue = calloc(1, sizeof(*queue));

	if (queue == NULL)
		abort();
	queue->name = string_dup(options->name);
	queue->base_delay_ms = options->base_delay_ms != 0 ? options->base_delay_ms : 5;
	queue->maximum_delay_ms = options->maximum_delay_ms != 0 ? options->maximum_delay_ms : 1000 * 1000;
	pthread_mutex_init(&queue->mutex, NULL);
	thread_condition_init(&queue->condition);
	metric_set(&depth_family, METRIC_VALUES(queue->name), 0);
	metric_add(&adds_family, METRIC_VALUES(queue->name), 0);
	metric_add(&retries_family, METRIC_VALUES(queue->name), 0);
	return queue;
}

static void free_item(void *value)
{
	struct item *item = value;

	free(item->key);
	free(item);
}

void work_queue_free(struct work_queue *queue)
{
	if (queue == NULL)
		return;
	map_free(&queue->items, free_item);
	free(queue->heap);
	metric_remove(&depth_family, METRIC_VALUES(queue->name));
	metric_remove(&unfinished_family, METRIC_VALUES(queue->name));
	metric_remove(&longest_family, METRIC_VALUES(queue->name));
	pthread_mutex_destroy(&queue->mutex);
	pthread_cond_destroy(&queue->condition);
	free(queue->name);
	free(queue);
}

static struct item *item_of(struct work_queue *queue, const char *key)
{
	struct item *item = map_get(&queue->items, key);

	if (item != NULL)
		return item;
	item = calloc(1, sizeof(*item));
	if (item == NULL)
		abort();
	item->key = string_dup(key);
	(void)map_put(&queue->items, key, item);
	return item;
}

static void drop_if_idle(struct work_queue *queue, struct item *item)
{
	if (item->dirty || item->processing || item->failures != 0 || item->heap_index != 0)
		return;
	(void)map_remove(&queue->items, item->key);
	free_item(item);
}

/* ---- the heap of delayed keys ---- */

static void heap_place(struct work_queue *queue, size_t index, struct item *item)
{
	queue->heap[index] = item;
	item->heap_index = index;
}

static void heap_up(struct work_queue *queue, size_t index)
{
	struct item *item = queue->heap[index];

	for (; index > 1 && queue->heap[index / 2]->ready_ms > item->ready_ms; index /= 2)
		heap_place(queue, index, queue->heap[index / 2]);
	heap_place(queue, index, item);
}

static void heap_down(struct work_queue *queue, size_t index)
{
	struct item *item = queue->heap[index];

	for (;;) {
		size_t child = index * 2;

		if (child > queue->heap_count)
			break;
		if (child < queue->heap_count && queue->heap[child + 1]->ready_ms < queue->heap[child]->ready_ms)
			child++;
		if (queue->heap[child]->ready_ms >= item->ready_ms)
			break;
		heap_place(queue, index, queue->heap[child]);
		index = child;
	}
	heap_place(queue, index, item);
}

static void heap_add(struct work_queue *queue, struct item *item)
{
	if (queue->heap_count + 1 >= queue->heap_capacity) {
		queue->heap_capacity = queue->heap_capacity == 0 ? 64 : queue->heap_capacity * 2;
		queue->heap = reallocarray(queue->heap, queue->heap_capacity, sizeof(struct item *));
		if (queue->heap == NULL)
			abort();
	}
	queue->heap[++queue->heap_count] = item;
	heap_up(queue, queue->heap_count);
}

static struct item *heap_take_first(struct work_queue *queue)
{
	struct item *first = queue->heap[1], *last = queue->heap[queue->heap_count--];

	first->heap_index = 0;
	if (queue->heap_count > 0) {
		heap_place(queue, 1, last);
		heap_down(queue, 1);
		first->heap_index = 0;
	}
	return first;
}

/* ---- adding ---- */

static void append(struct work_queue *queue, struct item *item)
{
	item->next = NULL;
	if (queue->last != NULL)
		queue->last->next = item;
	else
		queue->first = item;
	queue->last = item;
	queue->depth++;
	metric_set(&depth_family, METRIC_VALUES(queue->name), (double)queue->depth);
	pthread_cond_broadcast(&queue->condition);
}

static void add(struct work_queue *queue, struct item *item)
{
	if (item->dirty)
		return;
	metric_add(&adds_family, METRIC_VALUES(queue->name), 1);
	item->dirty = true;
	item->added_ns = clock_monotonic_ns();
	if (!item->processing)
		append(queue, item);
}

void work_queue_add(struct work_queue *queue, const char *key)
{
	THREAD_LOCKED(&queue->mutex);

	if (!queue->shut_down)
		add(queue, item_of(queue, key));
}

static void add_after(struct work_queue *queue, struct item *item, uint64_t milliseconds)
{
	uint64_t ready = clock_monotonic_ms() + milliseconds;

	if (milliseconds == 0) {
		add(queue, item);
		return;
	}
	if (item->heap_index == 0) {
		item->ready_ms = ready;
		heap_add(queue, item);
	} else if (ready < item->ready_ms) {
		item->ready_ms = ready;
		heap_up(queue, item->heap_index);
	}
	/* A getter may be waiting for a later time. */
	pthread_cond_broadcast(&queue->condition);
}

void work_queue_add_after(struct work_queue *queue, const char *key, uint64_t milliseconds)
{
	THREAD_LOCKED(&queue->mutex);

	if (!queue->shut_down)
		add_after(queue, item_of(queue, key), milliseconds);
}

void work_queue_add_rate_limited(struct work_queue *queue, const char *key)
{
	struct item *item;
	uint64_t delay;
	THREAD_LOCKED(&queue->mutex);

	if (queue->shut_down)
		return;
	item = item_of(queue, key);
	delay = queue->base_delay_ms;
	for (unsigned i = 0; i < item->failures && delay < queue->maximum_delay_ms; i++)
		delay *= 2;
	if (delay > queue->maximum_delay_ms)
		delay = queue->maximum_delay_ms;
	item->failures++;
	metric_add(&retries_family, METRIC_VALUES(queue->name), 1);
	add_after(queue, item, delay);
}

void work_queue_forget(struct work_queue *queue, const char *key)
{
	struct item *item;
	THREAD_LOCKED(&queue->mutex);

	item = map_get(&queue->items, key);
	if (item == NULL)
		return;
	item->failures = 0;
	drop_if_idle(queue, item);
}

/* The mutex is no part of what a question promises not to change. */
static pthread_mutex_t *mutex_of(const struct work_queue *queue)
{
	return &((struct work_queue *)(uintptr_t)queue)->mutex;
}

unsigned work_queue_retries(const struct work_queue *queue, const char *key)
{
	const struct item *item;
	THREAD_LOCKED(mutex_of(queue));

	item = map_get(&queue->items, key);
	return item != NULL ? item->failures : 0;
}

/* ---- taking ---- */

static void promote_delayed(struct work_queue *queue)
{
	uint64_t now = clock_monotonic_ms();

	while (queue->heap_count > 0 && queue->heap[1]->ready_ms <= now)
		add(queue, heap_take_first(queue));
}

static char *take_first(struct work_queue *queue)
{
	struct item *item = queue->first;
	uint64_t now = clock_monotonic_ns();

	queue->first = item->next;
	if (queue->first == NULL)
		queue->last = NULL;
	queue->depth--;
	queue->processing++;
	item->dirty = false;
	item->processing = true;
	item->started_ns = now;
	metric_set(&depth_family, METRIC_VALUES(queue->name), (double)queue->depth);
	metric_observe(&wait_family, METRIC_VALUES(queue->name), (double)(now - item->added_ns) / 1e9);
	return string_dup(item->key);
}

char *work_queue_get(struct work_queue *queue, struct cancel *cancel, struct error *err)
{
	KUBE_WAITER_CLEANUP struct kube_waiter waiter = kube_waiter_begin(cancel, &queue->mutex, &queue->condition);
	THREAD_LOCKED(&queue->mutex);

	for (;;) {
		if (cancel_check(cancel, err) != 0)
			return NULL;
		promote_delayed(queue);
		if (queue->first != NULL)
			return take_first(queue);
		/* A key that is worked on and dirty still comes back at its done. */
		if (queue->shut_down && queue->processing == 0) {
			error_set(err, ERROR_CANCELLED, "queue is shut down");
			return NULL;
		}
		if (kube_waiter_wait(&waiter, queue->heap_count > 0 ? queue->heap[1]->ready_ms : UINT64_MAX, err) != 0)
			return NULL;
	}
}

void work_queue_done(struct work_queue *queue, const char *key)
{
	struct item *item;
	THREAD_LOCKED(&queue->mutex);

	item = map_get(&queue->items, key);
	if (item == NULL || !item->processing)
		abort(); /* a key that was not got, or done twice */
	item->processing = false;
	queue->processing--;
	metric_observe(&work_family, METRIC_VALUES(queue->name), (double)(clock_monotonic_ns() - item->started_ns) / 1e9);
	if (item->dirty)
		append(queue, item);
	else
		drop_if_idle(queue, item);
	if (queue->shut_down)
		pthread_cond_broadcast(&queue->condition);
}

static void shut_down(struct work_queue *queue)
{
	queue->shut_down = true;
	while (queue->heap_count > 0)
		drop_if_idle(queue, heap_take_first(queue));
	pthread_cond_broadcast(&queue->condition);
}

void work_queue_shutdown(struct work_queue *queue)
{
	THREAD_LOCKED(&queue->mutex);

	shut_down(queue);
}

int work_queue_drain(struct work_queue *queue, struct cancel *cancel, struct error *err)
{
	KUBE_WAITER_CLEANUP struct kube_waiter waiter = kube_waiter_begin(cancel, &queue->mutex, &queue->condition);
	THREAD_LOCKED(&queue->mutex);

	shut_down(queue);
	while (queue->first != NULL || queue->processing > 0)
		if (kube_waiter_wait(&waiter, UINT64_MAX, err) != 0)
			return error_wrap(err, "queue %s: %zu keys wait and %zu are worked on", queue->name, queue->depth,
			                  queue->processing);
	return 0;
}

size_t work_queue_depth(const struct work_queue *queue)
{
	THREAD_LOCKED(mutex_of(queue));

	return queue->depth;
}

size_t work_queue_delayed(const struct work_queue *queue)
{
	THREAD_LOCKED(mutex_of(queue));

	return queue->heap_count;
}

size_t work_queue_processing(const struct work_queue *queue)
{
	THREAD_LOCKED(mutex_of(queue));

	return queue->processing;
}

void work_queue_update_metrics(struct work_queue *queue)
{
	uint64_t now = clock_monotonic_ns();
	double sum = 0, longest = 0;
	THREAD_LOCKED(&queue->mutex);

	for (struct map_entry *e = map_first(&queue->items); e != NULL; e = map_next(&queue->items, e)) {
		const struct item *item = e->value;
		double seconds = item->processing ? (double)(now - item->started_ns) / 1e9 : 0;

		sum += seconds;
		if (seconds > longest)
			longest = seconds;
	}
	metric_set(&unfinished_family, METRIC_VALUES(queue->name), sum);
	metric_set(&longest_family, METRIC_VALUES(queue->name), longest);
}
