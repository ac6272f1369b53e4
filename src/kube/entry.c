/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/entry.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/json_bytes.h"
#include "kube/pattern.h"
#include "kube/resource.h"

static const char last_applied[] = "kubectl.kubernetes.io/last-applied-configuration";

/*
 * The struct that callers see stands in front of its own text: the strings that it points to, then JSON and owned fields, one after the
 * other and each with its NUL, as they are or packed.
 */
struct held {
	atomic_uint references;
	struct kube_entry entry;
	struct kube_pattern *pattern; /* what it is packed with; NULL: not packed */
	const char *body;
	size_t body_length, json_length, owned_length; /* the body's as it is stored */
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

/* What goes into an entry. */
struct contents {
	const char *key, *namespace, *uid, *version;
	char *json, *owned; /* owned: NULL for none */
	size_t json_length, owned_length;
	bool applied, updated;
	int64_t generation;
};

static void contents_free(struct contents *contents)
{
	free(contents->json);
	free(contents->owned);
}

static void read_ownership(const json_t *metadata, const char *field_manager, struct contents *contents)
{
	FREE_CLEANUP char *written = owned_fields(metadata, field_manager, "Update");

	contents->owned = owned_fields(metadata, field_manager, "Apply");
	contents->applied = contents->owned != NULL;
	contents->updated = contents->applied && written != NULL;
	if (!contents->applied) {
		contents->owned = written;
		written = NULL;
	}
	contents->owned_length = contents->owned != NULL ? strlen(contents->owned) : 0;
}

/* JSON and owned fields as one text, both with their NUL; free(). */
static char *body_of(const struct contents *contents, size_t *length)
{
	char *body, *at;

	*length = contents->json_length + contents->owned_length + 2;
	body = malloc(*length);
	if (body == NULL)
		abort();
	at = body;
	(void)put(&at, contents->json, contents->json_length);
	(void)put(&at, contents->owned != NULL ? contents->owned : "", contents->owned_length);
	return body;
}

static struct kube_entry *hold(const struct contents *contents, struct kube_pattern *pattern)
{
	size_t key_length = strlen(contents->key), namespace_length = strlen(contents->namespace), full, packed, stored, size;
	FREE_CLEANUP char *body = body_of(contents, &full);
	FREE_CLEANUP char *small = pattern != NULL ? malloc(full) : NULL;
	struct held *held;
	char *at;

	packed = small != NULL ? kube_pattern_pack(pattern, body, full, (unsigned char *)small, full) : 0;
	stored = packed != 0 ? packed : full;
	size = sizeof(*held) + key_length + namespace_length + strlen(contents->uid) + strlen(contents->version) + stored + 4;
	held = malloc(size);
	if (held == NULL)
		abort();
	atomic_init(&held->references, 1);
	held->pattern = packed != 0 ? kube_pattern_ref(pattern) : NULL;
	held->body_length = stored;
	held->json_length = contents->json_length;
	held->owned_length = contents->owned_length;
	at = held->text;
	held->entry = (struct kube_entry){
		.key = put(&at, contents->key, key_length),
		.namespace = put(&at, contents->namespace, namespace_length),
		.uid = put(&at, contents->uid, strlen(contents->uid)),
		.resource_version = put(&at, contents->version, strlen(contents->version)),
		.applied = contents->applied,
		.updated = contents->updated,
		.generation = contents->generation,
		.size = size,
	};
	held->entry.name = held->entry.key + (namespace_length > 0 ? namespace_length + 1 : 0); /* kube_key() */
	held->body = at;
	memcpy(at, packed != 0 ? small : body, stored);
	return &held->entry;
}

struct kube_entry *kube_entry_new_packed(json_t *object, const char *field_manager, struct kube_pattern *pattern, struct error *err)
{
	json_t *metadata = json_object_get(object, "metadata");
	const char *name = json_string_at(metadata, "name");
	__attribute__((cleanup(contents_free))) struct contents contents = {
		.namespace = json_string_or(metadata, "namespace", ""),
		.uid = json_string_or(metadata, "uid", ""),
		.version = json_string_or(metadata, "resourceVersion", ""),
		.generation = json_integer_or(metadata, "generation", 0),
	};

	if (string_empty(name)) {
		error_set(err, ERROR_CORRUPT, "object without metadata.name");
		return NULL;
	}
	FREE_CLEANUP char *key = kube_key(contents.namespace, name);

	contents.key = key;
	read_ownership(metadata, field_manager != NULL ? field_manager : "kamaji", &contents);
	strip(metadata);
	contents.json = json_text(object);
	contents.json_length = strlen(contents.json);
	return hold(&contents, pattern);
}

struct kube_entry *kube_entry_new(json_t *object, const char *field_manager, struct error *err)
{
	return kube_entry_new_packed(object, field_manager, NULL, err);
}

void kube_entry_open(const struct kube_entry *entry, struct kube_entry_text *text)
{
	const struct held *held = held_of(entry);
	size_t length = held->json_length + held->owned_length + 2;
	const char *body = held->body;

	*text = (struct kube_entry_text){ .json_length = held->json_length };
	if (held->pattern != NULL) {
		text->storage = malloc(length);
		if (text->storage == NULL ||
		    !kube_pattern_unpack(held->pattern, (const unsigned char *)held->body, held->body_length, text->storage, length))
			abort(); /* our own bytes: only want of memory is left */
		body = text->storage;
	}
	text->json = body;
	text->owned = body + held->json_length + 1;
}

void kube_entry_text_free(struct kube_entry_text *text)
{
	free(text->storage);
	*text = (struct kube_entry_text){ 0 };
}

bool kube_entry_owns_the_same(const struct kube_entry *a, const struct kube_entry *b)
{
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text first = { 0 }, second = { 0 };

	if (held_of(a)->owned_length != held_of(b)->owned_length)
		return false;
	kube_entry_open(a, &first);
	kube_entry_open(b, &second);
	return strcmp(first.owned, second.owned) == 0;
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
	struct held *held;

	if (entry == NULL || atomic_fetch_sub_explicit(&held_of(entry)->references, 1, memory_order_acq_rel) != 1)
		return;
	held = held_of(entry);
	kube_pattern_unref(held->pattern);
	free(held);
}

json_t *kube_entry_parse(const struct kube_entry *entry)
{
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };
	struct error err = { 0 };
	json_t *value;

	kube_entry_open(entry, &text);
	value = kube_json_parse(text.json, text.json_length, true, &err);
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

static int compare_keys(const void *a, const void *b)
{
	return strcmp((*(struct kube_entry *const *)a)->key, (*(struct kube_entry *const *)b)->key);
}

void kube_entries_sort(struct kube_entries *entries)
{
	if (entries->count > 0)
		qsort(entries->items, entries->count, sizeof(entries->items[0]), compare_keys);
}

void kube_entries_free(struct kube_entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		kube_entry_unref(entries->items[i]);
	free(entries->items);
	*entries = (struct kube_entries){ 0 };
}
