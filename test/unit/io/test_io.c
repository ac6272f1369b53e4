/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/file.h"
#include "io/heap_trim.h"
#include "io/loop.h"
#include "io/process.h"
#include "io/signals.h"
#include "io/thread.h"

static void count_up(void *argument)
{
	atomic_fetch_add((atomic_int *)argument, 1);
}

static void cancel_reaches_children_and_callbacks(void **state)
{
	struct cancel *parent = cancel_new(NULL, UINT64_MAX);
	struct cancel *child = cancel_new(parent, clock_monotonic_ms() + 60000);
	struct cancel_callback *callback;
	atomic_int called = 0;
	struct error err;

	callback = cancel_register(child, count_up, &called);
	assert_int_equal(cancel_check(child, &err), 0);
	cancel_trigger(parent);
	cancel_trigger(parent);
	assert_int_equal(called, 1);
	assert_int_equal(cancel_check(child, &err), -1);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_int_equal(cancel_sleep(child, 60000, &err), -1);
	cancel_unregister(child, callback);
	cancel_free(child);
	cancel_free(parent);
	child = cancel_new(NULL, clock_monotonic_ms() + 20);
	assert_int_equal(cancel_sleep(child, 60000, &err), -1);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	cancel_free(child);
}

static void pool_runs_everything(void **state)
{
	struct error err;
	struct thread_pool *pool = thread_pool_new("pool", 3, &err);
	atomic_int count = 0;

	assert_non_null(pool);
	for (int i = 0; i < 500; i++)
		thread_pool_post(pool, count_up, &count);
	thread_pool_call(pool, count_up, &count);
	thread_pool_free(pool);
	assert_int_equal(count, 501);
}

static unsigned threads_named(const char *name)
{
	unsigned count = 0;
	DIR *tasks = opendir("/proc/self/task");

	assert_non_null(tasks);
	for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
		char path[64 + sizeof(task->d_name)], line[32] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		FILE *file = fopen(path, "re");

		if (file == NULL)
			continue;
		if (fgets(line, sizeof(line), file) != NULL)
			line[strcspn(line, "\n")] = '\0';
		(void)fclose(file);
		count += string_equal(line, name);
	}
	(void)closedir(tasks);
	return count;
}

static void meet(void *argument)
{
	(void)pthread_barrier_wait(argument);
}

static bool becomes(const char *name, unsigned wanted)
{
	struct error err;

	for (int i = 0; i < 1000 && threads_named(name) != wanted; i++)
		(void)cancel_sleep(NULL, 10, &err);
	return threads_named(name) == wanted;
}

/* The jobs wait for one another, so they only end when as many threads work on them. */
static void pool_threads_come_with_work_and_go(void **state)
{
	struct error err;
	struct thread_pool *pool = thread_pool_new("comes-and-goes", 3, &err);
	pthread_barrier_t barrier;

	assert_non_null(pool);
	assert_int_equal(pthread_barrier_init(&barrier, NULL, 4), 0);
	for (int round = 0; round < 2; round++) {
		assert_true(becomes("comes-and-goes", 1));
		for (int i = 0; i < 3; i++)
			thread_pool_post(pool, meet, &barrier);
		assert_true(becomes("comes-and-goes", 3));
		(void)pthread_barrier_wait(&barrier);
	}
	thread_pool_free(pool);
	assert_true(becomes("comes-and-goes", 0));
	(void)pthread_barrier_destroy(&barrier);
}

