/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "kube/cache.h"

void kube_index_owner_uid(const json_t *object, struct string_list *values, void *argument)
{
	size_t index;
	json_t *owner;

	json_array_foreach(json_at(object, "metadata.ownerReferences"), index, owner) {
		const char *uid = json_string_at(owner, "uid");

		if (!string_empty(uid))
			string_list_add(values, uid);
	}
}

void kube_index_namespace(const json_t *object, struct string_list *values, void *argument)
{
	const char *namespace = json_string_at(object, "metadata.namespace");

	if (!string_empty(namespace))
		string_list_add(values, namespace);
}

void kube_index_label(const json_t *object, struct string_list *values, void *argument)
{
	const char *value = json_string_value(json_object_get(json_at(object, "metadata.labels"), argument));

	if (!string_empty(value))
		string_list_add(values, value);
}
