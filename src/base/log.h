/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON log lines on stderr: {"ts":...,"level":"info","event":"tenant.ready","msg":"...",KEY:VALUE...}. `event` is a stable dotted word to
 * alert on; `msg` is for people. A line is written with one write(2), so lines of threads never mix. Values are never secret: callers log
 * names, counts and error texts only. Text format (for a terminal) is chosen with log_set_format().
 *
 *   log_info("tenant.ready", "control plane is ready", LOG_STRING("tenant", key), LOG_INTEGER("milliseconds", took));
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

struct log_field {
	const char *name;
	const char *string; /* used when not NULL */
	int64_t integer;
};
static inline const char *log_text(const char *value)
{
	return value ? value : "";
}
#define LOG_STRING(field_name, value) ((struct log_field){ .name = (field_name), .string = log_text(value) })
#define LOG_INTEGER(field_name, value) ((struct log_field){ .name = (field_name), .integer = (value) })

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
void log_set_descriptor(int descriptor); /* default 2; tests capture with it */
bool log_enabled(enum log_level level);
int log_level_parse(const char *text, enum log_level *level); /* "debug", "info", "warning"/"warn", "error"; 0 or -1 */

void log_write(enum log_level level, const char *event, const char *message, const struct log_field *fields, unsigned count);
/* Adds "error" (text) and "class". */
void log_write_error(enum log_level level, const char *event, const char *message, const struct error *err, const struct log_field *fields,
                     unsigned count);

#define LOG_FIELDS(...) \
	((const struct log_field[]){ { 0 }, ##__VA_ARGS__ } + 1), \
		(unsigned)(sizeof((const struct log_field[]){ { 0 }, ##__VA_ARGS__ }) / sizeof(struct log_field) - 1)
#define log_debug(event, message, ...) log_write(LOG_LEVEL_DEBUG, event, message, LOG_FIELDS(__VA_ARGS__))
#define log_info(event, message, ...) log_write(LOG_LEVEL_INFO, event, message, LOG_FIELDS(__VA_ARGS__))
#define log_warning(event, message, ...) log_write(LOG_LEVEL_WARNING, event, message, LOG_FIELDS(__VA_ARGS__))
#define log_error(event, message, err, ...) log_write_error(LOG_LEVEL_ERROR, event, message, err, LOG_FIELDS(__VA_ARGS__))
#define log_warning_error(event, message, err, ...) log_write_error(LOG_LEVEL_WARNING, event, message, err, LOG_FIELDS(__VA_ARGS__))
