/* SPDX-License-Identifier: Apache-2.0 */
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"

enum { MOST_ARGUMENTS = 32, COMMAND_LIMIT_MS = 30000, GRACE_MS = 2000, OUTPUT_LIMIT = 64 * 1024 * 1024 };

struct streams {
	int input[2], output[2], errors[2]; /* [0] reads, [1] writes; -1 when unused */
	int failure[2];                     /* close-on-exec: carries errno when exec fails */
};

static void close_end(int *descriptor)
{
	if (*descriptor >= 0)
		(void)close(*descriptor);
	*descriptor = -1;
}

static void streams_close(struct streams *streams)
{
	for (int i = 0; i < 2; i++) {
		close_end(&streams->input[i]);
		close_end(&streams->output[i]);
		close_end(&streams->errors[i]);
		close_end(&streams->failure[i]);
	}
}
#define STREAMS_NONE { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } }

/* Only calls that are safe between fork and exec. */
static void __attribute__((noreturn)) become(const struct process_options *options, const struct streams *streams, bool run)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	int in = streams->input[0] >= 0 ? streams->input[0] : nothing;
	int out = streams->output[1] >= 0 ? streams->output[1] : run ? nothing : STDOUT_FILENO;
	int errors = streams->errors[1] >= 0 ? streams->errors[1] : streams->output[1] >= 0 ? out : run ? nothing : STDERR_FILENO;
	sigset_t none;
	int number;

	if (options->output_descriptor > 0)
		out = errors = options->output_descriptor;
	/* Signals ignored here (SIGPIPE) would stay ignored over exec. */
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (options->new_session)
		(void)setsid();
	else if (run)
		(void)setpgid(0, 0);
	if (options->directory != NULL && chdir(options->directory) < 0)
		goto failed;
	/* Lift the sources above 2 so that no dup2 overwrites one that is still needed. */
	in = fcntl(in, F_DUPFD_CLOEXEC, 3);
	out = fcntl(out, F_DUPFD_CLOEXEC, 3);
	errors = fcntl(errors, F_DUPFD_CLOEXEC, 3);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
		goto failed;
	if (options->environment != NULL)
		environ = (char **)options->environment;
	(void)syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
	(void)execvp(options->arguments[0], (char *const *)options->arguments);
failed:
	number = errno;
	(void)!write(streams->failure[1], &number, sizeof(number));
	_exit(127);
}

static int open_pipe(int ends[2], struct error *err)
{
	return pipe2(ends, O_CLOEXEC) < 0 ? error_set_errno(err, errno, "pipe") : 0;
}

static int start_child(const struct process_options *options, struct streams *streams, bool run, pid_t *pid, struct error *err)
{
	bool collect = options->output != NULL || options->on_line != NULL;
	bool apart = options->error_output != NULL && options->error_output != options->output;
	int number = 0;

	if (open_pipe(streams->failure, err) < 0 || (options->input != NULL && open_pipe(streams->input, err) < 0) ||
	    (collect && open_pipe(streams->output, err) < 0) || (apart && open_pipe(streams->errors, err) < 0))
		return -1;
	*pid = fork();
	if (*pid < 0)
		return error_set_errno(err, errno, "fork for %s", options->arguments[0]);
	if (*pid == 0)
		become(options, streams, run);
	close_end(&streams->failure[1]);
	close_end(&streams->input[0]);
	close_end(&streams->output[1]);
	close_end(&streams->errors[1]);
	if (read(streams->failure[0], &number, sizeof(number)) == (ssize_t)sizeof(number)) {
		(void)waitpid(*pid, NULL, 0);
		return error_set_errno(err, number, "start %s", options->arguments[0]);
	}
	return 0;
}

int process_start(const struct process_options *options, pid_t *pid, struct error *err)
{
	struct streams streams = STREAMS_NONE;
	int result = start_child(options, &streams, false, pid, err);

	streams_close(&streams);
	return result;
}

