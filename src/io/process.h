/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes. No shell: an argument vector. Children start with default signal dispositions, an empty signal mask, no descriptors
 * but 0, 1, 2, and die with nobody: whoever starts one ends it (process_run does; process_start's caller must).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/cancel.h"

struct process_options {
	const char *const *arguments;   /* [0] is looked up in PATH unless it has a slash; NULL-terminated */
	const char *const *environment; /* NULL: inherit */
	const char *directory;          /* NULL: inherit */
	const char *input;              /* given on stdin; NULL: /dev/null */
	size_t input_length;
	struct buffer *output;       /* stdout; NULL: discarded (process_run) or inherited (process_start) */
	struct buffer *error_output; /* stderr; NULL: goes where output goes; the same buffer as output merges them */
	int output_descriptor;       /* >0: stdout and stderr go to it instead */
	uint64_t timeout_ms;         /* process_run: 0 = none; at the end SIGTERM, 2 s later SIGKILL to its process group */
	void (*on_line)(const char *line, void *argument); /* every line of stdout/stderr as it comes (also collected) */
	void *on_line_argument;
	bool new_session; /* setsid() in the child */
};

/*
 * Runs to the end. 0 when it exited with 0. -1: could not start (the class tells: NOT_FOUND), timed out, cancelled, or ended otherwise
 * (ERROR_SYSTEM, "NAME exited with 3: last line of stderr"); *exit_code (may be NULL) gets the code, 128+signal, or -1 when not started.
 */
int process_run(const struct process_options *options, struct cancel *cancel, int *exit_code, struct error *err);
/* Starts and returns at once. */
int process_start(const struct process_options *options, pid_t *pid, struct error *err);
/* Ends a child of ours: SIGTERM, waits up to grace_ms, SIGKILL, reaps. */
void process_end(pid_t pid, uint64_t grace_ms);

/* Short form: process_command_line(err, "ip", "link", "add", ..., NULL) runs with a 30 s limit and quiet output. */
int process_command(struct error *err, const char *name, ...) __attribute__((sentinel));
