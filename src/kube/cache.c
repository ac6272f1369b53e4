/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "io/thread.h"
#include "kube/cache_internal.h"
#include "kube/json_bytes.h"
#include "kube/pattern.h"
#include "kube/waiter.h"

enum { CONFIRMATION_LIMIT_MS = 60 * 1000 };

struct kube_cache *kube_cache_new(const struct kube_cache_options *options)
{
	struct kube_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		abort();
	cache->loop = options->loop;
	cache->client = kube_client_ref(options->client);
	cache->resource = options->resource;
	cache->namespace = string_dup(string_empty(options->namespace) ? NULL : options->namespace);
	cache->label_selector = string_dup(options->label_selector);
	cache->field_selector = string_dup(options->field_selector);
	cache->field_manager = string_dup(options->field_manager != NULL ? options->field_manager : "kamaji");
	cache->metadata_only = options->metadata_only;
	cache->secret = options->resource == &kube_resource_secret && !options->metadata_only;
	cache->transform = options->transform;
	cache->transform_argument = options->transform_argument;
	cache->keep = options->keep;
	cache->keep_argument = options->keep_argument;
	if (cache->transform == NULL && cache->secret)
		cache->transform = kube_secret_transform;
	cache->page_size = options->page_size != 0 ? options->page_size : KUBE_PAGE_SIZE;
	kube_store_init(&cache->store, options->indexes, options->index_count);
	pthread_mutex_init(&cache->mutex, NULL);
	thread_condition_init(&cache->condition);
	cache->reflector.lines.secret = cache->secret;
	return cache;
}

static void start_on_loop(void *argument)
{
	kube_reflector_start(argument);
}

static void stop_on_loop(void *argument)
{
	kube_reflector_stop(argument);
}

void kube_cache_start(struct kube_cache *cache)
{
	loop_call(cache->loop, start_on_loop, cache);
}

void kube_cache_free(struct kube_cache *cache)
{
	if (cache == NULL)
		return;
	loop_call(cache->loop, stop_on_loop, cache);
	kube_store_free(&cache->store);
	kube_pattern_unref(cache->pattern);
	buffer_free(&cache->sample);
	kube_client_unref(cache->client);
	pthread_mutex_destroy(&cache->mutex);
	pthread_cond_destroy(&cache->condition);
	free(cache->handlers);
	free(cache->namespace);
	free(cache->label_selector);
	free(cache->field_selector);
	free(cache->field_manager);
	free(cache);
}

/* ---- handlers ---- */

static void tell(const struct kube_cache *cache, const struct kube_notice *notice)
{
	for (size_t i = 0; i < cache->handler_count; i++)
		cache->handlers[i].handler(notice, cache->handlers[i].argument);
}

static void tell_gone(struct kube_cache *cache, const struct kube_store_old *old, bool own_write)
{
	tell(cache, &(struct kube_notice){ .cache = cache,
	                                   .change = KUBE_DELETED,
	                                   .key = old->entry->key,
	                                   .before = old->entry,
	                                   .values_before = old->values,
	                                   .own_write = own_write });
}

static const struct string_list *values_of(const struct kube_cache *cache, const struct string_list *values, const char *index)
{
	for (size_t i = 0; i < cache->store.index_count; i++) {
		if (string_equal(cache->store.indexes[i].name, index))
			return values != NULL ? &values[i] : NULL;
	}
	abort(); /* an index that nobody defined */
}

const struct string_list *kube_notice_values(const struct kube_notice *notice, const char *index, bool before)
{
	return values_of(notice->cache, before ? notice->values_before : notice->values_after, index);
}

const char *kube_notice_value(const struct kube_notice *notice, const char *index, bool before)
{
	const struct string_list *values = kube_notice_values(notice, index, before);

	return values != NULL && values->count > 0 ? values->items[0] : NULL;
}

struct handler_addition {
	struct kube_cache *cache;
	struct kube_cache_handler_row row;
};

static void add_handler_on_loop(void *argument)
{
	struct handler_addition *addition = argument;
	struct kube_cache *cache = addition->cache;
	KUBE_ENTRIES_CLEANUP struct kube_entries present = { 0 };

	cache->handlers = reallocarray(cache->handlers, cache->handler_count + 1, sizeof(cache->handlers[0]));
	if (cache->handlers == NULL)
		abort();
	cache->handlers[cache->handler_count++] = addition->row;
	kube_cache_list(cache, &present);
	for (size_t i = 0; i < present.count; i++) {
		JSON_CLEANUP json_t *object = kube_entry_parse(present.items[i]);
		const struct kube_notice notice = {
			.cache = cache,
			.change = KUBE_ADDED,
			.key = present.items[i]->key,
			.after = present.items[i],
			.object = object,
			.values_after = kube_store_find(&cache->store, present.items[i]->key)->values,
		};

		addition->row.handler(&notice, addition->row.argument);
	}
}

