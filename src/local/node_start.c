/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"

enum { STAT_TEXT_MAX = 4096, STAT_START_FIELD = 22, KILL_WAIT_MS = 15000, WAIT_STEP_MS = 10 };

/* Runs in the child: waits for the word, then becomes init. Only async-signal-safe calls: the parent may have threads. */
static void child_main(const char *program, char *config_path, int go, int log)
{
	char word;
	ssize_t count;
	while ((count = read(go, &word, 1)) < 0 && errno == EINTR)
		;
	if (count != 1)
		_exit(0); /* the parent gave up or died */
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	setsid();
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(126);
	/* Nothing of whoever called us lives on in the node: a lock or the end of a pipe would be held for as long as the node runs. */
	(void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
	char *const arguments[] = { (char *)program, (char *)"local", (char *)"node-init", config_path, NULL };
	char *const environment[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", (char *)"HOME=/root",
		                      (char *)"LC_ALL=C", NULL };
	execve(program, arguments, environment);
	_exit(127);
}

/* fork() with new namespaces. Without a stack of its own the child goes on with a copy of ours, as after fork(). */
static pid_t clone_node(void)
{
	unsigned long flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | SIGCHLD;
	return (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
}

static int prepare_child(const struct node_start_options *options, pid_t pid, struct node_identity *identity, struct error *err)
{
	if (node_identity_read(pid, identity, err) < 0)
		return -1;
	if (options->prepare && options->prepare(pid, options->context, err) < 0)
		return -1;
	return options->record ? options->record(identity, options->context, err) : 0;
}

int node_start(const struct node_start_options *options, struct node_identity *ret_identity, struct error *err)
{
	int ends[2];
	FREE_CLEANUP char *config_path = string_printf("%s/node.json", options->directory);
	FREE_CLEANUP char *log_path = string_printf("%s/log/init.log", options->directory);
	DESCRIPTOR_CLEANUP int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return error_set_errno(err, errno, "open %s", log_path);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(err, errno, "pipe");
	DESCRIPTOR_CLEANUP int go_read = ends[0];
	DESCRIPTOR_CLEANUP int go_write = ends[1];
	pid_t pid = clone_node();
	if (pid < 0)
		return error_set_errno(err, errno, "make namespaces");
	if (pid == 0) {
		close(go_write);
		child_main(options->program, config_path, go_read, log);
	}
	if (prepare_child(options, pid, ret_identity, err) < 0 || file_write_all(go_write, "g", 1, err) < 0) {
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		*ret_identity = (struct node_identity){ 0 };
		return -1;
	}
	return 0;
}

int node_identity_read(pid_t pid, struct node_identity *ret_identity, struct error *err)
{
	char path[64];
	struct stat st;
	BUFFER_CLEANUP struct buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read(path, STAT_TEXT_MAX, &text, err) < 0)
		return -1;
	/* The second field is the command in parentheses and may hold anything: count from the last one. */
	char *at = strrchr(text.data, ')');
	for (int field = 2; at && field < STAT_START_FIELD; field++)
		at = strchr(at + 1, ' ');
	/* A zombie is dead: its state is the first letter after the command. */
	const char *command_end = strrchr(text.data, ')');
	if (!at || (command_end && command_end[1] == ' ' && command_end[2] == 'Z'))
		return error_set(err, ERROR_NOT_FOUND, "process %d has ended", (int)pid);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	if (stat(path, &st) < 0)
		return error_set_errno(err, errno, "namespace of process %d", (int)pid);
	char *end;
	*ret_identity = (struct node_identity){ .pid = pid, .start_ticks = strtoull(at + 1, &end, 10), .pid_namespace = st.st_ino };
	return end == at + 1 ? error_set(err, ERROR_CORRUPT, "/proc/%d/stat has no start time", (int)pid) : 0;
}

bool node_identity_is_alive(const struct node_identity *identity)
{
	struct node_identity now;
	struct error err;
	return identity->pid > 0 && node_identity_read(identity->pid, &now, &err) == 0 && now.start_ticks == identity->start_ticks &&
	       now.pid_namespace == identity->pid_namespace;
}

/* True when it ended in time. Reaps it when it is our child. */
static bool wait_for_end(const struct node_identity *identity, int descriptor, uint64_t limit_ms)
{
	uint64_t deadline = clock_monotonic_ms() + limit_ms;
	for (;;) {
		uint64_t left = clock_until(deadline);
		struct pollfd polled = { .fd = descriptor, .events = POLLIN };
		if (poll(&polled, 1, (int)left) > 0 || left == 0)
			break;
	}
	(void)waitpid(identity->pid, NULL, WNOHANG);
	return !node_identity_is_alive(identity);
}

int node_identity_end(const struct node_identity *identity, uint64_t grace_ms, struct error *err)
{
	if (identity->pid <= 0)
		return 0;
	/* The descriptor pins the process; the check behind it makes sure that it is ours and not a successor of the same number. */
	DESCRIPTOR_CLEANUP int descriptor = (int)syscall(SYS_pidfd_open, identity->pid, 0);
	if (descriptor < 0 || !node_identity_is_alive(identity))
		return 0;
	if (grace_ms > 0) {
		(void)syscall(SYS_pidfd_send_signal, descriptor, SIGTERM, NULL, 0);
		if (wait_for_end(identity, descriptor, grace_ms))
			return 0;
	}
	(void)syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0);
	if (wait_for_end(identity, descriptor, KILL_WAIT_MS))
		return 0;
	return error_set(err, ERROR_TIMEOUT, "the node's init (process %d) does not end; a process in it hangs in the kernel",
	                 (int)identity->pid);
}

json_t *node_identity_to_json(const struct node_identity *identity)
{
	return json_build("{s:i, s:I, s:I}", "pid", (int)identity->pid, "startTicks", (json_int_t)identity->start_ticks, "pidNamespace",
	                  (json_int_t)identity->pid_namespace);
}

void node_identity_from_json(const json_t *value, struct node_identity *ret_identity)
{
	*ret_identity = (struct node_identity){ 0 };
	int64_t pid = json_integer_or(value, "pid", 0), ticks = json_integer_or(value, "startTicks", 0);
	int64_t inode = json_integer_or(value, "pidNamespace", 0);
	if (pid > 1 && pid <= INT32_MAX && ticks > 0 && inode > 0)
		*ret_identity =
			(struct node_identity){ .pid = (pid_t)pid, .start_ticks = (uint64_t)ticks, .pid_namespace = (uint64_t)inode };
}
