/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/file.h"
#include "local/log_file.h"
#include "local/node_control.h"
#include "local/node_probe.h"
#include "local/process_backoff.h"

enum { READ_CHUNK = 16 * 1024, IDLE_POLL_MS = 60 * 1000, NEEDS_POLL_MS = 100, CLIENT_GRACE_MS = 1000 };

enum process_state { STATE_WAITING, STATE_STARTING, STATE_READY, STATE_BACKOFF, STATE_STOPPED };

static const char *const state_names[] = { "waiting", "starting", "ready", "backoff", "stopped" };

struct supervised {
	const struct node_process *process;
	enum process_state state;
	bool was_ready;                         /* once: what `after` asks for */
	pid_t pid;                              /* 0 = not running */
	int output;                             /* pipe from its stdout and stderr, -1 = closed */
	uint64_t started_ms, ready_ms, next_ms; /* next_ms: when to start or to probe again */
	uint32_t restarts;
	struct process_backoff backoff;
	struct node_probe probe;
	struct log_file log;
	char last_exit[64];
};

enum stop_stage { STOP_NONE, STOP_WRITERS, STOP_STORES, STOP_DONE };

struct supervisor {
	const struct node_config *config;
	struct supervised processes[NODE_PROCESS_MAX];
	size_t count;
	int signals, listener;
	uint64_t begun_ms;
	enum stop_stage stop;
	uint64_t stop_deadline_ms;
};

static void note(struct supervised *one, const char *text)
{
	char stamp[32], line[512];
	clock_format_rfc3339(clock_wall_seconds(), stamp, sizeof(stamp));
	int length = snprintf(line, sizeof(line), "%s kamaji: %s %s\n", stamp, one->process->name, text);
	if (length > 0)
		log_file_write(&one->log, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
}

/* ---- one process ---- */

static void child_exec(const struct node_process *process, int output)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	setsid();
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(126);
	execve(process->argv[0], process->argv, process->environment);
	dprintf(STDERR_FILENO, "start %s: %s\n", process->argv[0], strerrordesc_np(errno));
	_exit(127);
}

static void schedule_restart(struct supervised *one, uint64_t now)
{
	one->state = STATE_BACKOFF;
	one->next_ms = now + process_backoff_next(&one->backoff, one->ready_ms, now);
}

static void start(struct supervised *one, uint64_t now)
{
	int ends[2];
	one->started_ms = now;
	one->ready_ms = 0;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		snprintf(one->last_exit, sizeof(one->last_exit), "no pipe: error %d", errno);
		schedule_restart(one, now);
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		child_exec(one->process, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		snprintf(one->last_exit, sizeof(one->last_exit), "no process: error %d", errno);
		schedule_restart(one, now);
		return;
	}
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	if (one->output >= 0)
		close(one->output);
	one->output = ends[0];
	one->pid = pid;
	one->state = STATE_STARTING;
	one->next_ms = now;
}

static bool can_start(const struct supervisor *supervisor, const struct supervised *one)
{
	for (size_t i = 0; i < one->process->after_count; i++)
		if (!supervisor->processes[one->process->after[i]].was_ready)
			return false;
	return !one->process->needs || access(one->process->needs, F_OK) == 0;
}

static void advance_probe(struct supervised *one, uint64_t now)
{
	if (one->probe.state == NODE_PROBE_RUNNING)
		return;
	if (one->probe.state == NODE_PROBE_IDLE && now >= one->next_ms)
		node_probe_begin(&one->probe, one->process);
	if (one->probe.state == NODE_PROBE_PASSED) {
		one->state = STATE_READY;
		one->was_ready = true;
		one->ready_ms = now;
		one->probe = (struct node_probe){ 0 };
	} else if (one->probe.state == NODE_PROBE_FAILED) {
		one->probe = (struct node_probe){ 0 };
		one->next_ms = now + NODE_PROBE_INTERVAL_MS;
	}
}

