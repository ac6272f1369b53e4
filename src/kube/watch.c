/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/watch.h"

#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/client.h"
#include "kube/json_bytes.h"

static bool is_blank(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

static void forget_partial(struct kube_watch_lines *lines)
{
	if (lines->secret && lines->partial.data != NULL)
		explicit_bzero(lines->partial.data, lines->partial.length);
	buffer_clear(&lines->partial);
}

static int give_line(const char *line, size_t length, kube_watch_line_function on_line, void *argument, struct error *err)
{
	if (is_blank(line, length))
		return 0;
	return on_line(line, length, argument, err) != 0 ? -1 : 0;
}

int kube_watch_lines_feed(struct kube_watch_lines *lines, const char *bytes, size_t length, kube_watch_line_function on_line,
                          void *argument, struct error *err)
{
	while (length > 0) {
		const char *newline = memchr(bytes, '\n', length);
		size_t piece = newline == NULL ? length : (size_t)(newline - bytes);

		if (lines->partial.length + piece > KUBE_WATCH_MAXIMUM_LINE)
			return error_set(err, ERROR_EXHAUSTED, "watch event is longer than %d bytes", KUBE_WATCH_MAXIMUM_LINE);
		if (newline == NULL) {
			buffer_append(&lines->partial, bytes, piece);
			return 0;
		}
		if (lines->partial.length == 0) {
			if (give_line(bytes, piece, on_line, argument, err) != 0)
				return -1;
		} else {
			int result;

			buffer_append(&lines->partial, bytes, piece);
			result = give_line(lines->partial.data, lines->partial.length, on_line, argument, err);
			forget_partial(lines);
			if (result != 0)
				return -1;
		}
		bytes += piece + 1;
		length -= piece + 1;
	}
	return 0;
}

bool kube_watch_lines_pending(const struct kube_watch_lines *lines)
{
	return !is_blank(lines->partial.data, lines->partial.length);
}

void kube_watch_lines_free(struct kube_watch_lines *lines)
{
	if (lines->secret)
		buffer_free_secret(&lines->partial);
	else
		buffer_free(&lines->partial);
}

static int event_error(const json_t *object, struct error *err)
{
	char *text = json_text(object);
	int code = (int)json_integer_or(object, "code", 500);

	(void)kube_status_error(code < 400 || code > 599 ? 500 : code, NULL, text, strlen(text), "watch", err);
	free(text);
	return -1;
}

int kube_watch_event_parse(const char *line, size_t length, struct kube_watch_event *event, struct error *err)
{
	static const char *const names[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };
	JSON_CLEANUP json_t *value = kube_json_parse(line, length, true, err);
	json_t *object;
	const char *type;

	if (value == NULL)
		return error_wrap(err, "watch event");
	type = json_string_at(value, "type");
	object = json_object_get(value, "object");
	if (type == NULL || !json_is_object(object))
		return error_set(err, ERROR_CORRUPT, "watch event has no type or no object");
	if (string_equal(type, "ERROR"))
		return event_error(object, err);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (!string_equal(type, names[i]))
			continue;
		if (i != KUBE_WATCH_BOOKMARK && string_empty(json_string_at(object, "metadata.name")))
			return error_set(err, ERROR_CORRUPT, "watch event %s has an object without metadata.name", type);
		if (string_empty(json_string_at(object, "metadata.resourceVersion")))
			return error_set(err, ERROR_CORRUPT, "watch event %s has an object without metadata.resourceVersion", type);
		event->type = (enum kube_watch_type)i;
		event->object = json_incref(object);
		return 0;
	}
	return error_set(err, ERROR_CORRUPT, "watch event of unknown type %.40s", type);
}
