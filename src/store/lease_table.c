/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lease_table.h"

#include <stdlib.h>

static size_t bucket_of(const struct lease_table *table, int64_t id)
{
	uint64_t mixed = (uint64_t)id * 0x9e3779b97f4a7c15u;

	return (size_t)(mixed >> 32) & (table->bucket_count - 1);
}

struct lease *lease_table_find(const struct lease_table *table, int64_t id)
{
	struct lease *lease;

	if (table->count == 0)
		return NULL;
	lease = table->buckets[bucket_of(table, id)];
	while (lease != NULL && lease->id != id)
		lease = lease->next_in_bucket;
	return lease;
}

static void place(struct lease_table *table, struct lease *lease, size_t index)
{
	table->heap[index] = lease;
	lease->heap_place = index;
}

static void sift_up(struct lease_table *table, struct lease *lease)
{
	size_t index = lease->heap_place;

	while (index > 0 && table->heap[(index - 1) / 2]->ends_ms > lease->ends_ms) {
		place(table, table->heap[(index - 1) / 2], index);
		index = (index - 1) / 2;
	}
	place(table, lease, index);
}

static void sift_down(struct lease_table *table, struct lease *lease)
{
	size_t index = lease->heap_place;

	for (;;) {
		size_t child = index * 2 + 1;

		if (child >= table->count)
			break;
		if (child + 1 < table->count && table->heap[child + 1]->ends_ms < table->heap[child]->ends_ms)
			child++;
		if (table->heap[child]->ends_ms >= lease->ends_ms)
			break;
		place(table, table->heap[child], index);
		index = child;
	}
	place(table, lease, index);
}

static void grow(struct lease_table *table)
{
	size_t bucket_count = table->bucket_count ? table->bucket_count * 2 : 16;
	struct lease **buckets = calloc(bucket_count, sizeof(*buckets));

	table->heap = reallocarray(table->heap, bucket_count, sizeof(*table->heap));
	if (buckets == NULL || table->heap == NULL)
		abort();
	free(table->buckets);
	table->buckets = buckets;
	table->bucket_count = bucket_count;
	for (size_t i = 0; i < table->count; i++) {
		struct lease **bucket = &buckets[bucket_of(table, table->heap[i]->id)];

		table->heap[i]->next_in_bucket = *bucket;
		*bucket = table->heap[i];
	}
}

struct lease *lease_table_add(struct lease_table *table, int64_t id, int64_t ttl_seconds, uint64_t now_ms)
{
	struct lease *lease = calloc(1, sizeof(*lease)), **bucket;

	if (lease == NULL)
		abort();
	if (table->count >= table->bucket_count)
		grow(table);
	lease->id = id;
	lease->ttl_seconds = ttl_seconds;
	lease->ends_ms = now_ms + (uint64_t)ttl_seconds * 1000;
	bucket = &table->buckets[bucket_of(table, id)];
	lease->next_in_bucket = *bucket;
	*bucket = lease;
	lease->heap_place = table->count++;
	sift_up(table, lease);
	return lease;
}

void lease_table_remove(struct lease_table *table, struct lease *lease)
{
	struct lease **link = &table->buckets[bucket_of(table, lease->id)];
	struct lease *last = table->heap[--table->count];

	while (*link != lease)
		link = &(*link)->next_in_bucket;
	*link = lease->next_in_bucket;
	if (last != lease) {
		last->heap_place = lease->heap_place;
		sift_down(table, last);
		sift_up(table, last);
	}
	free(lease->keys);
	free(lease);
}

void lease_table_renew(struct lease_table *table, struct lease *lease, uint64_t now_ms)
{
	lease->ends_ms = now_ms + (uint64_t)lease->ttl_seconds * 1000;
	sift_down(table, lease);
	sift_up(table, lease);
}

struct lease *lease_table_first(const struct lease_table *table)
{
	return table->count > 0 ? table->heap[0] : NULL;
}

void lease_attach(struct lease *lease, struct key_record *record)
{
	if (lease->count == lease->capacity) {
		lease->capacity = lease->capacity ? lease->capacity * 2 : 4;
		lease->keys = reallocarray(lease->keys, lease->capacity, sizeof(struct key_record *));
		if (lease->keys == NULL)
			abort();
	}
	record->lease_place = lease->count;
	lease->keys[lease->count++] = record;
}

void lease_detach(struct lease *lease, const struct key_record *record)
{
	uint32_t place = record->lease_place;

	if (place >= lease->count || lease->keys[place] != record)
		return;
	lease->keys[place] = lease->keys[--lease->count];
	lease->keys[place]->lease_place = place;
}

void lease_table_free(struct lease_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->heap[i]->keys);
		free(table->heap[i]);
	}
	free(table->heap);
	free(table->buckets);
	*table = (struct lease_table){ 0 };
}
