/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/object_patch.h"

#include "base/strings.h"
#include "kube/client.h"

json_t *object_patch_difference(const json_t *stored, const json_t *wanted)
{
	json_t *patch = json_object(), *value;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)wanted, key, value) {
		const json_t *old = json_object_get(stored, key);
		json_t *change = NULL;

		if (json_is_object(value) && json_is_object(old)) {
			change = object_patch_difference(old, value);
		} else if (!old || !json_equal(old, value)) {
			change = json_deep_copy(value);
		}
		if (change)
			(void)json_object_set_new(patch, key, change);
	}
	json_object_foreach ((json_t *)(uintptr_t)stored, key, value) {
		if (!json_object_get(wanted, key))
			(void)json_object_set_new(patch, key, json_null());
	}
	if (json_object_size(patch) > 0)
		return patch;
	json_decref(patch);
	return NULL;
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
		/* The server answers a failed test with 422 Invalid. */
		if (err->class == ERROR_INVALID && err->status == 422)
			err->class = ERROR_CONFLICT;
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

	json_array_foreach (json_at(object, "metadata.finalizers"), index, item) {
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

	json_array_foreach (json_at(object, "metadata.finalizers"), index, item) {
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
	return patch_metadata(client, resource, live, json_build("{s:s, s:s}", "op", "remove", "path", "/metadata/finalizers"), NULL, cancel,
	                      err);
}

int object_patch_status(struct kube_client *client, const struct kube_resource *resource, const json_t *live, const json_t *base,
                        const json_t *status, json_t **result, struct cancel *cancel, struct error *err)
{
	const struct kube_write_options options = { .subresource = "status" };
	json_t *difference = object_patch_difference(base, status);

	if (result)
		*result = NULL;
	if (!difference)
		return 0;
	JSON_CLEANUP json_t *patch = json_build("{s:{s:s}, s:o}", "metadata", "uid", json_string_or(live, "metadata.uid", ""), "status",
	                                        difference);
	json_t *stored = kube_client_patch(client, resource, json_string_at(live, "metadata.namespace"),
	                                   json_string_or(live, "metadata.name", ""), KUBE_PATCH_MERGE, patch, &options, cancel, err);

	if (!stored)
		return error_wrap(err, "status of %s", json_string_or(live, "metadata.name", ""));
	if (result)
		*result = stored;
	else
		json_decref(stored);
	return 0;
}
