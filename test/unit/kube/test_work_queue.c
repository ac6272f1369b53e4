/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/thread.h"
#include "kube/work_queue.h"

static uint64_t fake_ns;

static uint64_t fake_monotonic(void)
{
	return fake_ns;
}

static int64_t fake_wall(void)
{
	return (int64_t)(fake_ns / 1000);
}

static void advance(uint64_t milliseconds)
{
	fake_ns += milliseconds * 1000000;
}

static struct work_queue *new_queue(void)
{
	return work_queue_new(&(struct work_queue_options){ .name = "test" });
}

/* A key that is ready now, or NULL without waiting. */
static char *take(struct work_queue *queue)
{
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, UINT64_MAX);
	struct error err = { 0 };

	/* Promotes what is due, then ends at the first wait. */
	if (work_queue_depth(queue) == 0) {
		cancel_free(cancel);
		cancel = cancel_new(NULL, clock_monotonic_ms() + 1);
	}
	return work_queue_get(queue, cancel, &err);
}

static void assert_next(struct work_queue *queue, const char *wanted)
{
	FREE_CLEANUP char *key = take(queue);

	assert_non_null(key);
	assert_string_equal(key, wanted);
}

static void test_order_and_deduplication(void **state)
{
	struct work_queue *queue = new_queue();

	work_queue_add(queue, "a");
	work_queue_add(queue, "b");
	work_queue_add(queue, "a");
	assert_int_equal(work_queue_depth(queue), 2);
	assert_next(queue, "a");
	work_queue_add(queue, "a"); /* while it is worked on */
	work_queue_add(queue, "a");
	assert_int_equal(work_queue_depth(queue), 1);
	assert_next(queue, "b");
	work_queue_done(queue, "b");
	work_queue_done(queue, "a");
	assert_int_equal(work_queue_depth(queue), 1);
	assert_next(queue, "a");
	work_queue_done(queue, "a");
	assert_int_equal(work_queue_depth(queue), 0);
	assert_int_equal(work_queue_processing(queue), 0);
	work_queue_free(queue);
}

/*
 * Every sequence of eight steps over two keys (add, get, done) against a model: client-go's two sets. No key is lost, none is on two
 * workers, order is first in, first out.
 */
struct model {
	bool dirty[2], processing[2];
	int fifo[4];
	size_t waiting;
};

static void model_push(struct model *model, int key)
{
	model->fifo[model->waiting++] = key;
}

static void model_add(struct model *model, int key)
{
	if (model->dirty[key])
		return;
	model->dirty[key] = true;
	if (!model->processing[key])
		model_push(model, key);
}

static int model_get(struct model *model)
{
	int key = model->fifo[0];

	memmove(model->fifo, model->fifo + 1, sizeof(model->fifo) - sizeof(model->fifo[0]));
	model->waiting--;
	assert_false(model->processing[key]);
	model->processing[key] = true;
	model->dirty[key] = false;
	return key;
}

static void model_done(struct model *model, int key)
{
	model->processing[key] = false;
	if (model->dirty[key])
		model_push(model, key);
}

static void run_sequence(unsigned sequence, unsigned steps)
{
	static const char *const keys[] = { "x", "y" };
	struct work_queue *queue = new_queue();
	struct model model = { 0 };

	for (unsigned i = 0; i < steps; i++, sequence /= 5) {
		int key = (int)(sequence % 5 % 2);

		switch (sequence % 5) {
		case 0:
		case 1:
			work_queue_add(queue, keys[key]);
			model_add(&model, key);
			break;
		case 2:
		case 3:
			if (model.processing[key]) {
				work_queue_done(queue, keys[key]);
				model_done(&model, key);
			}
			break;
		default:
			if (model.waiting > 0)
				assert_next(queue, keys[model_get(&model)]);
		}
		assert_int_equal(work_queue_depth(queue), model.waiting);
		assert_int_equal(work_queue_processing(queue), model.processing[0] + model.processing[1]);
	}
	work_queue_free(queue);
}

