/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/json_patch.h"

#include <string.h>

#include "base/buffer.h"
#include "base/strings.h"

/* Where a pointer leads: the parent container and the last token, unescaped. parent NULL: the whole document. */
struct location {
	json_t *parent;
	char *token;
};

static void location_cleanup(struct location *location)
{
	free(location->token);
}
#define LOCATION_CLEANUP __attribute__((cleanup(location_cleanup)))

static char *unescape(const char *text, size_t length)
{
	struct buffer out = { 0 };

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '~' && i + 1 < length && (text[i + 1] == '0' || text[i + 1] == '1'))
			buffer_append_char(&out, text[++i] == '0' ? '~' : '/');
		else
			buffer_append_char(&out, text[i]);
	}
	return buffer_take(&out);
}

/* An index within [0, bound); -1 for anything else ("01" is no index). */
static int array_index(const char *token, size_t bound, size_t *index)
{
	struct error err;
	int64_t number;

	if ((token[0] == '0' && token[1] != '\0') || bound == 0 ||
	    string_to_integer(token, 0, (int64_t)bound - 1, "index", &number, &err) < 0)
		return -1;
	*index = (size_t)number;
	return 0;
}

static json_t *child(json_t *parent, const char *token)
{
	size_t index;

	if (json_is_object(parent))
		return json_object_get(parent, token);
	if (json_is_array(parent) && array_index(token, json_array_size(parent), &index) == 0)
		return json_array_get(parent, index);
	return NULL;
}

static int locate(json_t *document, const char *pointer, struct location *location, struct error *err)
{
	if (*pointer == '\0')
		return 0;
	if (*pointer != '/')
		return error_set(err, ERROR_INVALID, "path \"%s\" must start with \"/\"", pointer);
	location->parent = document;
	for (const char *begin = pointer + 1;; begin += strcspn(begin, "/") + 1) {
		size_t length = strcspn(begin, "/");

		free(location->token);
		location->token = unescape(begin, length);
		if (begin[length] == '\0')
			return 0;
		location->parent = child(location->parent, location->token);
		if (!location->parent)
			return error_set(err, ERROR_INVALID, "path \"%s\": \"%s\" does not exist", pointer, location->token);
	}
}

static int get(json_t *document, const char *pointer, json_t **value, struct error *err)
{
	LOCATION_CLEANUP struct location location = { 0 };

	if (locate(document, pointer, &location, err) < 0)
		return -1;
	*value = location.parent ? child(location.parent, location.token) : document;
	return *value ? 0 : error_set(err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
}

/* Steals value. */
static int add(json_t **document, const char *pointer, json_t *value, bool replace, struct error *err)
{
	LOCATION_CLEANUP struct location location = { 0 };
	size_t index;

	if (locate(*document, pointer, &location, err) < 0) {
		json_decref(value);
		return -1;
	}
	if (!location.parent) {
		json_decref(*document);
		*document = value;
		return 0;
	}
	if (json_is_object(location.parent))
		return json_object_set_new(location.parent, location.token, value) == 0
		               ? 0
		               : error_set(err, ERROR_INVALID, "path \"%s\": the member name is not UTF-8", pointer);
	if (json_is_array(location.parent)) {
		size_t size = json_array_size(location.parent);

		if (replace && array_index(location.token, size, &index) == 0)
			return json_array_set_new(location.parent, index, value);
		if (!replace && string_equal(location.token, "-"))
			return json_array_append_new(location.parent, value);
		if (!replace && array_index(location.token, size + 1, &index) == 0)
			return json_array_insert_new(location.parent, index, value);
	}
	json_decref(value);
	return error_set(err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
}

static int remove_at(json_t *document, const char *pointer, struct error *err)
{
	LOCATION_CLEANUP struct location location = { 0 };
	size_t index;

	if (locate(document, pointer, &location, err) < 0)
		return -1;
	if (json_is_object(location.parent) && json_object_del(location.parent, location.token) == 0)
		return 0;
	if (json_is_array(location.parent) && array_index(location.token, json_array_size(location.parent), &index) == 0)
		return json_array_remove(location.parent, index);
	return error_set(err, ERROR_INVALID, "path \"%s\" does not exist", pointer);
}

/* A patch that takes away what a version of ours does not write anyway has what it wants. */
static int remove_if_there(json_t *document, const char *pointer, struct error *err)
{
	json_t *found;

	if (*pointer == '/' && get(document, pointer, &found, err) < 0) {
		error_clear(err);
		return 0;
	}
	return remove_at(document, pointer, err);
}

static int copy_or_move(json_t **document, const char *from, const char *path, bool move, struct error *err)
{
	json_t *value;

	if (!from)
		return error_set(err, ERROR_INVALID, "\"from\" is missing");
	if (move && string_has_prefix(path, from) && path[strlen(from)] == '/')
		return error_set(err, ERROR_INVALID, "cannot move \"%s\" into itself", from);
	if (get(*document, from, &value, err) < 0)
		return -1;
	value = json_deep_copy(value);
	if (move && remove_at(*document, from, err) < 0) {
		json_decref(value);
		return -1;
	}
	return add(document, path, value, false, err);
}

static int apply_one(json_t **document, const json_t *operation, struct error *err)
{
	const char *name = json_string_or(operation, "op", "");
	const char *path = json_string_at(operation, "path");
	json_t *value = json_object_get(operation, "value"), *found;

	if (!path)
		return error_set(err, ERROR_INVALID, "\"path\" is missing");
	if (string_equal(name, "add") || string_equal(name, "replace"))
		return add(document, path, value ? json_deep_copy(value) : json_null(), string_equal(name, "replace"), err);
	if (string_equal(name, "remove"))
		return remove_if_there(*document, path, err);
	if (string_equal(name, "copy") || string_equal(name, "move"))
		return copy_or_move(document, json_string_at(operation, "from"), path, string_equal(name, "move"), err);
	if (string_equal(name, "test")) {
		if (get(*document, path, &found, err) < 0)
			return -1;
		return json_equal(found, value ? value : json_null())
		               ? 0
		               : error_set(err, ERROR_INVALID, "test of \"%s\" failed: it has another value", path);
	}
	return error_set(err, ERROR_INVALID, "op \"%s\" is none of add, remove, replace, move, copy, test", name);
}

int json_patch_apply(json_t **document, const json_t *operations, struct error *err)
{
	json_t *result = json_deep_copy(*document);
	size_t index;
	json_t *operation;

	if (json_array_size(operations) > JSON_PATCH_MAXIMUM_OPERATIONS) {
		json_decref(result);
		return error_set(err, ERROR_EXHAUSTED, "more than %d operations", JSON_PATCH_MAXIMUM_OPERATIONS);
	}
	json_array_foreach(operations, index, operation) {
		if (apply_one(&result, operation, err) < 0) {
			json_decref(result);
			return error_wrap(err, "[%zu]", index);
		}
	}
	json_decref(*document);
	*document = result;
	return 0;
}