void kube_cache_add_handler(struct kube_cache *cache, kube_cache_handler handler, void *argument)
{
	struct handler_addition addition = { .cache = cache, .row = { .handler = handler, .argument = argument } };

	loop_call(cache->loop, add_handler_on_loop, &addition);
}

/* ---- objects become entries: on the loop ---- */

static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	return hash;
}

static bool was_deleted(const struct kube_cache *cache, const char *uid)
{
	uint64_t hash = hash_of(uid);

	if (uid[0] == '\0')
		return false;
	for (size_t i = 0; i < KUBE_CACHE_REMEMBERED_DELETIONS; i++)
		if (cache->deleted[i] == hash)
			return true;
	return false;
}

static void remember_deletion(struct kube_cache *cache, const char *uid)
{
	if (uid[0] == '\0' || was_deleted(cache, uid))
		return;
	cache->deleted[cache->deleted_next++ % KUBE_CACHE_REMEMBERED_DELETIONS] = hash_of(uid);
}

/* Through a selector, "deleted" may mean "no longer matches": such an object can come back under its uid. */
static bool has_selectors(const struct kube_cache *cache)
{
	return cache->label_selector != NULL || cache->field_selector != NULL;
}

/* What an entry is made of. */
struct arrival {
	struct kube_entry *entry;
	struct string_list *values;
	const json_t *object;
};

/* The first objects are the pattern of all that follow, except in the many small caches. */
static void learn(struct kube_cache *cache, const struct kube_entry *entry)
{
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };

	if (cache->pattern != NULL)
		return;
	kube_entry_open(entry, &text);
	buffer_append(&cache->sample, text.json, text.json_length);
	buffer_append_string(&cache->sample, text.owned);
	if (cache->sample.length < KUBE_PATTERN_SIZE)
		return;
	cache->pattern = kube_pattern_new(cache->sample.data, cache->sample.length);
	buffer_free(&cache->sample);
}

static int make_entry(struct kube_cache *cache, json_t *object, struct arrival *arrival, struct error *err)
{
	struct string_list **values = &arrival->values;

	*arrival = (struct arrival){ .object = object };
	if (cache->store.index_count > 0) {
		*values = calloc(cache->store.index_count, sizeof(**values));
		if (*values == NULL)
			abort();
		for (size_t i = 0; i < cache->store.index_count; i++) {
			const struct kube_cache_index *index = &cache->store.indexes[i];

			index->function(object, &(*values)[i], index->argument);
			string_list_unique(&(*values)[i]);
		}
	}
	if (cache->transform != NULL)
		cache->transform(object, cache->transform_argument);
	arrival->entry = kube_entry_new_packed(object, cache->field_manager, cache->pattern, err);
	if (arrival->entry != NULL) {
		learn(cache, arrival->entry);
		return 0;
	}
	for (size_t i = 0; i < cache->store.index_count; i++)
		string_list_free(&(*values)[i]);
	free(*values);
	return -1;
}

static void put_and_tell(struct kube_cache *cache, const struct arrival *arrival, uint64_t list_number, bool own_write)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *kept = kube_entry_ref(arrival->entry);
	struct kube_store_old old = { 0 };
	struct kube_slot *slot;
	struct kube_notice notice = { .cache = cache, .key = kept->key, .after = kept, .own_write = own_write, .object = arrival->object };

	pthread_mutex_lock(&cache->mutex);
	slot = kube_store_put(&cache->store, arrival->entry, arrival->values, &old);
	if (list_number != 0)
		slot->list_number = list_number;
	kube_store_set_unconfirmed(&cache->store, slot, own_write, clock_monotonic_ms(),
	                           cache->reflector.state == KUBE_REFLECTOR_LISTING ? cache->reflector.list_number : 0);
	pthread_mutex_unlock(&cache->mutex);
	notice.values_after = slot->values;
	if (old.entry != NULL && !string_equal(old.entry->uid, kept->uid)) {
		/* Deleted and made anew while we did not look: two changes for those who keep state by uid. */
		remember_deletion(cache, old.entry->uid);
		tell_gone(cache, &old, own_write);
		kube_store_old_free(&cache->store, &old);
	}
	notice.change = old.entry != NULL ? KUBE_UPDATED : KUBE_ADDED;
	notice.before = old.entry;
	notice.values_before = old.values;
	tell(cache, &notice);
	kube_store_old_free(&cache->store, &old);
}

