/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

json_t *json_parse(const char *text, size_t length, struct error *err)
{
	json_error_t problem;
	json_t *value;

	if (length > JSON_MAXIMUM_BYTES) {
		error_set(err, ERROR_EXHAUSTED, "JSON text of %zu bytes is over the limit of %d", length, JSON_MAXIMUM_BYTES);
		return NULL;
	}
	value = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
	if (value == NULL)
		error_set(err, ERROR_CORRUPT, "JSON: line %d column %d: %s", problem.line, problem.column, problem.text);
	return value;
}

static char *dump(const json_t *value, size_t flags)
{
	char *text = json_dumps(value, flags | JSON_COMPACT | JSON_ENCODE_ANY);

	if (text == NULL)
		abort();
	return text;
}

char *json_text(const json_t *value)
{
	return dump(value, 0);
}

char *json_canonical(const json_t *value)
{
	return dump(value, JSON_SORT_KEYS);
}

/* Reads the next step of a path: a member name or [index]. */
static json_t *step_into(const json_t *value, const char **path)
{
	const char *start = *path;
	size_t length;

	if (*start == '[') {
		char *end = NULL;
		unsigned long index = strtoul(start + 1, &end, 10);

		if (*end != ']')
			return NULL;
		*path = end[1] == '.' ? end + 2 : end + 1;
		return json_array_get(value, index);
	}
	length = strcspn(start, ".[");
	*path = start[length] == '.' ? start + length + 1 : start + length;
	return json_object_getn(value, start, length);
}

json_t *json_at(const json_t *value, const char *path)
{
	while (value != NULL && *path != '\0')
		value = step_into(value, &path);
	return (json_t *)value;
}

const char *json_string_at(const json_t *value, const char *path)
{
	return json_string_value(json_at(value, path));
}

const char *json_string_or(const json_t *value, const char *path, const char *fallback)
{
	const char *text = json_string_at(value, path);

	return text ? text : fallback;
}

int64_t json_integer_or(const json_t *value, const char *path, int64_t fallback)
{
	const json_t *member = json_at(value, path);

	return json_is_integer(member) ? json_integer_value(member) : fallback;
}

bool json_boolean_or(const json_t *value, const char *path, bool fallback)
{
	const json_t *member = json_at(value, path);

	return json_is_boolean(member) ? json_boolean_value(member) : fallback;
}

static void set_or_abort(json_t *object, const char *name, size_t length, json_t *member)
{
	if (json_object_setn_new(object, name, length, member) < 0)
		abort();
}

static json_t *ensure_objects(json_t *value, const char *path, size_t path_length)
{
	const char *end = path + path_length;

	while (path < end) {
		size_t length = strcspn(path, ".");
		json_t *next;

		if (length > (size_t)(end - path))
			length = (size_t)(end - path);
		next = json_object_getn(value, path, length);
		if (!json_is_object(next)) {
			next = json_object();
			set_or_abort(value, path, length, next);
		}
		value = next;
		path += length + 1;
	}
	return value;
}

json_t *json_ensure_object(json_t *value, const char *path)
{
	return ensure_objects(value, path, strlen(path));
}

void json_put(json_t *value, const char *path, json_t *member)
{
	const char *dot = strrchr(path, '.');

	if (dot != NULL) {
		value = ensure_objects(value, path, (size_t)(dot - path));
		path = dot + 1;
	}
	set_or_abort(value, path, strlen(path), member);
}

void json_put_string(json_t *value, const char *path, const char *text)
{
	if (text != NULL)
		json_put(value, path, json_string_new(text));
}

json_t *json_string_new(const char *text)
{
	json_t *value = json_string(text);

	if (value == NULL)
		abort();
	return value;
}

json_t *json_string_printf(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;
	json_t *value;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	value = json_string_new(text);
	free(text);
	return value;
}

json_t *json_build(const char *format, ...)
{
	json_error_t problem;
	va_list arguments;
	json_t *value;

	va_start(arguments, format);
	value = json_vpack_ex(&problem, 0, format, arguments);
	va_end(arguments);
	if (value == NULL) {
		(void)fprintf(stderr, "json_build(\"%s\"): column %d: %s\n", format, problem.column, problem.text);
		abort();
	}
	return value;
}

static bool scalars_equal(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return json_is_integer(a) && json_is_integer(b) ? json_integer_value(a) == json_integer_value(b)
		                                                : json_number_value(a) == json_number_value(b);
	return json_equal(a, b) == 1;
}

bool json_is_subset(const json_t *wanted, const json_t *live)
{
	if (json_is_object(wanted)) {
		const char *name;
		json_t *member;

		if (!json_is_object(live))
			return false;
		json_object_foreach((json_t *)wanted, name, member) {
			const json_t *other = json_object_get(live, name);

			if (other == NULL || !json_is_subset(member, other))
				return false;
		}
		return true;
	}
	if (json_is_array(wanted)) {
		if (!json_is_array(live) || json_array_size(wanted) != json_array_size(live))
			return false;
		for (size_t i = 0; i < json_array_size(wanted); i++)
			if (!json_is_subset(json_array_get(wanted, i), json_array_get(live, i)))
				return false;
		return true;
	}
	return live != NULL && scalars_equal(wanted, live);
}

static bool is_empty(const json_t *value)
{
	return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0) || (json_is_array(value) && json_array_size(value) == 0);
}

void json_prune_empty(json_t *value)
{
	if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++)
			json_prune_empty(json_array_get(value, i));
	} else if (json_is_object(value)) {
		const char *name;
		json_t *member;
		void *next;

		json_object_foreach_safe(value, next, name, member) {
			json_prune_empty(member);
			if (is_empty(member))
				(void)json_object_del(value, name);
		}
	}
}
