/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor with real processes: order, restart with back-off, logs, status, stop. In a child of its own, without namespaces. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "io/cancel.h"
#include "io/file.h"
#include "local/log_file.h"
#include "local/node_control.h"
#include "local/node_supervisor.h"

enum { PATIENCE_MS = 20000 };

struct node {
	char directory[64];
	pid_t supervisor;
};

static char *fill(const char *text, const char *directory)
{
	BUFFER_CLEANUP struct buffer out = { 0 };
	for (const char *at = text; *at; at++) {
		if (*at == '@')
			buffer_append_string(&out, directory);
		else
			buffer_append_char(&out, *at);
	}
	return buffer_take(&out);
}

/* '@' stands for the node's folder. */
static void start_node(struct node *node, const char *processes)
{
	struct error err;
	FREE_CLEANUP char *filled = fill(processes, node->directory);
	FREE_CLEANUP char *text =
		string_printf("{\"name\":\"n\",\"role\":\"worker\",\"hostname\":\"h\",\"directory\":\"%s\",\"link\":\"l\","
	                      "\"address\":\"a\",\"gateway\":\"g\",\"hosts\":\"\",\"resolvConf\":\"\",\"digest\":\"d1\","
	                      "\"processes\":[%s]}",
	                      node->directory, filled);
	node->supervisor = fork();
	if (node->supervisor == 0) {
		struct arena *arena = arena_new();
		struct node_config *config = calloc(1, sizeof(*config));
		if (!config || node_config_parse(text, strlen(text), arena, config, &err) < 0) {
			fprintf(stderr, "%s\n", err.message);
			_exit(3);
		}
		_exit(node_supervisor_run(config, &err) < 0);
	}
	assert_true(node->supervisor > 0);
}

static json_t *find(const json_t *status, const char *name)
{
	json_t *list = json_object_get(status, "processes");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (string_equal(json_string_at(json_array_get(list, i), "name"), name))
			return json_array_get(list, i);
	return NULL;
}

/* Asks until the process is in the state and has been restarted at least so often. */
static json_t *wait_for(const struct node *node, const char *name, const char *state, int64_t restarts)
{
	uint64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
	for (;;) {
		struct error err = { 0 };
		json_t *status = node_control_status(node->directory, &err);
		const json_t *process = find(status, name);
		if (process && string_equal(json_string_at(process, "state"), state) && json_integer_or(process, "restarts", 0) >= restarts)
			return status;
		if (clock_until(deadline) == 0) {
			FREE_CLEANUP char *text = status ? json_text(status) : string_dup(err.message);
			fail_msg("%s is not %s: %s", name, state, text);
		}
		json_decref(status);
		assert_int_equal(cancel_sleep(NULL, 20, &err), 0);
	}
}

static int make_node(void **state)
{
	static struct node node;
	struct error err;
	snprintf(node.directory, sizeof(node.directory), "/tmp/kamaji-node-XXXXXX");
	if (!mkdtemp(node.directory))
		return -1;
	FREE_CLEANUP char *log = string_printf("%s/log", node.directory);
	*state = &node;
	return file_make_directories(log, 0700, &err);
}

static int end_node(void **state)
{
	struct node *node = *state;
	struct error err;
	if (node->supervisor > 0) {
		kill(node->supervisor, SIGTERM); /* it ends its processes */
		(void)waitpid(node->supervisor, NULL, 0);
	}
	node->supervisor = 0;
	return file_remove_tree(node->directory, &err);
}

static void test_order_and_stop(void **state)
{
	struct node *node = *state;
	struct error err;
	/* "second" may begin only when the file is there that makes "first" ready. */
	start_node(node, "{\"name\":\"first\",\"argv\":[\"/bin/sh\",\"-c\",\"echo begun; exec sleep 100\"],"
	                 "\"ready\":{\"kind\":\"exec\",\"argv\":[\"/usr/bin/test\",\"-e\",\"@/made\"]},\"stopLast\":true},"
	                 "{\"name\":\"second\",\"argv\":[\"/bin/sh\",\"-c\",\"test -e @/made && : > @/in-order; exec sleep 100\"],"
	                 "\"after\":[\"first\"]}");
	JSON_CLEANUP json_t *early = wait_for(node, "first", "starting", 0);
	assert_string_equal(json_string_at(find(early, "second"), "state"), "waiting");
	assert_string_equal(json_string_at(early, "configuration"), "d1");
	assert_int_equal(cancel_sleep(NULL, 300, &err), 0);
	FREE_CLEANUP char *made = fill("@/made", node->directory);
	assert_int_equal(file_write_atomic(made, "", 0, 0600, &err), 0);
	JSON_CLEANUP json_t *status = wait_for(node, "second", "ready", 0);
	assert_true(json_integer_or(find(status, "first"), "startupMilliseconds", 0) >= 300);
	assert_true(json_integer_or(find(status, "first"), "residentBytes", 0) > 0);
	FREE_CLEANUP char *in_order = string_printf("%s/in-order", node->directory);
	uint64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
	while (!file_exists(in_order) && clock_until(deadline) > 0)
		assert_int_equal(cancel_sleep(NULL, 20, &err), 0);
	assert_true(file_exists(in_order));
	FREE_CLEANUP char *log = string_printf("%s/log/first.log", node->directory);
	FREE_CLEANUP char *tail = log_file_tail(log, 5);
	assert_string_equal(tail, "begun\n");
	pid_t first = (pid_t)json_integer_or(find(status, "first"), "pid", 0),
	      second = (pid_t)json_integer_or(find(status, "second"), "pid", 0);
	assert_int_equal(node_control_stop(node->directory, &err), 0);
	int code;
	assert_int_equal(waitpid(node->supervisor, &code, 0), node->supervisor);
	node->supervisor = 0;
	assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
	assert_int_equal(kill(first, 0), -1);
	assert_int_equal(kill(second, 0), -1);
	assert_null(node_control_status(node->directory, &err));
	assert_int_equal(err.class, ERROR_NOT_FOUND);
}

