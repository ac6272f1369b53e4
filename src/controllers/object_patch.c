/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/object_patch.h"

#include <string.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "kube/client.h"

/* A member name as a token of a JSON pointer (RFC 6901). free(). */
static char *pointer_of(const char *path, const char *name)
{
	struct buffer text = { 0 };

	buffer_append_string(&text, path);
	buffer_append_char(&text, '/');
	for (; *name != '\0'; name++) {
		if (*name == '~')
			buffer_append_string(&text, "~0");
		else if (*name == '/')
			buffer_append_string(&text, "~1");
		else
			buffer_append_char(&text, *name);
	}
	return buffer_take(&text);
}

void object_patch_difference(const json_t *stored, const json_t *wanted, const char *path, json_t *operations)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)wanted, key, value) {
		const json_t *old = json_object_get(stored, key);
		FREE_CLEANUP char *pointer = pointer_of(path, key);

		if (json_is_object(value) && json_is_object(old))
			object_patch_difference(old, value, pointer, operations);
		else if (!old || !json_equal(old, value))
			(void)json_array_append_new(operations,
			                            json_build("{s:s, s:s, s:O}", "op", "add", "path", pointer, "value", value));
	}
	json_object_foreach((json_t *)(uintptr_t)stored, key, value) {
		FREE_CLEANUP char *pointer = pointer_of(path, key);

		if (!json_object_get(wanted, key))
			(void)json_array_append_new(operations, json_build("{s:s, s:s}", "op", "remove", "path", pointer));
	}
}

/*
 * A patch whose test or path does not hold is answered with 422: the object is not what it was. A value that the schema refuses has the same
 * code, but names the object and the field.
 */
static void as_conflict(struct error *err)
{
	if (err->status == 422 && !strstr(err->message, "is invalid:"))
		err->class = ERROR_CONFLICT;
}

static json_t *guard(const json_t *live)
{
	return json_build("{s:s, s:s, s:s}", "op", "test", "path", "/metadata/resourceVersion", "value",
	                  json_string_or(live, "metadata.resourceVersion", ""));
}

static int patch_metadata(struct kube_client *client, const struct kube_resource *resource, const json_t *live, json_t *operation,
                          json_t **result, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *patch = json_build("[o, o]", guard(live), operation);
	json_t *stored = kube_client_patch(client, resource, json_string_at(live, "metadata.namespace"),
	                                   json_string_or(live, "metadata.name", ""), KUBE_PATCH_JSON, patch, NULL, cancel, err);

	if (!stored) {
		as_conflict(err);
		return error_wrap(err, "finalizers of %s", json_string_or(live, "metadata.name", ""));
	}
	if (result)
		*result = stored;
	else
		json_decref(stored);
	return 0;
}

static json_t *with_finalizer(const json_t *object, const char *finalizer, bool present)
{
	json_t *list = json_array();
	size_t index;
	json_t *item;

	json_array_foreach(json_at(object, "metadata.finalizers"), index, item) {
		if (!string_equal(json_string_value(item), finalizer))
			(void)json_array_append(list, item);
	}
	if (present)
		(void)json_array_append_new(list, json_string_new(finalizer));
	return list;
}

bool object_has_finalizer(const json_t *object, const char *finalizer)
{
	size_t index;
	json_t *item;

	json_array_foreach(json_at(object, "metadata.finalizers"), index, item) {
		if (string_equal(json_string_value(item), finalizer))
			return true;
	}
	return false;
}

int object_patch_finalizer(struct kube_client *client, const struct kube_resource *resource, const json_t *live, const char *finalizer,
                           bool present, json_t **result, struct cancel *cancel, struct error *err)
{
	if (result)
		*result = NULL;
	if (object_has_finalizer(live, finalizer) == present)
		return 0;
	return patch_metadata(client, resource, live,
	                      json_build("{s:s, s:s, s:o}", "op", "add", "path", "/metadata/finalizers", "value",
	                                 with_finalizer(live, finalizer, present)),
	                      result, cancel, err);
}

int object_patch_clear_finalizers(struct kube_client *client, const struct kube_resource *resource, const json_t *live,
                                  struct cancel *cancel, struct error *err)
{
	if (json_array_size(json_at(live, "metadata.finalizers")) == 0)
		return 0;
	return patch_metadata(client, resource, live, json_build("{s:s, s:s}", "op", "remove", "path", "/metadata/finalizers"), NULL,
	                      cancel, err);
}

int object_patch_status(struct kube_client *client, const struct kube_resource *resource, const json_t *live, const json_t *base,
                        const json_t *status, json_t **result, struct cancel *cancel, struct error *err)
{
	const struct kube_write_options options = { .subresource = "status" };
	JSON_CLEANUP json_t *patch =
		json_build("[{s:s, s:s, s:s}]", "op", "test", "path", "/metadata/uid", "value", json_string_or(live, "metadata.uid", ""));

	if (result)
		*result = NULL;
	if (base)
		object_patch_difference(base, status, "/status", patch);
	else
		(void)json_array_append_new(patch, json_build("{s:s, s:s, s:O}", "op", "add", "path", "/status", "value", status));
	if (json_array_size(patch) == 1)
		return 0;
	json_t *stored = kube_client_patch(client, resource, json_string_at(live, "metadata.namespace"),
	                                   json_string_or(live, "metadata.name", ""), KUBE_PATCH_JSON, patch, &options, cancel, err);

	if (!stored) {
		as_conflict(err);
		return error_wrap(err, "status of %s", json_string_or(live, "metadata.name", ""));
	}
	if (result)
		*result = stored;
	else
		json_decref(stored);
	return 0;
}