/* A burst is one trim a pace and one after its end; rest is none. */
static void trims_follow_work_and_not_rest(void **state)
{
	enum { PACE_MS = 100 };
	struct error err;
	struct loop *loop = loop_start("loop", &err);
	atomic_int trims = 0;
	struct heap_trim *heap = heap_trim_new(loop, PACE_MS, count_up, &trims);
	uint64_t begin = clock_monotonic_ms(), last;

	(void)cancel_sleep(NULL, 3 * PACE_MS, &err);
	assert_int_equal(trims, 0);
	do {
		heap_trim_note(heap);
		last = clock_monotonic_ms();
		(void)cancel_sleep(NULL, 1, &err);
	} while (last - begin < 8 * PACE_MS);
	int during = trims;

	assert_in_range(during, 1, 8);
	heap_trim_note(heap);
	last = clock_monotonic_ms();
	while (clock_monotonic_ms() - last < 10 * PACE_MS)
		(void)cancel_sleep(NULL, PACE_MS, &err);
	int after = trims;

	assert_in_range(after, during + 1, during + 3);
	(void)cancel_sleep(NULL, 3 * PACE_MS, &err);
	assert_int_equal(trims, after);
	heap_trim_free(heap);
	loop_stop(loop);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static size_t resident_bytes(void)
{
	char line[128] = "";
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	(void)fclose(file);
	assert_non_null(strchr(line, ' '));
	return strtoul(strchr(line, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE); /* the second number: resident pages */
}

/* Freed pieces between ones that stay: the C library alone keeps all of it. */
static void freed_memory_goes_back(void **state)
{
	enum { COUNT = 20000, FREED = 900, KEPT = 8 };
	static char *freed[COUNT], *kept[COUNT / KEPT];
	struct error err;
	struct loop *loop = loop_start("loop", &err);
	struct heap_trim *heap = heap_trim_new(loop, 10, NULL, NULL);

	for (int i = 0; i < COUNT; i++) {
		freed[i] = malloc(FREED);
		memset(freed[i], 1, FREED);
		if (i % KEPT == 0)
			kept[i / KEPT] = strdup("stays");
	}
	size_t before = resident_bytes();

	for (int i = 0; i < COUNT; i++)
		free(freed[i]);
	assert_true(resident_bytes() > before - (size_t)COUNT * FREED / 2);
	heap_trim_note(heap);
	for (int i = 0; i < 500 && resident_bytes() > before - (size_t)COUNT * FREED / 4; i++)
		(void)cancel_sleep(NULL, 10, &err);
	assert_true(resident_bytes() < before - (size_t)COUNT * FREED / 4);
	for (int i = 0; i < COUNT / KEPT; i++)
		free(kept[i]);
	heap_trim_free(heap);
	loop_stop(loop);
}
#endif

struct pipe_test {
	struct loop *loop;
	struct loop_watch *watch;
	struct loop_timer *timer;
	int ends[2];
	atomic_int reads, ticks;
};

static void pipe_ready(int descriptor, unsigned events, void *argument)
{
	struct pipe_test *test = argument;
	char byte;

	assert_true(loop_is_current(test->loop));
	assert_int_equal(events, LOOP_READ);
	assert_int_equal(read(descriptor, &byte, 1), 1);
	if (atomic_fetch_add(&test->reads, 1) == 2) {
		loop_watch_free(test->watch);
		test->watch = NULL;
	}
}

static void tick(void *argument)
{
	struct pipe_test *test = argument;

	if (atomic_fetch_add(&test->ticks, 1) < 2)
		loop_timer_arm(test->timer, 5);
}

static void set_up_pipe(void *argument)
{
	struct pipe_test *test = argument;

	test->watch = loop_watch_new(test->loop, test->ends[0], pipe_ready, test);
	loop_watch_set(test->watch, LOOP_READ);
	test->timer = loop_timer_new(test->loop, tick, test);
	loop_timer_arm(test->timer, 5);
}

static void free_timer(void *argument)
{
	loop_timer_free(((struct pipe_test *)argument)->timer);
}

static void loop_serves_posts_timers_and_descriptors(void **state)
{
	struct pipe_test test = { 0 };
	struct error err;
	atomic_int posts = 0;

	test.loop = loop_start("loop", &err);
	assert_non_null(test.loop);
	assert_int_equal(pipe2(test.ends, O_CLOEXEC), 0);
	for (int i = 0; i < 1000; i++)
		loop_post(test.loop, count_up, &posts);
	loop_call(test.loop, set_up_pipe, &test);
	assert_int_equal(posts, 1000);
	assert_int_equal(write(test.ends[1], "abcd", 4), 4);
	while (test.reads < 3 || test.ticks < 3)
		(void)cancel_sleep(NULL, 1, &err);
	assert_int_equal(test.reads, 3);
	loop_call(test.loop, free_timer, &test);
	loop_stop(test.loop);
	close(test.ends[0]);
	close(test.ends[1]);
}

static void files_are_replaced_whole(void **state)
{
	char folder[] = "/tmp/kamaji-io-XXXXXX";
	char *path FREE_CLEANUP = NULL, *link_path FREE_CLEANUP = NULL, *deep FREE_CLEANUP = NULL;
	struct buffer text BUFFER_CLEANUP = { 0 };
	struct stat status;
	struct error err;

	assert_non_null(mkdtemp(folder));
	deep = string_printf("%s/a/b/c", folder);
	path = string_printf("%s/file", deep);
	link_path = string_printf("%s/outside", deep);
	assert_int_equal(file_make_directories(deep, 0755, &err), 0);
	assert_int_equal(file_write_atomic(path, "one", 3, 0600, &err), 0);
	assert_int_equal(file_write_atomic(path, "three", 5, 0640, &err), 0);
	assert_int_equal(file_read(path, 100, &text, &err), 0);
	assert_string_equal(text.data, "three");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	assert_int_equal(file_read(path, 4, &text, &err), -1);
	assert_int_equal(err.class, ERROR_EXHAUSTED);
	assert_int_equal(symlink("/etc", link_path), 0);
	assert_int_equal(file_remove_tree(folder, &err), 0);
	assert_false(file_exists(folder));
	assert_true(file_exists("/etc/passwd"));
	assert_int_equal(file_remove_tree(folder, &err), 0);
}

static void locks_exclude(void **state)
{
	char path[] = "/tmp/kamaji-lock-XXXXXX";
	struct error err;
	int first, second;

	assert_true((first = mkstemp(path)) >= 0);
	close(first);
	first = file_lock(path, false, &err);
	assert_true(first >= 0);
	second = file_lock(path, false, &err);
	assert_int_equal(second, -1);
	assert_int_equal(err.class, ERROR_EXISTS);
	close(first);
	second = file_lock(path, false, &err);
	assert_true(second >= 0);
	close(second);
	unlink(path);
}

static void collect_line(const char *line, void *argument)
{
	string_list_add(argument, line);
}

static void processes_run_and_report(void **state)
{
	const char *const cat[] = { "cat", NULL };
	const char *const talk[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
	const char *const stubborn[] = { "sh", "-c", "trap '' TERM; echo waiting; sleep 60", NULL };
	const char *const missing[] = { "/nowhere/program", NULL };
	struct buffer output BUFFER_CLEANUP = { 0 };
	struct string_list lines STRING_LIST_CLEANUP = { 0 };
	struct error err;
	char *large FREE_CLEANUP = malloc(300000);
	uint64_t start;
	int code;

	memset(large, 'x', 300000);
	assert_int_equal(
		process_run(&(struct process_options){ .arguments = cat, .input = large, .input_length = 300000, .output = &output }, NULL,
	                    &code, &err),
		0);
	assert_int_equal(output.length, 300000);
	assert_int_equal(process_run(&(struct process_options){ .arguments = talk, .on_line = collect_line, .on_line_argument = &lines },
	                             NULL, &code, &err),
	                 -1);
	assert_int_equal(code, 3);
	assert_int_equal(lines.count, 2);
	assert_int_equal(process_run(&(struct process_options){ .arguments = talk }, NULL, &code, &err), -1);
	assert_string_equal(err.message, "sh exited with 3: err");
	assert_int_equal(process_run(&(struct process_options){ .arguments = missing }, NULL, &code, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	start = clock_monotonic_ms();
	buffer_clear(&output);
	assert_int_equal(
		process_run(&(struct process_options){ .arguments = stubborn, .timeout_ms = 300, .output = &output }, NULL, &code, &err),
		-1);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	assert_true(clock_monotonic_ms() - start < 20000);
	assert_int_equal(process_command(&err, "true", NULL), 0);
	assert_int_equal(process_command(&err, "false", NULL), -1);
}

static void processes_start_and_end(void **state)
{
	const char *const sleeper[] = { "sleep", "60", NULL };
	struct error err;
	pid_t pid;

	assert_int_equal(process_start(&(struct process_options){ .arguments = sleeper }, &pid, &err), 0);
	assert_int_equal(kill(pid, 0), 0);
	process_end(pid, 1000);
	assert_int_equal(kill(pid, 0), -1);
}

static void signals_are_data(void **state)
{
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(signals_wait(1000), SIGTERM);
	assert_int_equal(signals_wait(10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cancel_reaches_children_and_callbacks),
		cmocka_unit_test(pool_runs_everything),
		cmocka_unit_test(pool_threads_come_with_work_and_go),
		cmocka_unit_test(trims_follow_work_and_not_rest),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(freed_memory_goes_back),
#endif
		cmocka_unit_test(loop_serves_posts_timers_and_descriptors),
		cmocka_unit_test(files_are_replaced_whole),
		cmocka_unit_test(locks_exclude),
		cmocka_unit_test(processes_run_and_report),
		cmocka_unit_test(processes_start_and_end),
		cmocka_unit_test(signals_are_data),
	};

	signals_block();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
