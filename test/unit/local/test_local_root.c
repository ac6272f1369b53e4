/* SPDX-License-Identifier: Apache-2.0 */
/* The file system of a node, made for real in namespaces of the test's own. */
#include <sched.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/file.h"
#include "local/node_root.h"

enum { CHILD_FAILED = 1, CHILD_MISSES_FILE = 2, CHILD_CAN_WRITE = 3, CHILD_NOT_ALLOWED = 77 };

static const char program[] = "/usr/bin/sleep";

/* The process that makes the root: first of its PID namespace, as init is, so that /proc can be mounted. */
static int enter_root(const struct node_config *config)
{
	struct error err;
	if (node_root_enter(config, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return CHILD_FAILED;
	}
	if (access(program, X_OK) < 0)
		return CHILD_MISSES_FILE;
	return access(program, W_OK) == 0 ? CHILD_CAN_WRITE : 0;
}

static int run_in_namespaces(const struct node_config *config)
{
	pid_t outer = fork();
	if (outer == 0) {
		if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS) < 0)
			_exit(CHILD_NOT_ALLOWED);
		pid_t inner = fork();
		if (inner == 0)
			_exit(enter_root(config));
		int status = 0;
		_exit(inner > 0 && waitpid(inner, &status, 0) == inner && WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_FAILED);
	}
	int status = 0;
	assert_true(outer > 0);
	assert_int_equal(waitpid(outer, &status, 0), outer);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* `kamaji` itself is bound into the node it has just started; when it lies in a folder that nodes share with the host, the place to mount
 * on is the running program, which the kernel lets no one open for writing. */
static void test_running_program_is_bound_over_itself(void **state)
{
	struct node_bind binds[] = { { .from = program, .to = program, .read_only = true } };
	struct node_config config = {
		.name = "test", .hostname = "test", .hosts = "127.0.0.1 localhost\n", .resolv_conf = "", .binds = binds, .bind_count = 1
	};
	pid_t busy = fork();
	if (busy == 0) {
		execl(program, program, "30", (char *)NULL);
		_exit(127);
	}
	assert_true(busy > 0);
	int result = run_in_namespaces(&config);
	kill(busy, SIGKILL);
	(void)waitpid(busy, NULL, 0);
	if (result == CHILD_NOT_ALLOWED)
		skip();
	assert_int_equal(result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running_program_is_bound_over_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
