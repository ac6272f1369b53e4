/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "kube/cache_internal.h"

/* What a map entry costs beside its key, and a slot; near enough for accounting. */
enum { ENTRY_OVERHEAD = sizeof(struct map_entry) + sizeof(struct kube_slot) + 48, INDEX_OVERHEAD = sizeof(struct map_entry) + 40 };

void kube_store_init(struct kube_store *store, const struct kube_cache_index *indexes, size_t count)
{
	*store = (struct kube_store){ .index_count = count };
	if (count == 0)
		return;
	store->index_maps = calloc(count, sizeof(store->index_maps[0]));
	store->indexes = calloc(count, sizeof(store->indexes[0]));
	if (store->index_maps == NULL || store->indexes == NULL)
		abort();
	memcpy(store->indexes, indexes, count * sizeof(indexes[0]));
}

static void free_values(const struct kube_store *store, struct string_list *values)
{
	for (size_t i = 0; values != NULL && i < store->index_count; i++)
		string_list_free(&values[i]);
	free(values);
}

static void free_keys(void *value)
{
	map_free(value, NULL);
	free(value);
}

void kube_store_free(struct kube_store *store)
{
	for (struct map_entry *e = map_first(&store->slots); e != NULL; e = map_next(&store->slots, e)) {
		struct kube_slot *slot = e->value;

		kube_entry_unref(slot->entry);
		free_values(store, slot->values);
		free(slot);
	}
	map_free(&store->slots, NULL);
	for (size_t i = 0; i < store->index_count; i++)
		map_free(&store->index_maps[i], free_keys);
	free(store->index_maps);
	free(store->indexes);
}

struct kube_slot *kube_store_find(const struct kube_store *store, const char *key)
{
	return map_get(&store->slots, key);
}

static void index_remove(struct kube_store *store, struct kube_slot *slot)
{
	for (size_t i = 0; slot->values != NULL && i < store->index_count; i++) {
		for (size_t j = 0; j < slot->values[i].count; j++) {
			const char *value = slot->values[i].items[j];
			struct map *keys = map_get(&store->index_maps[i], value);

			(void)map_remove(keys, slot->entry->key);
			store->memory -= strlen(value) + strlen(slot->entry->key) + INDEX_OVERHEAD;
			if (keys->count == 0)
				free_keys(map_remove(&store->index_maps[i], value));
		}
	}
}

static void index_add(struct kube_store *store, struct kube_slot *slot)
{
	for (size_t i = 0; slot->values != NULL && i < store->index_count; i++) {
		for (size_t j = 0; j < slot->values[i].count; j++) {
			const char *value = slot->values[i].items[j];
			struct map *keys = map_get(&store->index_maps[i], value);

			if (keys == NULL) {
				keys = calloc(1, sizeof(*keys));
				if (keys == NULL)
					abort();
				(void)map_put(&store->index_maps[i], value, keys);
			}
			(void)map_put(keys, slot->entry->key, slot);
			store->memory += strlen(value) + strlen(slot->entry->key) + INDEX_OVERHEAD;
		}
	}
}

static size_t slot_memory(const struct kube_slot *slot)
{
	return slot->entry->size + strlen(slot->entry->key) + ENTRY_OVERHEAD;
}

void kube_store_old_free(const struct kube_store *store, struct kube_store_old *old)
{
	kube_entry_unref(old->entry);
	free_values(store, old->values);
	*old = (struct kube_store_old){ 0 };
}

struct kube_slot *kube_store_put(struct kube_store *store, struct kube_entry *entry, struct string_list *values,
                                 struct kube_store_old *ret_old)
{
	struct kube_slot *slot = kube_store_find(store, entry->key);

	if (slot == NULL) {
		slot = calloc(1, sizeof(*slot));
		if (slot == NULL)
			abort();
		(void)map_put(&store->slots, entry->key, slot);
	} else {
		index_remove(store, slot);
		store->memory -= slot_memory(slot);
	}
	*ret_old = (struct kube_store_old){ slot->entry, slot->values };
	slot->entry = entry;
	slot->values = values;
	index_add(store, slot);
	store->memory += slot_memory(slot);
	return slot;
}

void kube_store_remove(struct kube_store *store, const char *key, struct kube_store_old *ret_old)
{
	struct kube_slot *slot = kube_store_find(store, key);

	*ret_old = (struct kube_store_old){ slot->entry, slot->values };
	kube_store_set_unconfirmed(store, slot, false, 0, 0);
	index_remove(store, slot);
	store->memory -= slot_memory(slot);
	(void)map_remove(&store->slots, ret_old->entry->key);
	free(slot);
}

void kube_store_set_unconfirmed(struct kube_store *store, struct kube_slot *slot, bool unconfirmed, uint64_t now_ms, uint64_t list_number)
{
	if (slot->unconfirmed != unconfirmed)
		store->unconfirmed += unconfirmed ? 1 : (size_t)-1;
	slot->unconfirmed = unconfirmed;
	slot->observed_ms = now_ms;
	slot->observed_list = list_number;
}

void kube_store_by_index(const struct kube_store *store, const char *index, const char *value, struct kube_entries *out)
{
	for (size_t i = 0; i < store->index_count; i++) {
		const struct map *keys;

		if (!string_equal(store->indexes[i].name, index))
			continue;
		keys = map_get(&store->index_maps[i], value);
		for (struct map_entry *e = keys != NULL ? map_first(keys) : NULL; e != NULL; e = map_next(keys, e))
			kube_entries_add(out, ((struct kube_slot *)e->value)->entry);
		return;
	}
	abort(); /* an index that nobody defined */
}
