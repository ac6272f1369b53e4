/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/strings.h"

static size_t hash_key(const char *key)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a; keys are object names that the API server has checked */

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
	return (size_t)(hash ^ hash >> 29);
}

static struct map_entry **find(const struct map *map, const char *key, size_t hash)
{
	struct map_entry **place = &map->buckets[hash & (map->bucket_count - 1)];

	while (*place != NULL && ((*place)->hash != hash || strcmp((*place)->key, key) != 0))
		place = &(*place)->next;
	return place;
}

static void grow(struct map *map)
{
	size_t bucket_count = map->bucket_count ? map->bucket_count * 2 : 16;
	struct map_entry **buckets = calloc(bucket_count, sizeof(*buckets));

	if (buckets == NULL)
		abort();
	for (size_t i = 0; i < map->bucket_count; i++) {
		for (struct map_entry *entry = map->buckets[i]; entry != NULL;) {
			struct map_entry *next = entry->next;

			entry->next = buckets[entry->hash & (bucket_count - 1)];
			buckets[entry->hash & (bucket_count - 1)] = entry;
			entry = next;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = bucket_count;
}

void *map_get(const struct map *map, const char *key)
{
	struct map_entry *entry = map->count ? *find(map, key, hash_key(key)) : NULL;

	return entry ? entry->value : NULL;
}

void *map_put(struct map *map, const char *key, void *value)
{
	size_t hash = hash_key(key);
	struct map_entry **place, *entry;

	if (map->count >= map->bucket_count)
		grow(map);
	place = find(map, key, hash);
	if (*place != NULL) {
		void *old = (*place)->value;

		(*place)->value = value;
		return old;
	}
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		abort();
	entry->key = string_dup(key);
	entry->value = value;
	entry->hash = hash;
	*place = entry;
	map->count++;
	return NULL;
}

void *map_remove(struct map *map, const char *key)
{
	struct map_entry **place, *entry;
	void *value;

	if (map->count == 0)
		return NULL;
	place = find(map, key, hash_key(key));
	entry = *place;
	if (entry == NULL)
		return NULL;
	*place = entry->next;
	value = entry->value;
	free(entry->key);
	free(entry);
	map->count--;
	return value;
}

static struct map_entry *first_from(const struct map *map, size_t bucket)
{
	for (; bucket < map->bucket_count; bucket++)
		if (map->buckets[bucket] != NULL)
			return map->buckets[bucket];
	return NULL;
}

struct map_entry *map_first(const struct map *map)
{
	return first_from(map, 0);
}

struct map_entry *map_next(const struct map *map, const struct map_entry *entry)
{
	return entry->next ? entry->next : first_from(map, (entry->hash & (map->bucket_count - 1)) + 1);
}

void map_free(struct map *map, void (*free_value)(void *))
{
	for (size_t i = 0; i < map->bucket_count; i++) {
		for (struct map_entry *entry = map->buckets[i]; entry != NULL;) {
			struct map_entry *next = entry->next;

			if (free_value != NULL)
				free_value(entry->value);
			free(entry->key);
			free(entry);
			entry = next;
		}
	}
	free(map->buckets);
	*map = (struct map){ 0 };
}