/* Does what is due now for one process; a ready process may let others begin, so the caller repeats until nothing changes. */
static bool advance(struct supervisor *supervisor, struct supervised *one, uint64_t now)
{
	enum process_state before = one->state;
	switch (one->state) {
	case STATE_WAITING:
		if (can_start(supervisor, one))
			start(one, now);
		break;
	case STATE_BACKOFF:
		if (now >= one->next_ms) {
			one->restarts++;
			start(one, now);
		}
		break;
	case STATE_STARTING:
		advance_probe(one, now);
		break;
	case STATE_READY:
	case STATE_STOPPED:
		break;
	}
	return one->state != before;
}

static void drain(struct supervised *one)
{
	char part[READ_CHUNK];
	while (one->output >= 0) {
		ssize_t count = read(one->output, part, sizeof(part));
		if (count > 0) {
			log_file_write(&one->log, part, (size_t)count);
			if ((size_t)count < sizeof(part))
				return;
		} else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
			close(one->output);
			one->output = -1;
		} else {
			return;
		}
	}
}

static void process_died(struct supervisor *supervisor, struct supervised *one, int wait_status, uint64_t now)
{
	drain(one);
	node_probe_abandon(&one->probe);
	if (WIFSIGNALED(wait_status))
		snprintf(one->last_exit, sizeof(one->last_exit), "killed by signal %d", WTERMSIG(wait_status));
	else
		snprintf(one->last_exit, sizeof(one->last_exit), "exited with %d", WEXITSTATUS(wait_status));
	note(one, one->last_exit);
	one->pid = 0;
	if (supervisor->stop != STOP_NONE)
		one->state = STATE_STOPPED;
	else
		schedule_restart(one, now);
}

static void reap(struct supervisor *supervisor, uint64_t now)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		for (size_t i = 0; i < supervisor->count; i++) {
			struct supervised *one = &supervisor->processes[i];
			if (one->pid == pid)
				process_died(supervisor, one, status, now);
			else
				(void)node_probe_reaped(&one->probe, pid, status);
		}
	}
}

/* ---- stopping ---- */

static void signal_stage(struct supervisor *supervisor, bool stores, int number)
{
	for (size_t i = 0; i < supervisor->count; i++) {
		struct supervised *one = &supervisor->processes[i];
		if (one->process->stop_last != stores)
			continue;
		if (one->pid > 0)
			kill(one->pid, number);
		else
			one->state = STATE_STOPPED;
	}
}

static bool stage_is_over(const struct supervisor *supervisor, bool stores)
{
	for (size_t i = 0; i < supervisor->count; i++)
		if (supervisor->processes[i].process->stop_last == stores && supervisor->processes[i].pid > 0)
			return false;
	return true;
}

static bool is_store(const struct supervisor *supervisor, pid_t pid)
{
	for (size_t i = 0; i < supervisor->count; i++)
		if (supervisor->processes[i].pid == pid && supervisor->processes[i].process->stop_last)
			return true;
	return false;
}

/* Everything of this PID namespace but the stores: pods outlive kubelet and containerd, and their clients would hold the stores up. */
static void end_others(const struct supervisor *supervisor)
{
	/* Only ever as the first process of a namespace of our own. */
	DIR *proc = getpid() == 1 ? opendir("/proc") : NULL;
	for (struct dirent *entry; proc && (entry = readdir(proc));) {
		struct error err;
		int64_t pid;
		if (string_to_integer(entry->d_name, 2, INT32_MAX, "process", &pid, &err) == 0 && !is_store(supervisor, (pid_t)pid))
			kill((pid_t)pid, SIGKILL);
	}
	if (proc)
		closedir(proc);
}

static void begin_stop(struct supervisor *supervisor, uint64_t now)
{
	if (supervisor->stop != STOP_NONE)
		return;
	supervisor->stop = STOP_WRITERS;
	supervisor->stop_deadline_ms = now + NODE_STOP_GRACE_MS;
	signal_stage(supervisor, false, SIGTERM);
}

