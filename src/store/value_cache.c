/* SPDX-License-Identifier: Apache-2.0 */
#include "store/value_cache.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 256, OVERHEAD = 64 };

struct cached {
	struct cached *next_in_bucket;
	struct cached *newer, *older;
	uint64_t id;
	struct blob *value;
};

struct value_cache {
	struct cached **buckets;
	size_t bucket_count, count;
	struct cached *newest, *oldest;
	size_t bytes, budget;
	uint64_t home_id; /* ids above it are pinned */
};

struct value_cache *value_cache_new(size_t budget_bytes)
{
	struct value_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		abort();
	cache->budget = budget_bytes;
	cache->bucket_count = FIRST_BUCKETS;
	cache->buckets = calloc(cache->bucket_count, sizeof(*cache->buckets));
	if (cache->buckets == NULL)
		abort();
	return cache;
}

static struct cached **find(const struct value_cache *cache, uint64_t id)
{
	/* Ids are consecutive, so their low bits spread by themselves. */
	struct cached **place = &cache->buckets[id & (cache->bucket_count - 1)];

	while (*place != NULL && (*place)->id != id)
		place = &(*place)->next_in_bucket;
	return place;
}

static void unlink_use(struct value_cache *cache, struct cached *entry)
{
	*(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(struct value_cache *cache, struct cached *entry)
{
	entry->newer = NULL;
	entry->older = cache->newest;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
}

static void remove_at(struct value_cache *cache, struct cached **place)
{
	struct cached *entry = *place;

	*place = entry->next_in_bucket;
	unlink_use(cache, entry);
	cache->bytes -= entry->value->length + OVERHEAD;
	cache->count--;
	blob_unref(entry->value);
	free(entry);
}

static void shed(struct value_cache *cache)
{
	struct cached *entry = cache->oldest;

	while (cache->bytes > cache->budget && entry != NULL) {
		struct cached *newer = entry->newer;

		if (entry->id <= cache->home_id)
			remove_at(cache, find(cache, entry->id));
		entry = newer;
	}
}

static void grow(struct value_cache *cache)
{
	size_t bucket_count = cache->bucket_count * 2;
	struct cached **buckets = calloc(bucket_count, sizeof(*buckets));

	if (buckets == NULL)
		abort();
	for (struct cached *entry = cache->oldest; entry != NULL; entry = entry->newer) {
		struct cached **bucket = &buckets[entry->id & (bucket_count - 1)];

		entry->next_in_bucket = *bucket;
		*bucket = entry;
	}
	free(cache->buckets);
	cache->buckets = buckets;
	cache->bucket_count = bucket_count;
}

void value_cache_put(struct value_cache *cache, uint64_t id, struct blob *value)
{
	struct cached **place = find(cache, id);
	struct cached *entry;

	if (*place != NULL)
		return;
	if (cache->count >= cache->bucket_count) {
		grow(cache);
		place = find(cache, id);
	}
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		abort();
	entry->id = id;
	entry->value = blob_ref(value);
	*place = entry;
	link_newest(cache, entry);
	cache->count++;
	cache->bytes += value->length + OVERHEAD;
	if (cache->bytes > cache->budget)
		shed(cache);
}

struct blob *value_cache_get(struct value_cache *cache, uint64_t id)
{
	struct cached *entry = *find(cache, id);

	if (entry == NULL)
		return NULL;
	if (cache->newest != entry) {
		unlink_use(cache, entry);
		link_newest(cache, entry);
	}
	return blob_ref(entry->value);
}

void value_cache_drop(struct value_cache *cache, uint64_t id)
{
	struct cached **place = find(cache, id);

	if (*place != NULL)
		remove_at(cache, place);
}

void value_cache_unpin(struct value_cache *cache, uint64_t up_to_id)
{
	if (up_to_id > cache->home_id)
		cache->home_id = up_to_id;
	if (cache->bytes > cache->budget)
		shed(cache);
}

size_t value_cache_bytes(const struct value_cache *cache)
{
	return cache->bytes;
}

void value_cache_free(struct value_cache *cache)
{
	if (cache == NULL)
		return;
	for (struct cached *entry = cache->oldest; entry != NULL;) {
		struct cached *newer = entry->newer;

		blob_unref(entry->value);
		free(entry);
		entry = newer;
	}
	free(cache->buckets);
	free(cache);
}
