/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/apply.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/secret.h"
#include "base/strings.h"
#include "io/thread.h"
#include "kube/json_bytes.h"
#include "pki/digest.h"

/* What an apply could not change: the same desired object leaves the same differences. */
struct remainder {
	unsigned char desired[DIGEST_MAXIMUM_SIZE], differences[DIGEST_MAXIMUM_SIZE];
};

struct kube_applier {
	char *field_manager;
	pthread_mutex_t mutex;
	struct map remainders; /* uid -> struct remainder */
};

struct kube_applier *kube_applier_new(const char *field_manager)
{
	struct kube_applier *applier = calloc(1, sizeof(*applier));

	if (applier == NULL)
		abort();
	applier->field_manager = string_dup(field_manager != NULL ? field_manager : "kamaji");
	pthread_mutex_init(&applier->mutex, NULL);
	return applier;
}

void kube_applier_free(struct kube_applier *applier)
{
	if (applier == NULL)
		return;
	map_free(&applier->remainders, free);
	pthread_mutex_destroy(&applier->mutex);
	free(applier->field_manager);
	free(applier);
}

void kube_applier_forget(struct kube_applier *applier, const char *uid)
{
	THREAD_LOCKED(&applier->mutex);

	free(map_remove(&applier->remainders, uid));
}

static struct remainder remainder_of(const json_t *desired, const struct buffer *differences)
{
	SECRET_CLEANUP char *text = json_canonical(desired);
	struct remainder remainder;

	digest_bytes(DIGEST_SHA256, text, strlen(text), remainder.desired);
	digest_bytes(DIGEST_SHA256, differences->data, differences->length, remainder.differences);
	return remainder;
}

static bool is_known_remainder(struct kube_applier *applier, const char *uid, const json_t *desired, const struct buffer *differences)
{
	struct remainder now = remainder_of(desired, differences);
	const struct remainder *before;
	THREAD_LOCKED(&applier->mutex);

	before = map_get(&applier->remainders, uid);
	return before != NULL && memcmp(before, &now, sizeof(now)) == 0;
}

static void remember(struct kube_applier *applier, const char *uid, const json_t *desired, const struct buffer *differences)
{
	struct remainder *remainder;

	if (differences->length == 0) {
		kube_applier_forget(applier, uid);
		return;
	}
	remainder = malloc(sizeof(*remainder));
	if (remainder == NULL)
		abort();
	*remainder = remainder_of(desired, differences);
	THREAD_LOCKED(&applier->mutex);
	free(map_put(&applier->remainders, uid, remainder));
}

/* The desired object as a cache would hold it: Secrets as digests. New reference. */
static json_t *comparable(const struct kube_resource *resource, const json_t *desired)
{
	json_t *copy;

	if (resource != &kube_resource_secret)
		return json_incref((json_t *)(uintptr_t)desired);
	copy = json_deep_copy(desired);
	if (copy == NULL)
		abort();
	kube_secret_digest(copy);
	return copy;
}

/* Written by Update after our apply, under our manager's name: by the operator that the object was handed back to for a while. */
static bool must_adopt(const struct kube_apply_request *request, const struct kube_entry *entry)
{
	return entry->updated && (request->adopt_from != NULL || request->adopt_label != NULL);
}

static bool is_settled(struct kube_applier *applier, const struct kube_apply_request *request, const struct kube_entry *entry,
                       const json_t *desired)
{
	BUFFER_CLEANUP struct buffer differences = { 0 };
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };
	JSON_CLEANUP json_t *live = kube_entry_parse(entry);

	if (must_adopt(request, entry))
		return false;
	kube_entry_open(entry, &text);
	if (kube_apply_compare(desired, live, text.owned, request->ignore, &differences) == 0)
		return true;
	return is_known_remainder(applier, entry->uid, desired, &differences);
}

/* Looks at what the server made of it, so that differences which stay are not applied for ever. */
static void look_back(struct kube_applier *applier, const struct kube_apply_request *request, const json_t *desired, const json_t *stored)
{
	BUFFER_CLEANUP struct buffer differences = { 0 };
	JSON_SCRUB_CLEANUP json_t *copy = json_deep_copy(stored);
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = NULL;
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };
	struct error ignored = { 0 };

	if (request->resource == &kube_resource_secret)
		kube_secret_digest(copy);
	entry = kube_entry_new(copy, applier->field_manager, &ignored);
	if (entry == NULL)
		return;
	kube_entry_open(entry, &text);
	/* What is left of the copy is what the entry holds. */
	(void)kube_apply_compare(desired, copy, text.owned, request->ignore, &differences);
	remember(applier, entry->uid, desired, &differences);
}

static json_t *send_apply(struct kube_applier *applier, const struct kube_apply_request *request, const struct kube_entry *entry,
                          struct cancel *cancel, struct error *err)
{
	const struct kube_write_options options = { .field_manager = applier->field_manager, .force = true };
	json_t *body, *metadata, *stored;

	if (!request->update_only)
		return kube_client_apply(request->client, request->resource, request->desired, &options, cancel, err);
	/* With the uid of what we saw, an object that vanished is a conflict and is not made again. */
	body = json_copy((json_t *)(uintptr_t)request->desired);
	metadata = json_copy(json_object_get(request->desired, "metadata"));
	json_object_set_new(metadata, "uid", json_string(entry->uid));
	json_object_set_new(body, "metadata", metadata);
	stored = kube_client_apply(request->client, request->resource, body, &options, cancel, err);
	json_decref(body);
	return stored;
}

int kube_apply_if_different(struct kube_applier *applier, const struct kube_apply_request *request, struct kube_apply_result *result,
                            struct cancel *cancel, struct error *err)
{
	const char *namespace = json_string_at(request->desired, "metadata.namespace");
	const char *name = json_string_or(request->desired, "metadata.name", "");
	JSON_CLEANUP json_t *desired = comparable(request->resource, request->desired);
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_entry_ref(request->entry);
	const char *const own_name[] = { applier->field_manager, NULL };
	struct kube_adoption adoption = { request->adopt_from, request->adopt_label };
	bool adopted = false;

	*result = (struct kube_apply_result){ 0 };
	if (entry == NULL && request->cache != NULL)
		entry = kube_cache_get(request->cache, request->resource->namespaced ? namespace : NULL, name);
	if (entry != NULL && is_settled(applier, request, entry, desired))
		return 0;
	if (entry == NULL && request->update_only)
		return error_set(err, ERROR_NOT_FOUND, "apply %s %s: it does not exist and must not be made again",
		                 request->resource->plural, name);
	if (entry != NULL && must_adopt(request, entry) && adoption.from == NULL)
		adoption.from = own_name;
	if (entry != NULL && (!entry->applied || must_adopt(request, entry)) && (adoption.from != NULL || adoption.label != NULL) &&
	    kube_apply_adopt(request->client, request->resource, namespace, name, applier->field_manager, &adoption, &adopted, cancel,
	                     err) != 0 &&
	    err->class != ERROR_NOT_FOUND)
		return -1;
	result->object = send_apply(applier, request, entry, cancel, err);
	if (result->object == NULL)
		return -1;
	result->created = entry == NULL;
	result->wrote = entry == NULL || adopted ||
	                !string_equal(entry->resource_version, json_string_or(result->object, "metadata.resourceVersion", ""));
	look_back(applier, request, desired, result->object);
	if (request->cache != NULL)
		(void)kube_cache_observe(request->cache, entry, result->object);
	return 0;
}