static void test_permutations(void **state)
{
	enum { STEPS = 6 };
	unsigned total = 1;

	for (unsigned i = 0; i < STEPS; i++)
		total *= 5;
	for (unsigned sequence = 0; sequence < total; sequence++)
		run_sequence(sequence, STEPS);
	random_seed_for_test(7);
	for (unsigned i = 0; i < 3000; i++)
		run_sequence((unsigned)random_below(1u << 31), 13);
}

static void test_delays(void **state)
{
	struct work_queue *queue;

	clock_set_for_test(fake_monotonic, fake_wall);
	queue = new_queue();
	work_queue_add_after(queue, "late", 100);
	work_queue_add_after(queue, "soon", 20);
	work_queue_add_after(queue, "late", 50);  /* earlier: moves */
	work_queue_add_after(queue, "soon", 500); /* later: ignored */
	work_queue_add_after(queue, "now", 0);
	assert_int_equal(work_queue_delayed(queue), 2);
	assert_next(queue, "now");
	work_queue_done(queue, "now");
	advance(20);
	assert_next(queue, "soon");
	work_queue_done(queue, "soon");
	assert_int_equal(work_queue_delayed(queue), 1);
	advance(30);
	assert_next(queue, "late");
	work_queue_add_after(queue, "late", 10);
	advance(10);
	work_queue_add(queue, "other");
	assert_next(queue, "other");
	work_queue_done(queue, "late"); /* its delay passed while it was worked on */
	work_queue_done(queue, "other");
	assert_next(queue, "late");
	work_queue_done(queue, "late");
	work_queue_free(queue);
	clock_set_for_test(NULL, NULL);
}

static void test_many_delays_in_order(void **state)
{
	enum { KEYS = 500 };
	struct work_queue *queue;

	clock_set_for_test(fake_monotonic, fake_wall);
	queue = new_queue();
	random_seed_for_test(3);
	for (unsigned i = 0; i < KEYS; i++) {
		FREE_CLEANUP char *key = string_printf("%03u", (i * 367) % KEYS);

		work_queue_add_after(queue, key, 1000 + (i * 367) % KEYS);
	}
	advance(1000 + KEYS);
	for (unsigned i = 0; i < KEYS; i++) {
		FREE_CLEANUP char *wanted = string_printf("%03u", i);

		assert_next(queue, wanted);
		work_queue_done(queue, wanted);
	}
	work_queue_free(queue);
	clock_set_for_test(NULL, NULL);
}

static void test_back_off(void **state)
{
	static const uint64_t wanted[] = { 5, 10, 20, 40, 80, 100, 100 };
	struct work_queue *queue;

	clock_set_for_test(fake_monotonic, fake_wall);
	queue = work_queue_new(&(struct work_queue_options){ .name = "backoff", .maximum_delay_ms = 100 });
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		work_queue_add_rate_limited(queue, "k");
		assert_int_equal(work_queue_retries(queue, "k"), i + 1);
		advance(wanted[i] - 1);
		assert_int_equal(work_queue_depth(queue), 0);
		work_queue_add(queue, "probe");
		assert_next(queue, "probe");
		work_queue_done(queue, "probe");
		assert_int_equal(work_queue_delayed(queue), 1);
		advance(1);
		assert_next(queue, "k");
		work_queue_done(queue, "k");
	}
	work_queue_forget(queue, "k");
	assert_int_equal(work_queue_retries(queue, "k"), 0);
	work_queue_add_rate_limited(queue, "k");
	advance(5);
	assert_next(queue, "k");
	work_queue_done(queue, "k");
	work_queue_free(queue);
	clock_set_for_test(NULL, NULL);
}

static void test_shutdown(void **state)
{
	struct work_queue *queue = new_queue();
	struct error err = { 0 };

	work_queue_add(queue, "a");
	work_queue_add_after(queue, "later", 100000);
	work_queue_shutdown(queue);
	work_queue_add(queue, "b");
	assert_int_equal(work_queue_depth(queue), 1);
	assert_int_equal(work_queue_delayed(queue), 0);
	assert_next(queue, "a");
	work_queue_done(queue, "a");
	assert_null(work_queue_get(queue, NULL, &err));
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_int_equal(work_queue_drain(queue, NULL, &err), 0);
	work_queue_free(queue);
}