static void advance_stop(struct supervisor *supervisor, uint64_t now)
{
	bool stores = supervisor->stop == STOP_STORES;
	if (supervisor->stop == STOP_NONE || supervisor->stop == STOP_DONE)
		return;
	if (!stage_is_over(supervisor, stores)) {
		if (now < supervisor->stop_deadline_ms)
			return;
		signal_stage(supervisor, stores, SIGKILL);
		supervisor->stop_deadline_ms = now + 100; /* looks again until they are reaped */
		return;
	}
	if (stores) {
		supervisor->stop = STOP_DONE;
		return;
	}
	end_others(supervisor);
	supervisor->stop = STOP_STORES;
	supervisor->stop_deadline_ms = now + NODE_STORE_GRACE_MS;
	signal_stage(supervisor, true, SIGTERM);
}

/* ---- control socket ---- */

/* Resident memory from /proc/PID/statm; 0 when the process is gone. */
static json_int_t resident_bytes(pid_t pid)
{
	char path[64];
	struct error err;
	BUFFER_CLEANUP struct buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if (pid <= 0 || file_read(path, 4096, &text, &err) < 0)
		return 0;
	/* The second number: pages in memory. */
	const char *second = text.data ? strchr(text.data, ' ') : NULL;
	char *end = NULL;
	unsigned long long pages = second ? strtoull(second, &end, 10) : 0;
	return end && end > second ? (json_int_t)(pages * (unsigned long long)sysconf(_SC_PAGESIZE)) : 0;
}

static json_t *process_status(const struct supervised *one, uint64_t now)
{
	json_t *status =
		json_build("{s:s, s:s, s:i, s:I, s:I, s:I, s:I}", "name", one->process->name, "state", state_names[one->state], "pid",
	                   (int)one->pid, "restarts", (json_int_t)one->restarts, "seconds",
	                   (json_int_t)(one->started_ms ? (now - one->started_ms) / 1000 : 0), "startupMilliseconds",
	                   (json_int_t)(one->ready_ms ? one->ready_ms - one->started_ms : 0), "residentBytes", resident_bytes(one->pid));
	if (one->last_exit[0])
		json_put_string(status, "lastExit", one->last_exit);
	return status;
}

static void answer_status(const struct supervisor *supervisor, int client, uint64_t now)
{
	const struct node_config *config = supervisor->config;
	json_t *list = json_array();
	for (size_t i = 0; i < supervisor->count; i++)
		json_array_append_new(list, process_status(&supervisor->processes[i], now));
	JSON_CLEANUP json_t *status =
		json_build("{s:s, s:s, s:s, s:s, s:b, s:I, s:o}", "name", config->name, "role", config->role, "hostname", config->hostname,
	                   "configuration", config->digest, "stopping", supervisor->stop != STOP_NONE, "uptimeSeconds",
	                   (json_int_t)((now - supervisor->begun_ms) / 1000), "processes", list);
	FREE_CLEANUP char *text = json_text(status);
	struct error err;
	(void)file_write_all(client, text, strlen(text), &err); /* a client that hangs up loses its answer */
}

