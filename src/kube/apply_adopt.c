/* SPDX-License-Identifier: Apache-2.0 */
/* Moving ownership from Update records to our Apply record, in one JSON patch of metadata.managedFields. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/strings.h"
#include "kube/apply.h"
#include "kube/json_bytes.h"

/* Adds the members of `from` to `into`, recursively (both fieldsV1). */
static void merge_fields(json_t *into, const json_t *from)
{
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)from, name, member) {
		json_t *present = json_object_get(into, name);

		if (present == NULL)
			json_object_set_new(into, name, json_deep_copy(member));
		else if (json_is_object(member) && json_is_object(present))
			merge_fields(present, member);
	}
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; names != NULL && *names != NULL; names++)
		if (string_equal(name, *names))
			return true;
	return false;
}

static bool is_record(const json_t *record, const char *operation)
{
	return string_equal(json_string_at(record, "operation"), operation) && string_empty(json_string_at(record, "subresource")) &&
	       json_is_object(json_object_get(record, "fieldsV1"));
}

/* Did it set that label and an owner reference? */
static bool made_the_object(const json_t *record, const char *label)
{
	const json_t *metadata = json_object_get(json_object_get(record, "fieldsV1"), "f:metadata");
	FREE_CLEANUP char *field = string_printf("f:%s", label != NULL ? label : "");

	return label != NULL && json_object_get(json_object_get(metadata, "f:labels"), field) != NULL &&
	       json_object_get(metadata, "f:ownerReferences") != NULL;
}

/* Records of another apiVersion stay: their fields cannot be compared with ours. */
json_t *kube_apply_adopted_records(const json_t *object, const char *api_version, const char *field_manager,
                                   const struct kube_adoption *adoption)
{
	const char *manager = field_manager != NULL ? field_manager : "kamaji";
	json_t *result = json_array(), *fields = json_object(), *record;
	bool moved = false;
	char now[32];
	size_t index;

	json_array_foreach(json_at(object, "metadata.managedFields"), index, record) {
		const char *who = json_string_or(record, "manager", "");
		bool same_version = string_equal(json_string_at(record, "apiVersion"), api_version);

		if (same_version && is_record(record, "Update") &&
		    (is_one_of(who, adoption->from) || made_the_object(record, adoption->label))) {
			merge_fields(fields, json_object_get(record, "fieldsV1"));
			moved = true;
		} else if (same_version && is_record(record, "Apply") && string_equal(who, manager))
			merge_fields(fields, json_object_get(record, "fieldsV1"));
		else
			json_array_append(result, record);
	}
	if (!moved) {
		json_decref(result);
		json_decref(fields);
		return NULL;
	}
	clock_format_rfc3339(clock_wall_seconds(), now, sizeof(now));
	json_array_append_new(result, json_build("{s:s, s:s, s:s, s:s, s:s, s:o}", "manager", manager, "operation", "Apply", "apiVersion",
	                                         api_version, "time", now, "fieldsType", "FieldsV1", "fieldsV1", fields));
	return result;
}

int kube_apply_adopt(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                     const char *field_manager, const struct kube_adoption *adoption, bool *changed, struct cancel *cancel,
                     struct error *err)
{
	JSON_SCRUB_CLEANUP json_t *live = kube_client_get(client, resource, namespace, name, cancel, err);
	const char *manager = field_manager != NULL ? field_manager : "kamaji";
	JSON_CLEANUP json_t *patch = NULL;
	JSON_SCRUB_CLEANUP json_t *stored = NULL;
	json_t *records;
	char api_version[128];

	*changed = false;
	if (live == NULL)
		return -1;
	(void)kube_resource_api_version(resource, api_version, sizeof(api_version));
	records = kube_apply_adopted_records(live, api_version, manager, adoption);
	if (records == NULL)
		return 0;
	patch = json_build("[{s:s, s:s, s:o}, {s:s, s:s, s:s}]", "op", "replace", "path", "/metadata/managedFields", "value", records, "op",
	                   "replace", "path", "/metadata/resourceVersion", "value", json_string_or(live, "metadata.resourceVersion", ""));
	stored = kube_client_patch(client, resource, namespace, name, KUBE_PATCH_JSON, patch,
	                           &(struct kube_write_options){ .field_manager = manager }, cancel, err);
	if (stored == NULL)
		return error_wrap(err, "adopt");
	*changed = true;
	return 0;
}
