/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of a long command for people: named phases, some at the same time. On a terminal the last line shows what is being waited for
 * and is rewritten in place; elsewhere every phase prints one line when it begins to take long and one when it ends. Thread-safe.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"

enum { PROGRESS_PHASE_MAX = 24, PROGRESS_NOTE_MAX = 160, PROGRESS_SLOW_MS = 5000 };

struct progress_phase {
	const char *name; /* static text */
	char note[PROGRESS_NOTE_MAX];
	uint64_t begun_ms, ended_ms; /* ended 0: under way */
	uint64_t shown_ms;           /* last time something was printed for it */
	const char *mark;            /* "ok", "failed", "stopped" */
};

struct progress {
	pthread_mutex_t mutex;
	FILE *out;
	bool terminal, colours, quiet;
	bool line_open; /* a rewritable line is on the screen */
	uint64_t begun_ms;
	struct progress_phase phases[PROGRESS_PHASE_MAX];
	unsigned count;
};

/* out: usually stderr. quiet prints nothing but keeps the times. */
void progress_init(struct progress *progress, FILE *out, bool quiet);
/* Begins a phase; the number goes into the calls below. */
unsigned progress_begin(struct progress *progress, const char *name);
void progress_note(struct progress *progress, unsigned phase, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* outcome: "3 made, 4 kept"; NULL: what the note said last. */
void progress_end(struct progress *progress, unsigned phase, const char *outcome);
void progress_fail(struct progress *progress, unsigned phase);
/* Ends every phase that is under way, as failed or, when the user interrupted, as stopped. */
void progress_abandon(struct progress *progress, bool interrupted);
/* A line of its own between the phases. */
void progress_print(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the rewritable line. */
void progress_finish(struct progress *progress);
/* [{"phase","seconds"}], in the order of their beginning, and the whole time. New reference. */
json_t *progress_times(struct progress *progress);
uint64_t progress_elapsed_ms(const struct progress *progress);
