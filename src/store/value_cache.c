/* SPDX-License-Identifier: Apache-2.0 */
#include "store/value_cache.h"

#include <stdbool.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 256, OVERHEAD = 64, PAST_SHARE = 8 };

struct cached {
	struct cached *next_in_bucket;
	struct cached *newer, *older;
	uint64_t id;
	struct blob *value;
	bool past;
};

struct use_order {
	struct cached *newest, *oldest;
	size_t bytes;
};

struct value_cache {
	struct cached **buckets;
	size_t bucket_count, count;
	struct use_order present, past;
	size_t budget;
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

static struct use_order *order_of(struct value_cache *cache, const struct cached *entry)
{
	return entry->past ? &cache->past : &cache->present;
}

static size_t bytes_of(const struct cached *entry)
{
	return entry->value->length + OVERHEAD;
}

static void unlink_use(struct value_cache *cache, struct cached *entry)
{
	struct use_order *order = order_of(cache, entry);

	*(entry->newer != NULL ? &entry->newer->older : &order->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &order->oldest) = entry->newer;
	order->bytes -= bytes_of(entry);
}

static void link_newest(struct value_cache *cache, struct cached *entry)
{
	struct use_order *order = order_of(cache, entry);

	entry->newer = NULL;
	entry->older = order->newest;
	*(order->newest != NULL ? &order->newest->newer : &order->oldest) = entry;
	order->newest = entry;
	order->bytes += bytes_of(entry);
}

static void remove_at(struct value_cache *cache, struct cached **place)
{
	struct cached *entry = *place;

	*place = entry->next_in_bucket;
	unlink_use(cache, entry);
	cache->count--;
	blob_unref(entry->value);
	free(entry);
}

/* What stands behind a pinned value waits with it: home takes everything within a moment, and looking past them would cost every put. */
static void shed_order(struct value_cache *cache, struct use_order *order, size_t most)
{
	while (order->bytes > most && order->oldest != NULL && order->oldest->id <= cache->home_id)
		remove_at(cache, find(cache, order->oldest->id));
}

static void shed(struct value_cache *cache)
{
	size_t past = cache->budget / PAST_SHARE;

	if (cache->past.bytes > past)
		shed_order(cache, &cache->past, past);
	if (value_cache_bytes(cache) > cache->budget)
		shed_order(cache, &cache->present, cache->budget - (cache->past.bytes < cache->budget ? cache->past.bytes : cache->budget));
}

static void grow(struct value_cache *cache)
{
	size_t bucket_count = cache->bucket_count * 2;
	struct cached **buckets = calloc(bucket_count, sizeof(*buckets));

	if (buckets == NULL)
		abort();
	for (size_t i = 0; i < cache->bucket_count; i++) {
		for (struct cached *entry = cache->buckets[i], *next; entry != NULL; entry = next) {
			struct cached **bucket = &buckets[entry->id & (bucket_count - 1)];

			next = entry->next_in_bucket;
			entry->next_in_bucket = *bucket;
			*bucket = entry;
		}
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
	shed(cache);
}

struct blob *value_cache_get(struct value_cache *cache, uint64_t id)
{
	struct cached *entry = *find(cache, id);

	if (entry == NULL)
		return NULL;
	if (order_of(cache, entry)->newest != entry) {
		unlink_use(cache, entry);
		link_newest(cache, entry);
	}
	return blob_ref(entry->value);
}

void value_cache_supersede(struct value_cache *cache, uint64_t id)
{
	struct cached *entry = *find(cache, id);

	if (entry == NULL || entry->past)
		return;
	unlink_use(cache, entry);
	entry->past = true;
	link_newest(cache, entry);
	shed(cache);
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
	shed(cache);
}

size_t value_cache_bytes(const struct value_cache *cache)
{
	return cache->present.bytes + cache->past.bytes;
}

void value_cache_free(struct value_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < cache->bucket_count; i++)
		while (cache->buckets[i] != NULL)
			remove_at(cache, &cache->buckets[i]);
	free(cache->buckets);
	free(cache);
}
