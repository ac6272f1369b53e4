/* SPDX-License-Identifier: Apache-2.0 */
/* What other threads ask a cache. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "io/thread.h"
#include "kube/cache_internal.h"
#include "kube/waiter.h"

/* The mutex is no part of what a lookup promises not to change. */
static pthread_mutex_t *mutex_of(const struct kube_cache *cache)
{
	return &((struct kube_cache *)(uintptr_t)cache)->mutex;
}

struct kube_entry *kube_cache_get_key(const struct kube_cache *cache, const char *key)
{
	THREAD_LOCKED(mutex_of(cache));
	const struct kube_slot *slot = kube_store_find(&cache->store, key);

	return slot != NULL ? kube_entry_ref(slot->entry) : NULL;
}

struct kube_entry *kube_cache_get(const struct kube_cache *cache, const char *namespace, const char *name)
{
	FREE_CLEANUP char *key = kube_key(namespace, name);

	return kube_cache_get_key(cache, key);
}

json_t *kube_cache_get_json(const struct kube_cache *cache, const char *namespace, const char *name)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get(cache, namespace, name);

	return entry != NULL ? kube_entry_parse(entry) : NULL;
}

void kube_cache_list(const struct kube_cache *cache, struct kube_entries *out)
{
	THREAD_LOCKED(mutex_of(cache));

	for (struct map_entry *e = map_first(&cache->store.slots); e != NULL; e = map_next(&cache->store.slots, e))
		kube_entries_add(out, ((struct kube_slot *)e->value)->entry);
}

void kube_cache_by_index(const struct kube_cache *cache, const char *index, const char *value, struct kube_entries *out)
{
	THREAD_LOCKED(mutex_of(cache));

	kube_store_by_index(&cache->store, index, value, out);
}

size_t kube_cache_count(const struct kube_cache *cache)
{
	THREAD_LOCKED(mutex_of(cache));

	return cache->store.slots.count;
}

size_t kube_cache_memory(const struct kube_cache *cache)
{
	THREAD_LOCKED(mutex_of(cache));

	return sizeof(*cache) + cache->store.memory + cache->store.slots.bucket_count * sizeof(void *);
}

const struct kube_resource *kube_cache_resource(const struct kube_cache *cache)
{
	return cache->resource;
}

bool kube_cache_synced(const struct kube_cache *cache)
{
	THREAD_LOCKED(mutex_of(cache));

	return cache->synced;
}

void kube_cache_last_error(const struct kube_cache *cache, struct error *err)
{
	THREAD_LOCKED(mutex_of(cache));

	*err = cache->last_error;
}

uint64_t kube_cache_age_ms(const struct kube_cache *cache)
{
	THREAD_LOCKED(mutex_of(cache));

	return cache->heard_ms == 0 ? UINT64_MAX : clock_monotonic_ms() - cache->heard_ms;
}

int kube_cache_wait_synced(struct kube_cache *cache, struct cancel *cancel, struct error *err)
{
	KUBE_WAITER_CLEANUP struct kube_waiter waiter = kube_waiter_begin(cancel, &cache->mutex, &cache->condition);
	THREAD_LOCKED(&cache->mutex);

	while (!cache->synced) {
		if (kube_waiter_wait(&waiter, UINT64_MAX, err) == 0)
			continue;
		if (cache->last_error.class != ERROR_NONE)
			return error_wrap(err, "list of %s (%s)", cache->resource->plural, cache->last_error.message);
		return error_wrap(err, "list of %s", cache->resource->plural);
	}
	return 0;
}