/* What to do with an object that the server sent while the slot is unconfirmed: see kube_cache_observe(). */
static bool is_before_own_write(const struct kube_cache *cache, const struct kube_slot *slot, uint64_t list_number)
{
	if (!slot->unconfirmed)
		return false;
	/* A list begun after the write is the truth; one that was under way shows the time before. */
	return list_number == 0 || slot->observed_list == list_number;
}

int kube_cache_take(struct kube_cache *cache, json_t *object, uint64_t list_number, struct error *err)
{
	const char *uid = json_string_or(object, "metadata.uid", ""), *version = json_string_or(object, "metadata.resourceVersion", "");
	FREE_CLEANUP char *key = NULL;
	struct arrival arrival;
	struct kube_slot *slot;

	if (string_empty(json_string_at(object, "metadata.name")))
		return error_set(err, ERROR_CORRUPT, "object without metadata.name");
	if (cache->keep != NULL && !cache->keep(object, cache->keep_argument))
		return 0;
	if (was_deleted(cache, uid))
		return 0; /* from before a deletion that we know of */
	key = kube_key(json_string_at(object, "metadata.namespace"), json_string_at(object, "metadata.name"));
	slot = kube_store_find(&cache->store, key);
	if (slot != NULL && string_equal(slot->entry->resource_version, version) && string_equal(slot->entry->uid, uid)) {
		pthread_mutex_lock(&cache->mutex);
		kube_store_set_unconfirmed(&cache->store, slot, false, 0, 0);
		pthread_mutex_unlock(&cache->mutex);
		if (list_number != 0)
			slot->list_number = list_number;
		return 0;
	}
	if (slot != NULL && is_before_own_write(cache, slot, list_number)) {
		if (list_number != 0)
			slot->list_number = list_number;
		return 0;
	}
	if (make_entry(cache, object, &arrival, err) != 0)
		return -1;
	put_and_tell(cache, &arrival, list_number, false);
	return 0;
}

static bool is_word(const struct kube_watch_word *word, const char *text)
{
	return strlen(text) == word->length && memcmp(text, word->bytes, word->length) == 0;
}

bool kube_cache_confirm(struct kube_cache *cache, const struct kube_watch_glance *glance)
{
	FREE_CLEANUP char *key = string_printf("%.*s%s%.*s", (int)glance->namespace.length, glance->namespace.bytes,
	                                       glance->namespace.length > 0 ? "/" : "", (int)glance->name.length, glance->name.bytes);
	struct kube_slot *slot = kube_store_find(&cache->store, key);

	if (slot == NULL || !is_word(&glance->resource_version, slot->entry->resource_version) || !is_word(&glance->uid, slot->entry->uid))
		return false;
	pthread_mutex_lock(&cache->mutex);
	kube_store_set_unconfirmed(&cache->store, slot, false, 0, 0);
	pthread_mutex_unlock(&cache->mutex);
	return true;
}

static void remove_and_tell(struct kube_cache *cache, const char *key, bool own_write)
{
	struct kube_store_old gone;

	pthread_mutex_lock(&cache->mutex);
	kube_store_remove(&cache->store, key, &gone);
	pthread_mutex_unlock(&cache->mutex);
	if (own_write || !has_selectors(cache))
		remember_deletion(cache, gone.entry->uid);
	tell_gone(cache, &gone, own_write);
	kube_store_old_free(&cache->store, &gone);
}

void kube_cache_take_deleted(struct kube_cache *cache, const json_t *object)
{
	const char *uid = json_string_or(object, "metadata.uid", "");
	FREE_CLEANUP char *key = kube_key(json_string_at(object, "metadata.namespace"), json_string_or(object, "metadata.name", ""));
	struct kube_slot *slot = kube_store_find(&cache->store, key);

	if (slot != NULL && (uid[0] == '\0' || slot->entry->uid[0] == '\0' || string_equal(slot->entry->uid, uid)))
		remove_and_tell(cache, key, false);
	else if (!has_selectors(cache))
		remember_deletion(cache, uid);
}