static void serve_client(struct supervisor *supervisor, uint64_t now)
{
	DESCRIPTOR_CLEANUP int client = accept4(supervisor->listener, NULL, NULL, SOCK_CLOEXEC);
	if (client < 0)
		return;
	/* Only root reaches the socket. Still, a client that stays silent may hold us up for this long only. */
	struct timeval limit = { .tv_sec = CLIENT_GRACE_MS / 1000 };
	(void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	char line[32] = { 0 };
	ssize_t count = read(client, line, sizeof(line) - 1);
	if (count <= 0)
		return;
	line[strcspn(line, "\n")] = '\0';
	if (string_equal(line, "status"))
		answer_status(supervisor, client, now);
	else if (string_equal(line, "stop"))
		begin_stop(supervisor, now);
}

/* ---- loop ---- */

static void read_signals(struct supervisor *supervisor, uint64_t now)
{
	struct signalfd_siginfo info;
	while (read(supervisor->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(supervisor, now);
		else
			begin_stop(supervisor, now);
	}
}

static int poll_timeout(const struct supervisor *supervisor, uint64_t now)
{
	uint64_t due = now + IDLE_POLL_MS;
	for (size_t i = 0; i < supervisor->count; i++) {
		const struct supervised *one = &supervisor->processes[i];
		bool timed = one->state == STATE_BACKOFF || (one->state == STATE_STARTING && one->probe.state == NODE_PROBE_IDLE);
		if (timed && one->next_ms < due)
			due = one->next_ms;
		if (one->state == STATE_WAITING && one->process->needs && now + NEEDS_POLL_MS < due)
			due = now + NEEDS_POLL_MS;
	}
	if (supervisor->stop != STOP_NONE && supervisor->stop_deadline_ms < due)
		due = supervisor->stop_deadline_ms;
	return due > now ? (int)(due - now) : 0;
}

static void advance_all(struct supervisor *supervisor, uint64_t now)
{
	if (supervisor->stop != STOP_NONE) {
		advance_stop(supervisor, now);
		return;
	}
	for (bool changed = true; changed;) {
		changed = false;
		for (size_t i = 0; i < supervisor->count; i++)
			if (advance(supervisor, &supervisor->processes[i], now))
				changed = true;
	}
}

static void run_loop(struct supervisor *supervisor)
{
	while (supervisor->stop != STOP_DONE) {
		struct pollfd polled[NODE_PROCESS_MAX + 2] = { { .fd = supervisor->signals, .events = POLLIN },
			                                       { .fd = supervisor->listener, .events = POLLIN } };
		for (size_t i = 0; i < supervisor->count; i++)
			polled[i + 2] = (struct pollfd){ .fd = supervisor->processes[i].output, .events = POLLIN };
		int ready = poll(polled, supervisor->count + 2, poll_timeout(supervisor, clock_monotonic_ms()));
		uint64_t now = clock_monotonic_ms();
		if (ready > 0) {
			for (size_t i = 0; i < supervisor->count; i++)
				if (polled[i + 2].revents)
					drain(&supervisor->processes[i]);
			if (polled[0].revents)
				read_signals(supervisor, now);
			if (polled[1].revents)
				serve_client(supervisor, now);
		}
		advance_all(supervisor, now);
	}
}

static int prepare(struct supervisor *supervisor, struct error *err)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
		return error_set_errno(err, errno, "block signals");
	signal(SIGPIPE, SIG_IGN);
	supervisor->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (supervisor->signals < 0)
		return error_set_errno(err, errno, "signalfd");
	for (size_t i = 0; i < supervisor->count; i++) {
		struct supervised *one = &supervisor->processes[i];
		FREE_CLEANUP char *path = string_printf("%s/log/%s.log", supervisor->config->directory, one->process->name);
		if (log_file_open(&one->log, path, NODE_LOG_LIMIT, err) < 0)
			return -1;
	}
	supervisor->listener = node_control_listen(supervisor->config->directory, err);
	return supervisor->listener < 0 ? -1 : 0;
}

int node_supervisor_run(const struct node_config *config, struct error *err)
{
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
	if (!supervisor)
		return error_set(err, ERROR_EXHAUSTED, "no memory");
	supervisor->config = config;
	supervisor->count = config->process_count;
	supervisor->signals = supervisor->listener = -1;
	supervisor->begun_ms = clock_monotonic_ms();
	for (size_t i = 0; i < supervisor->count; i++)
		supervisor->processes[i] = (struct supervised){ .process = &config->processes[i], .output = -1, .log = { .fd = -1 } };
	int result = prepare(supervisor, err);
	if (result == 0) {
		advance_all(supervisor, clock_monotonic_ms());
		run_loop(supervisor);
	}
	for (size_t i = 0; i < supervisor->count; i++) {
		log_file_close(&supervisor->processes[i].log);
		if (supervisor->processes[i].output >= 0)
			close(supervisor->processes[i].output);
	}
	if (supervisor->listener >= 0)
		close(supervisor->listener);
	if (supervisor->signals >= 0)
		close(supervisor->signals);
	free(supervisor);
	return result;
}
