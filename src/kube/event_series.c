/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/event_series.h"

#include <stdlib.h>

#include "base/strings.h"

struct bucket {
	uint64_t tokens, refilled_ms, last_ms;
};

static void free_series(void *value)
{
	struct event_series *series = value;

	free(series->event_name);
	free(series);
}

/* Forgets what is older than the limit; everything when that is not enough. */
static void trim_series(struct map *map, uint64_t now_ms)
{
	struct map_entry *next;

	if (map->count < EVENT_TABLE_MAXIMUM)
		return;
	for (struct map_entry *e = map_first(map); e != NULL; e = next) {
		const struct event_series *series = e->value;

		next = map_next(map, e);
		if (now_ms - series->last_ms > EVENT_SERIES_MS)
			free_series(map_remove(map, e->key));
	}
	if (map->count >= EVENT_TABLE_MAXIMUM)
		map_free(map, free_series);
}

static void trim_buckets(struct map *map, uint64_t now_ms)
{
	struct map_entry *next;

	if (map->count < EVENT_TABLE_MAXIMUM)
		return;
	for (struct map_entry *e = map_first(map); e != NULL; e = next) {
		const struct bucket *bucket = e->value;

		next = map_next(map, e);
		if (now_ms - bucket->last_ms > EVENT_REFILL_MS)
			free(map_remove(map, e->key));
	}
	if (map->count >= EVENT_TABLE_MAXIMUM)
		map_free(map, free);
}

bool event_series_admit(struct event_series_table *table, const char *object_key, uint64_t now_ms)
{
	struct bucket *bucket = map_get(&table->buckets, object_key);
	uint64_t refill;

	if (bucket == NULL) {
		trim_buckets(&table->buckets, now_ms);
		bucket = calloc(1, sizeof(*bucket));
		if (bucket == NULL)
			abort();
		*bucket = (struct bucket){ .tokens = EVENT_BURST, .refilled_ms = now_ms };
		(void)map_put(&table->buckets, object_key, bucket);
	}
	refill = (now_ms - bucket->refilled_ms) / EVENT_REFILL_MS;
	bucket->refilled_ms += refill * EVENT_REFILL_MS;
	bucket->tokens = bucket->tokens + refill > EVENT_BURST ? EVENT_BURST : bucket->tokens + refill;
	bucket->last_ms = now_ms;
	if (bucket->tokens == 0)
		return false;
	bucket->tokens--;
	return true;
}

struct event_series *event_series_next(struct event_series_table *table, const char *series_key, uint64_t now_ms)
{
	struct event_series *series = map_get(&table->series, series_key);

	if (series == NULL) {
		trim_series(&table->series, now_ms);
		series = calloc(1, sizeof(*series));
		if (series == NULL)
			abort();
		(void)map_put(&table->series, series_key, series);
	} else if (now_ms - series->last_ms > EVENT_SERIES_MS) {
		free(series->event_name);
		*series = (struct event_series){ 0 };
	}
	series->count++;
	series->last_ms = now_ms;
	return series;
}

void event_series_created(struct event_series *series, const char *event_name)
{
	free(series->event_name);
	series->event_name = string_dup(event_name);
	series->count = 1;
}

void event_series_free(struct event_series_table *table)
{
	map_free(&table->series, free_series);
	map_free(&table->buckets, free);
}