void kube_cache_begin_list(struct kube_cache *cache)
{
	/* A list shows the most recent state: what it holds lives, even under a uid that was deleted (an etcd restored from a backup). */
	memset(cache->deleted, 0, sizeof(cache->deleted));
}

void kube_cache_finish_list(struct kube_cache *cache, uint64_t list_number)
{
	struct string_list gone = { 0 };

	for (struct map_entry *e = map_first(&cache->store.slots); e != NULL; e = map_next(&cache->store.slots, e)) {
		const struct kube_slot *slot = e->value;

		if (slot->list_number != list_number && !(slot->unconfirmed && slot->observed_list == list_number))
			string_list_add(&gone, e->key);
	}
	for (size_t i = 0; i < gone.count; i++)
		remove_and_tell(cache, gone.items[i], false);
	string_list_free(&gone);
	pthread_mutex_lock(&cache->mutex);
	cache->synced = true;
	pthread_cond_broadcast(&cache->condition);
	pthread_mutex_unlock(&cache->mutex);
}

void kube_cache_note_heard(struct kube_cache *cache)
{
	pthread_mutex_lock(&cache->mutex);
	cache->heard_ms = clock_monotonic_ms();
	pthread_mutex_unlock(&cache->mutex);
}

void kube_cache_note_error(struct kube_cache *cache, const struct error *err)
{
	pthread_mutex_lock(&cache->mutex);
	if (err != NULL)
		cache->last_error = *err;
	else
		error_clear(&cache->last_error);
	pthread_mutex_unlock(&cache->mutex);
}

bool kube_cache_has_stale_observation(struct kube_cache *cache)
{
	uint64_t now = clock_monotonic_ms();

	if (cache->store.unconfirmed == 0)
		return false;
	for (struct map_entry *e = map_first(&cache->store.slots); e != NULL; e = map_next(&cache->store.slots, e)) {
		const struct kube_slot *slot = e->value;

		if (slot->unconfirmed && now - slot->observed_ms >= CONFIRMATION_LIMIT_MS)
			return true;
	}
	return false;
}

/* ---- read your writes ---- */

struct observation {
	struct kube_cache *cache;
	const struct kube_entry *before;
	json_t *object; /* NULL: deleted */
	bool taken;
};

static void observe_on_loop(void *argument)
{
	struct observation *observation = argument;
	struct kube_cache *cache = observation->cache;
	struct error ignored = { 0 };
	struct arrival arrival;
	struct kube_slot *slot;
	FREE_CLEANUP char *key = kube_key(json_string_at(observation->object, "metadata.namespace"),
	                                  json_string_or(observation->object, "metadata.name", ""));

	slot = kube_store_find(&cache->store, key);
	if ((slot != NULL ? slot->entry : NULL) != observation->before)
		return;
	if (was_deleted(cache, json_string_or(observation->object, "metadata.uid", "")))
		return;
	if (slot != NULL &&
	    string_equal(slot->entry->resource_version, json_string_or(observation->object, "metadata.resourceVersion", "")))
		return; /* the write changed nothing */
	if (make_entry(cache, observation->object, &arrival, &ignored) != 0)
		return;
	observation->taken = true;
	put_and_tell(cache, &arrival, 0, true);
}

bool kube_cache_observe(struct kube_cache *cache, const struct kube_entry *before, const json_t *object)
{
	JSON_SCRUB_CLEANUP json_t *copy = json_deep_copy(object);
	struct observation observation = { .cache = cache, .before = before, .object = copy };

	if (copy == NULL || string_empty(json_string_at(copy, "metadata.resourceVersion")))
		return false;
	loop_call(cache->loop, observe_on_loop, &observation);
	return observation.taken;
}

static void observe_deleted_on_loop(void *argument)
{
	struct observation *observation = argument;
	struct kube_cache *cache = observation->cache;
	const struct kube_slot *slot = kube_store_find(&cache->store, observation->before->key);

	if (slot == NULL || slot->entry != observation->before)
		return;
	remove_and_tell(cache, observation->before->key, true);
	observation->taken = true;
}

bool kube_cache_observe_deleted(struct kube_cache *cache, const struct kube_entry *before)
{
	struct observation observation = { .cache = cache, .before = before };

	if (before == NULL)
		return false;
	loop_call(cache->loop, observe_deleted_on_loop, &observation);
	return observation.taken;
}
