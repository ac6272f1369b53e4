/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/entry.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/json_bytes.h"
#include "kube/resource.h"

static const char last_applied[] = "kubectl.kubernetes.io/last-applied-configuration";

/* The struct that callers see stands in front of its own text. */
struct held {
	atomic_uint references;
	struct kube_entry entry;
	char text[];
};

static struct held *held_of(const struct kube_entry *entry)
{
	return (struct held *)((uintptr_t)entry - offsetof(struct held, entry));
}

/* fieldsV1 of the record that `manager` made in that way to the object itself (not to a subresource); free(), NULL when there is none. */
static char *owned_fields(const json_t *metadata, const char *manager, const char *operation)
{
	const json_t *records = json_object_get(metadata, "managedFields");
	size_t index;
	json_t *record;

	json_array_foreach(records, index, record) {
		if (!string_equal(json_string_at(record, "manager"), manager) ||
		    !string_equal(json_string_at(record, "operation"), operation) || !string_empty(json_string_at(record, "subresource")))
			continue;
		if (json_is_object(json_object_get(record, "fieldsV1")))
			return json_text(json_object_get(record, "fieldsV1"));
	}
	return NULL;
}

static void strip(json_t *metadata)
{
	json_t *annotations = json_object_get(metadata, "annotations");

	(void)json_object_del(metadata, "managedFields");
	if (annotations == NULL || json_object_get(annotations, last_applied) == NULL)
		return;
	(void)json_object_del(annotations, last_applied);
	if (json_object_size(annotations) == 0)
		(void)json_object_del(metadata, "annotations");
}

static char *put(char **at, const char *text, size_t length)
{
	char *result = *at;

	memcpy(result, text, length);
	result[length] = '\0';
	*at += length + 1;
	return result;
}

struct kube_entry *kube_entry_new(json_t *object, const char *field_manager, struct error *err)
{
	json_t *metadata = json_object_get(object, "metadata");
	const char *name = json_string_at(metadata, "name"), *namespace = json_string_or(metadata, "namespace", "");
	const char *uid = json_string_or(metadata, "uid", ""), *version = json_string_or(metadata, "resourceVersion", "");
	FREE_CLEANUP char *owned = NULL, *key = NULL, *json = NULL;
	size_t key_length, json_length, owned_length, size;
	struct held *held;
	bool applied;
	char *at;

	if (string_empty(name)) {
		error_set(err, ERROR_CORRUPT, "object without metadata.name");
		return NULL;
	}
	if (field_manager == NULL)
		field_manager = "kamaji";
	owned = owned_fields(metadata, field_manager, "Apply");
	applied = owned != NULL;
	if (!applied)
		owned = owned_fields(metadata, field_manager, "Update");
	strip(metadata);
	key = kube_key(namespace, name);
	json = json_text(object);
	key_length = strlen(key);
	json_length = strlen(json);
	owned_length = owned != NULL ? strlen(owned) : 0;
	size = sizeof(*held) + key_length + strlen(namespace) + strlen(name) + strlen(uid) + strlen(version) + json_length + owned_length +
	       7;
	held = malloc(size);
	if (held == NULL)
		abort();
	atomic_init(&held->references, 1);
	at = held->text;
	held->entry = (struct kube_entry){
		.key = put(&at, key, key_length),
		.namespace = put(&at, namespace, strlen(namespace)),
		.name = put(&at, name, strlen(name)),
		.uid = put(&at, uid, strlen(uid)),
		.resource_version = put(&at, version, strlen(version)),
		.json = put(&at, json, json_length),
		.json_length = json_length,
		.owned = put(&at, owned != NULL ? owned : "", owned_length),
		.applied = applied,
		.generation = json_integer_or(metadata, "generation", 0),
		.size = size,
	};
	return &held->entry;
}

struct kube_entry *kube_entry_ref(const struct kube_entry *entry)
{
	if (entry == NULL)
		return NULL;
	atomic_fetch_add_explicit(&held_of(entry)->references, 1, memory_order_relaxed);
	return &held_of(entry)->entry;
}

void kube_entry_unref(const struct kube_entry *entry)
{
	if (entry != NULL && atomic_fetch_sub_explicit(&held_of(entry)->references, 1, memory_order_acq_rel) == 1)
		free(held_of(entry));
}

json_t *kube_entry_parse(const struct kube_entry *entry)
{
	struct error err = { 0 };
	json_t *value = kube_json_parse(entry->json, entry->json_length, true, &err);

	if (value == NULL)
		abort(); /* our own text: only want of memory is left */
	return value;
}

void kube_entries_add(struct kube_entries *entries, const struct kube_entry *entry)
{
	if (entries->count == entries->capacity) {
		entries->capacity = entries->capacity == 0 ? 16 : entries->capacity * 2;
		entries->items = reallocarray(entries->items, entries->capacity, sizeof(entries->items[0]));
		if (entries->items == NULL)
			abort();
	}
	entries->items[entries->count++] = kube_entry_ref(entry);
}

void kube_entries_free(struct kube_entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		kube_entry_unref(entries->items[i]);
	free(entries->items);
	*entries = (struct kube_entries){ 0 };
}