struct collector {
	struct buffer line, last; /* the line being read, the last whole one that was not empty */
	struct buffer *sink;
	const struct process_options *options;
};

static void finish_line(struct collector *collector)
{
	if (collector->line.length == 0)
		return;
	if (collector->options->on_line != NULL)
		collector->options->on_line(collector->line.data, collector->options->on_line_argument);
	buffer_clear(&collector->last);
	buffer_append(&collector->last, collector->line.data, collector->line.length);
	buffer_clear(&collector->line);
}

static void take_bytes(struct collector *collector, const char *bytes, size_t length)
{
	if (collector->sink != NULL && collector->sink->length < OUTPUT_LIMIT)
		buffer_append(collector->sink, bytes, length);
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n')
			finish_line(collector);
		else if (collector->line.length < 4096)
			buffer_append_char(&collector->line, bytes[i]);
	}
}

/* True while the stream is open. */
static bool read_stream(int *descriptor, struct collector *collector)
{
	char bytes[8192];
	ssize_t got = read(*descriptor, bytes, sizeof(bytes));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0) {
		close_end(descriptor);
		return false;
	}
	take_bytes(collector, bytes, (size_t)got);
	return true;
}

static void feed_input(int *descriptor, const struct process_options *options, size_t *fed)
{
	size_t left = options->input_length - *fed;
	ssize_t written = left > 0 ? write(*descriptor, options->input + *fed, left > 65536 ? 65536 : left) : 0;

	if (written > 0)
		*fed += (size_t)written;
	if ((written < 0 && errno != EAGAIN && errno != EINTR) || *fed == options->input_length)
		close_end(descriptor);
}

struct run {
	pid_t pid;
	uint64_t deadline, kill_at;
	bool timed_out, cancelled;
	int status;
	bool reaped;
};

/* Sends the signals that time-outs and cancellation ask for. */
static void mind_limits(struct run *run, struct cancel *cancel)
{
	bool triggered = cancel_is_triggered(cancel);

	if (!run->timed_out && !run->cancelled && (triggered || clock_until(run->deadline) == 0)) {
		run->timed_out = !triggered;
		run->cancelled = triggered;
		run->kill_at = clock_monotonic_ms() + GRACE_MS;
		(void)kill(-run->pid, SIGTERM);
	} else if (run->kill_at != 0 && clock_until(run->kill_at) == 0) {
		(void)kill(-run->pid, SIGKILL);
		run->kill_at = UINT64_MAX;
	}
}

/* Moves bytes until the child has ended and its streams are drained (a grandchild that keeps them open is not waited for). */
static void serve_child(const struct process_options *options, struct streams *streams, struct collector *out, struct collector *errors,
                        struct cancel *cancel, struct run *run)
{
	size_t fed = 0;
	int quiet_rounds = 0;

	if (streams->input[1] >= 0)
		(void)fcntl(streams->input[1], F_SETFL, O_NONBLOCK);
	while (!run->reaped || ((streams->output[0] >= 0 || streams->errors[0] >= 0) && quiet_rounds < 2)) {
		struct pollfd ready[4] = {
			{ .fd = streams->output[0], .events = POLLIN },
			{ .fd = streams->errors[0], .events = POLLIN },
			{ .fd = streams->input[1], .events = POLLOUT },
			{ .fd = cancel_descriptor(cancel), .events = POLLIN },
		};
		bool open = streams->output[0] >= 0 || streams->errors[0] >= 0;
		int count = poll(ready, run->cancelled ? 3 : 4, open && !run->reaped ? 50 : 10);

		quiet_rounds = count > 0 && (ready[0].revents || ready[1].revents) ? 0 : quiet_rounds + (run->reaped ? 1 : 0);
		if (ready[0].revents != 0)
			(void)read_stream(&streams->output[0], out);
		if (ready[1].revents != 0)
			(void)read_stream(&streams->errors[0], errors);
		if (ready[2].revents != 0)
			feed_input(&streams->input[1], options, &fed);
		if (!run->reaped && waitpid(run->pid, &run->status, WNOHANG) == run->pid)
			run->reaped = true;
		if (!run->reaped)
			mind_limits(run, cancel);
	}
	finish_line(out);
	finish_line(errors);
}