static void test_cancel_ends_wait(void **state)
{
	struct work_queue *queue = new_queue();
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + 30);
	struct error err = { 0 };

	assert_null(work_queue_get(queue, cancel, &err));
	assert_int_equal(err.class, ERROR_TIMEOUT);
	cancel_trigger(cancel);
	assert_null(work_queue_get(queue, cancel, &err));
	assert_int_equal(err.class, ERROR_CANCELLED);
	work_queue_free(queue);
}

/* Real threads: adders, workers, every key counted; no key on two workers, none lost. */
enum { THREADS = 4, KEYS = 8, ROUNDS = 4000 };

static struct {
	struct work_queue *queue;
	atomic_int working[KEYS];
	atomic_uint seen[KEYS]; /* the value of `wanted` that a worker saw */
	atomic_uint wanted[KEYS];
	atomic_bool twice;
} stress;

static void *work(void *argument)
{
	struct error err = { 0 };
	char *key;

	while ((key = work_queue_get(stress.queue, NULL, &err)) != NULL) {
		unsigned index = (unsigned)(key[0] - '0');

		if (atomic_fetch_add(&stress.working[index], 1) != 0)
			atomic_store(&stress.twice, true);
		atomic_store(&stress.seen[index], atomic_load(&stress.wanted[index]));
		atomic_fetch_sub(&stress.working[index], 1);
		work_queue_done(stress.queue, key);
		free(key);
	}
	return NULL;
}

static void *supply(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		char key[2] = { (char)('0' + i % KEYS), '\0' };

		atomic_fetch_add(&stress.wanted[i % KEYS], 1);
		if (i % 7 == 0)
			work_queue_add_after(stress.queue, key, 1);
		else if (i % 11 == 0)
			work_queue_add_rate_limited(stress.queue, key);
		else
			work_queue_add(stress.queue, key);
		if (i % 13 == 0)
			work_queue_forget(stress.queue, key);
		if (i % 64 == 0)
			(void)usleep(100);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t workers[THREADS], suppliers[2];
	struct error err = { 0 };

	stress.queue = new_queue();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(thread_start(&workers[i], "worker", work, NULL, &err), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(thread_start(&suppliers[i], "supplier", supply, NULL, &err), 0);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(suppliers[i], NULL);
	for (int i = 0; i < KEYS; i++) {
		char key[2] = { (char)('0' + i), '\0' };

		work_queue_add(stress.queue, key);
	}
	assert_int_equal(work_queue_drain(stress.queue, NULL, &err), 0);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(workers[i], NULL);
	assert_false(atomic_load(&stress.twice));
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(atomic_load(&stress.seen[i]), 2 * ROUNDS / KEYS);
	work_queue_free(stress.queue);
}

static void test_metrics(void **state)
{
	struct work_queue *queue = work_queue_new(&(struct work_queue_options){ .name = "measured" });
	BUFFER_CLEANUP struct buffer text = { 0 };

	work_queue_add(queue, "a");
	work_queue_add(queue, "b");
	assert_next(queue, "a");
	work_queue_add_rate_limited(queue, "a");
	work_queue_update_metrics(queue);
	metrics_write(&text);
	assert_non_null(strstr(text.data, "workqueue_depth{name=\"measured\"} 1\n"));
	assert_non_null(strstr(text.data, "workqueue_adds_total{name=\"measured\"} 2\n"));
	assert_non_null(strstr(text.data, "workqueue_retries_total{name=\"measured\"} 1\n"));
	assert_non_null(strstr(text.data, "workqueue_queue_duration_seconds_count{name=\"measured\"} 1\n"));
	assert_non_null(strstr(text.data, "workqueue_longest_running_processor_seconds{name=\"measured\"} "));
	work_queue_done(queue, "a");
	work_queue_free(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_deduplication), cmocka_unit_test(test_permutations), cmocka_unit_test(test_delays),
		cmocka_unit_test(test_many_delays_in_order),    cmocka_unit_test(test_back_off),     cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_cancel_ends_wait),        cmocka_unit_test(test_threads),      cmocka_unit_test(test_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
