/* SPDX-License-Identifier: Apache-2.0 */
#include "local/component_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strings.h"

enum { PLAIN_EVERY_MS = 30000, MEBIBYTE = 1024 * 1024, WIDTH = 110 };

void component_reporter_init(struct component_reporter *reporter, FILE *stream)
{
	const char *terminal = getenv("TERM");

	*reporter = (struct component_reporter){ .stream = stream };
	reporter->terminal = isatty(fileno(stream)) && terminal != NULL && !string_equal(terminal, "dumb");
}

void component_reporter_end(struct component_reporter *reporter)
{
	if (reporter->open)
		(void)fputc('\n', reporter->stream);
	reporter->open = false;
}

/* lasting: the line stays, the next one begins below it. */
static void line(struct component_reporter *reporter, bool lasting, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void line(struct component_reporter *reporter, bool lasting, const char *format, ...)
{
	char text[1200];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!lasting && reporter->terminal && strlen(text) > WIDTH)
		text[WIDTH] = '\0';
	(void)fprintf(reporter->stream, "%s  %s%s", reporter->open ? "\r\033[K" : "", text, lasting || !reporter->terminal ? "\n" : "");
	(void)fflush(reporter->stream);
	reporter->open = !lasting && reporter->terminal;
}

static void show_passing(struct component_reporter *reporter, const struct component_progress *progress)
{
	const char *name = progress->file != NULL ? progress->file : "";
	uint64_t seconds = progress->elapsed_ms / 1000;

	if (!reporter->terminal && reporter->last_ms != 0 && progress->elapsed_ms - reporter->last_ms < PLAIN_EVERY_MS &&
	    progress->elapsed_ms >= reporter->last_ms)
		return;
	reporter->last_ms = progress->elapsed_ms != 0 ? progress->elapsed_ms : 1;
	switch (progress->activity) {
	case COMPONENT_ACTIVITY_WAITING:
		line(reporter, false, "waiting: %s", progress->text);
		break;
	case COMPONENT_ACTIVITY_COPYING:
		line(reporter, false, "%s: taking it from %s", name, progress->text);
		break;
	case COMPONENT_ACTIVITY_UNPACKING:
		line(reporter, false, "%s: unpacking", name);
		break;
	case COMPONENT_ACTIVITY_DOWNLOADING:
		if (progress->total != 0)
			line(reporter, false, "%s: %llu of %llu MiB, %llu s", name, (unsigned long long)(progress->done / MEBIBYTE),
			     (unsigned long long)(progress->total / MEBIBYTE), (unsigned long long)seconds);
		else
			line(reporter, false, "%s: downloading, %llu MiB", name, (unsigned long long)(progress->done / MEBIBYTE));
		break;
	default:
		line(reporter, false, "%s: building, %llu s%s%s", name, (unsigned long long)seconds, progress->text != NULL ? ", " : "",
		     progress->text != NULL ? progress->text : "");
		break;
	}
}

void component_reporter_show(void *context, const struct component_progress *progress)
{
	struct component_reporter *reporter = context;

	if (progress->activity == COMPONENT_ACTIVITY_NOTICE) {
		line(reporter, true, "note: %s", progress->text);
	} else if (progress->activity == COMPONENT_ACTIVITY_DONE) {
		line(reporter, true, "%s %s: %llu.%llu s, %s", progress->file, progress->component->version,
		     (unsigned long long)(progress->elapsed_ms / 1000), (unsigned long long)(progress->elapsed_ms / 100 % 10),
		     progress->text);
		reporter->last_ms = 0;
	} else {
		show_passing(reporter, progress);
	}
}