static int describe_end(const struct process_options *options, const struct run *run, const char *last, int *exit_code, struct error *err)
{
	const char *name = options->arguments[0];
	const char *slash = strrchr(name, '/');
	int code = WIFEXITED(run->status) ? WEXITSTATUS(run->status) : 128 + WTERMSIG(run->status);

	if (slash != NULL)
		name = slash + 1;
	if (exit_code != NULL)
		*exit_code = code;
	if (run->cancelled)
		return error_set(err, ERROR_CANCELLED, "%s was stopped because its caller gave up", name);
	if (run->timed_out)
		return error_set(err, ERROR_TIMEOUT, "%s did not end within %u s%s%s", name, (unsigned)(options->timeout_ms / 1000),
		                 last[0] ? ": " : "", last);
	if (code == 0)
		return 0;
	if (WIFSIGNALED(run->status))
		return error_set(err, ERROR_SYSTEM, "%s was ended by signal %d%s%s", name, WTERMSIG(run->status), last[0] ? ": " : "",
		                 last);
	return error_set(err, ERROR_SYSTEM, "%s exited with %d%s%s", name, code, last[0] ? ": " : "", last);
}

int process_run(const struct process_options *options, struct cancel *cancel, int *exit_code, struct error *err)
{
	struct process_options chosen = *options;
	struct streams streams = STREAMS_NONE;
	struct collector out = { .sink = options->output, .options = &chosen };
	struct collector errors = { .sink = options->error_output, .options = &chosen };
	struct buffer own = { .limit = 0 };
	struct run run = { .deadline = options->timeout_ms ? clock_monotonic_ms() + options->timeout_ms : UINT64_MAX };
	const char *last;
	int result;

	if (exit_code != NULL)
		*exit_code = -1;
	if (cancel_check(cancel, err) < 0)
		return -1;
	/* stderr is always read, so that a failure can say why. */
	if (options->output_descriptor <= 0 && options->error_output == NULL && options->output == NULL && options->on_line == NULL)
		chosen.error_output = &own;
	if (start_child(&chosen, &streams, true, &run.pid, err) < 0) {
		streams_close(&streams);
		return -1;
	}
	serve_child(&chosen, &streams, &out, &errors, cancel, &run);
	streams_close(&streams);
	last = errors.last.length > 0 ? errors.last.data : out.last.length > 0 ? out.last.data : "";
	result = describe_end(&chosen, &run, last, exit_code, err);
	buffer_free(&out.line);
	buffer_free(&out.last);
	buffer_free(&errors.line);
	buffer_free(&errors.last);
	buffer_free(&own);
	return result;
}

void process_end(pid_t pid, uint64_t grace_ms)
{
	uint64_t end = clock_monotonic_ms() + grace_ms;

	if (pid <= 0)
		return;
	(void)kill(pid, SIGTERM);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (clock_until(end) == 0) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
			return;
		}
		(void)cancel_sleep(NULL, 10, &(struct error){ 0 });
	}
}

int process_command(struct error *err, const char *name, ...)
{
	const char *arguments[MOST_ARGUMENTS + 1] = { name };
	struct process_options options = { .arguments = arguments, .timeout_ms = COMMAND_LIMIT_MS };
	size_t count = 1;
	va_list list;

	va_start(list, name);
	while (count < MOST_ARGUMENTS && (arguments[count] = va_arg(list, const char *)) != NULL)
		count++;
	va_end(list);
	arguments[count] = NULL;
	return process_run(&options, NULL, NULL, err);
}