static void test_restart(void **state)
{
	struct node *node = *state;
	start_node(node, "{\"name\":\"dies\",\"argv\":[\"/bin/sh\",\"-c\",\"echo again; exit 7\"]},"
	                 "{\"name\":\"absent\",\"argv\":[\"/nowhere/program\"]},"
	                 "{\"name\":\"lives\",\"argv\":[\"/bin/sleep\",\"100\"]},"
	                 "{\"name\":\"blocked\",\"argv\":[\"/bin/sleep\",\"100\"],\"after\":[\"absent\"]}");
	JSON_CLEANUP json_t *status = wait_for(node, "dies", "backoff", 2);
	assert_string_equal(json_string_at(find(status, "dies"), "lastExit"), "exited with 7");
	JSON_CLEANUP json_t *absent = wait_for(node, "absent", "backoff", 1);
	assert_string_equal(json_string_at(find(absent, "absent"), "lastExit"), "exited with 127");
	/* One that is killed from outside comes back with another number. */
	pid_t before = (pid_t)json_integer_or(find(absent, "lives"), "pid", 0);
	assert_true(before > 1);
	assert_int_equal(kill(before, SIGKILL), 0);
	JSON_CLEANUP json_t *after = wait_for(node, "lives", "ready", 1);
	assert_string_equal(json_string_at(find(after, "lives"), "lastExit"), "killed by signal 9");
	assert_int_not_equal(json_integer_or(find(after, "lives"), "pid", 0), before);
	FREE_CLEANUP char *log = string_printf("%s/log/absent.log", node->directory);
	FREE_CLEANUP char *tail = log_file_tail(log, 2);
	assert_non_null(strstr(tail, "/nowhere/program"));
}

/* A process that ignores SIGTERM is ended all the same, within its grace. */
/* The kubelet of a worker: there from the beginning, begun when `kubeadm join` has written its files. */
static void test_waits_for_a_file(void **state)
{
	struct node *node = *state;
	struct error err;
	start_node(node, "{\"name\":\"late\",\"argv\":[\"/bin/sleep\",\"100\"],\"needs\":\"@/wanted\"},"
	                 "{\"name\":\"maker\",\"argv\":[\"/bin/sleep\",\"100\"]}");
	json_decref(wait_for(node, "maker", "ready", 0));
	assert_int_equal(cancel_sleep(NULL, 300, &err), 0);
	json_decref(wait_for(node, "late", "waiting", 0));
	FREE_CLEANUP char *path = fill("@/wanted", node->directory);
	assert_int_equal(file_write_atomic(path, "x", 1, 0600, &err), 0);
	json_decref(wait_for(node, "late", "ready", 0));
}

static void test_stubborn(void **state)
{
	struct node *node = *state;
	start_node(node, "{\"name\":\"deaf\",\"argv\":[\"/bin/sh\",\"-c\",\"trap '' TERM; : > @/deaf; while :; do sleep 0.1; done\"],"
	                 "\"ready\":{\"kind\":\"exec\",\"argv\":[\"/usr/bin/test\",\"-e\",\"@/deaf\"]}}");
	JSON_CLEANUP json_t *status = wait_for(node, "deaf", "ready", 0);
	uint64_t begun = clock_monotonic_ms();
	assert_int_equal(kill(node->supervisor, SIGTERM), 0);
	int code;
	assert_int_equal(waitpid(node->supervisor, &code, 0), node->supervisor);
	node->supervisor = 0;
	assert_true(clock_monotonic_ms() - begun >= NODE_STOP_GRACE_MS - 100);
	assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
	assert_int_equal(kill((pid_t)json_integer_or(find(status, "deaf"), "pid", 0), 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_and_stop, make_node, end_node),
		cmocka_unit_test_setup_teardown(test_restart, make_node, end_node),
		cmocka_unit_test_setup_teardown(test_waits_for_a_file, make_node, end_node),
		cmocka_unit_test_setup_teardown(test_stubborn, make_node, end_node),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
