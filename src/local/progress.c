/* SPDX-License-Identifier: Apache-2.0 */
#include "local/progress.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/thread.h"

enum { NAME_WIDTH = 22 };

void progress_init(struct progress *progress, FILE *out, bool quiet)
{
	*progress = (struct progress){ .out = out, .quiet = quiet, .begun_ms = clock_monotonic_ms() };
	pthread_mutex_init(&progress->mutex, NULL);
	const char *term = getenv("TERM");
	progress->terminal = isatty(fileno(out)) && term && !string_equal(term, "dumb");
	progress->colours = progress->terminal && !getenv("NO_COLOR");
}

uint64_t progress_elapsed_ms(const struct progress *progress)
{
	return clock_monotonic_ms() - progress->begun_ms;
}

static void clear_line(struct progress *progress)
{
	if (progress->line_open)
		fputs("\r\033[K", progress->out);
	progress->line_open = false;
}

/* The rewritable line: the phase under way that began first. */
static void show_current(struct progress *progress)
{
	if (!progress->terminal || progress->quiet)
		return;
	clear_line(progress);
	for (unsigned i = 0; i < progress->count; i++) {
		const struct progress_phase *phase = &progress->phases[i];
		if (phase->ended_ms)
			continue;
		fprintf(progress->out, "  .. %-*s %6.1f s  %.90s", NAME_WIDTH, phase->name,
		        (double)(clock_monotonic_ms() - phase->begun_ms) / 1000.0, phase->note);
		progress->line_open = true;
		break;
	}
	fflush(progress->out);
}

unsigned progress_begin(struct progress *progress, const char *name)
{
	THREAD_LOCKED(&progress->mutex);
	unsigned number = progress->count < PROGRESS_PHASE_MAX ? progress->count++ : PROGRESS_PHASE_MAX - 1;
	uint64_t now = clock_monotonic_ms();
	progress->phases[number] = (struct progress_phase){ .name = name, .begun_ms = now, .shown_ms = now };
	show_current(progress);
	return number;
}

void progress_note(struct progress *progress, unsigned number, const char *format, ...)
{
	THREAD_LOCKED(&progress->mutex);
	struct progress_phase *phase = &progress->phases[number];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(phase->note, sizeof(phase->note), format, arguments);
	va_end(arguments);
	uint64_t now = clock_monotonic_ms();
	if (progress->terminal) {
		show_current(progress);
	} else if (!progress->quiet && now - phase->shown_ms >= PROGRESS_SLOW_MS) {
		fprintf(progress->out, "  .. %-*s %6.1f s  %s\n", NAME_WIDTH, phase->name, (double)(now - phase->begun_ms) / 1000.0,
		        phase->note);
		fflush(progress->out);
		phase->shown_ms = now;
	}
}

static void close_phase(struct progress *progress, unsigned number, const char *outcome, const char *mark)
{
	THREAD_LOCKED(&progress->mutex);
	struct progress_phase *phase = &progress->phases[number];
	if (phase->ended_ms)
		return;
	phase->ended_ms = clock_monotonic_ms();
	phase->mark = mark;
	if (outcome)
		snprintf(phase->note, sizeof(phase->note), "%s", outcome);
	if (progress->quiet)
		return;
	clear_line(progress);
	const char *colour = !progress->colours ? "" : string_equal(mark, "ok") ? "\033[32m" : "\033[31m";
	fprintf(progress->out, "  %s%s%s %-*s %6.1f s  %s\n", colour, mark, progress->colours ? "\033[0m" : "", NAME_WIDTH, phase->name,
	        (double)(phase->ended_ms - phase->begun_ms) / 1000.0, phase->note);
	show_current(progress);
	fflush(progress->out);
}

void progress_end(struct progress *progress, unsigned phase, const char *outcome)
{
	close_phase(progress, phase, outcome, "ok");
}

void progress_fail(struct progress *progress, unsigned phase)
{
	close_phase(progress, phase, NULL, "failed");
}

void progress_abandon(struct progress *progress, bool interrupted)
{
	for (unsigned i = 0; i < progress->count; i++)
		close_phase(progress, i, NULL, interrupted ? "stopped" : "failed");
}

void progress_print(struct progress *progress, const char *format, ...)
{
	THREAD_LOCKED(&progress->mutex);
	if (progress->quiet)
		return;
	clear_line(progress);
	va_list arguments;
	va_start(arguments, format);
	vfprintf(progress->out, format, arguments);
	va_end(arguments);
	fputc('\n', progress->out);
	show_current(progress);
	fflush(progress->out);
}

void progress_finish(struct progress *progress)
{
	THREAD_LOCKED(&progress->mutex);
	clear_line(progress);
	fflush(progress->out);
}

json_t *progress_times(struct progress *progress)
{
	THREAD_LOCKED(&progress->mutex);
	json_t *times = json_array();
	for (unsigned i = 0; i < progress->count; i++) {
		const struct progress_phase *phase = &progress->phases[i];
		uint64_t end = phase->ended_ms ? phase->ended_ms : clock_monotonic_ms();
		json_array_append_new(times, json_build("{s:s, s:f, s:f}", "phase", phase->name, "beginSeconds",
		                                        (double)(phase->begun_ms - progress->begun_ms) / 1000.0, "seconds",
		                                        (double)(end - phase->begun_ms) / 1000.0));
	}
	return times;
}
