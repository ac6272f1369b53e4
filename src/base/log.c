/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/strings.h"

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_int current_format = LOG_FORMAT_JSON;
static atomic_int descriptor = STDERR_FILENO;

static const char *const level_names[] = { "debug", "info", "warning", "error" };

void log_set_level(enum log_level level)
{
	current_level = level;
}

void log_set_format(enum log_format format)
{
	current_format = format;
}

void log_set_descriptor(int new_descriptor)
{
	descriptor = new_descriptor;
}

bool log_enabled(enum log_level level)
{
	return (int)level >= current_level;
}

int log_level_parse(const char *text, enum log_level *level)
{
	if (string_equal(text, "warn"))
		text = "warning";
	for (size_t i = 0; i < ARRAY_LENGTH(level_names); i++) {
		if (string_equal(text, level_names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

static void append_quoted(struct buffer *line, const char *text)
{
	buffer_append_char(line, '"');
	for (; *text != '\0'; text++) {
		unsigned char character = (unsigned char)*text;

		if (character == '"' || character == '\\') {
			buffer_append_char(line, '\\');
			buffer_append_char(line, *text);
		} else if (character == '\n') {
			buffer_append_string(line, "\\n");
		} else if (character < 0x20 || character == 0x7f) {
			buffer_printf(line, "\\u%04x", character);
		} else {
			buffer_append_char(line, *text);
		}
	}
	buffer_append_char(line, '"');
}

static void append_fields(struct buffer *line, bool json, const struct log_field *fields, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (json)
			buffer_printf(line, ",\"%s\":", fields[i].name);
		else
			buffer_printf(line, " %s=", fields[i].name);
		if (fields[i].string == NULL)
			buffer_printf(line, "%lld", (long long)fields[i].integer);
		else if (json)
			append_quoted(line, fields[i].string);
		else
			buffer_append_string(line, fields[i].string);
	}
}

static void write_all(const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(descriptor, bytes, length);

		if (written <= 0)
			return; /* a log that cannot be written has nobody to tell */
		bytes += written;
		length -= (size_t)written;
	}
}

void log_write_error(enum log_level level, const char *event, const char *message, const struct error *err, const struct log_field *fields,
                     unsigned count)
{
	struct buffer line BUFFER_CLEANUP = { 0 };
	bool json = current_format == LOG_FORMAT_JSON;
	char when[32];

	if (!log_enabled(level))
		return;
	clock_format_rfc3339_micro(clock_wall_micros(), when, sizeof(when));
	if (json) {
		buffer_printf(&line, "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"msg\":", when, level_names[level], event);
		append_quoted(&line, message);
	} else {
		buffer_printf(&line, "%s %-7s %s", when, level_names[level], message);
	}
	append_fields(&line, json, fields, count);
	if (err != NULL) {
		struct log_field more[] = { LOG_STRING("error", err->message), LOG_STRING("class", error_class_name(err->class)) };

		append_fields(&line, json, more, ARRAY_LENGTH(more));
	}
	buffer_append_string(&line, json ? "}\n" : "\n");
	write_all(line.data, line.length);
}

void log_write(enum log_level level, const char *event, const char *message, const struct log_field *fields, unsigned count)
{
	log_write_error(level, event, message, NULL, fields, count);
}
