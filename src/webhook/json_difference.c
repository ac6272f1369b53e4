/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"
#include "base/strings.h"
#include "webhook/admission_internal.h"

static void add_operation(json_t *operations, const char *kind, const char *path, const json_t *value)
{
	json_t *operation = json_build("{s:s,s:s}", "op", kind, "path", path);

	if (value)
		json_object_set_new(operation, "value", json_deep_copy(value));
	json_array_append_new(operations, operation);
}

/* RFC 6901: "~" is ~0, "/" is ~1. */
static char *child_path(const char *parent, const char *name)
{
	struct buffer path = { 0 };

	(void)buffer_append_string(&path, parent);
	(void)buffer_append_char(&path, '/');
	for (; *name; name++) {
		if (*name == '~')
			(void)buffer_append_string(&path, "~0");
		else if (*name == '/')
			(void)buffer_append_string(&path, "~1");
		else
			(void)buffer_append_char(&path, *name);
	}
	return buffer_take(&path);
}

static void difference(json_t *before, json_t *after, const char *path, json_t *operations)
{
	const char *name;
	json_t *member;

	json_object_foreach(before, name, member) {
		FREE_CLEANUP char *child = child_path(path, name);

		if (!json_object_get(after, name))
			add_operation(operations, "remove", child, NULL);
	}
	json_object_foreach(after, name, member) {
		FREE_CLEANUP char *child = child_path(path, name);
		json_t *old = json_object_get(before, name);

		if (!old)
			add_operation(operations, "add", child, member);
		else if (json_is_object(old) && json_is_object(member))
			difference(old, member, child, operations);
		else if (!json_equal(old, member))
			add_operation(operations, "replace", child, member);
	}
}

json_t *json_difference(const json_t *before, const json_t *after)
{
	json_t *operations = json_array();

	difference((json_t *)before, (json_t *)after, "", operations);
	return operations;
}
