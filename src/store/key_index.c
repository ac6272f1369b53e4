/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key_index.h"

#include <stdlib.h>

static uint32_t next_priority(struct key_index *index)
{
	uint64_t z = (index->random_state += 0x9e3779b97f4a7c15u); /* splitmix64: balance needs no secrecy, only spread */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)(z ^ (z >> 31));
}

static uint32_t live_of(const struct key_record *record)
{
	return record != NULL ? record->live_below : 0;
}

static void recount(struct key_record *record)
{
	record->live_below = live_of(record->left) + live_of(record->right) + (key_version_live(key_record_head(record)) ? 1 : 0);
}

static void recount_up(struct key_record *record)
{
	for (; record != NULL; record = record->parent)
		recount(record);
}

static struct key_record **link_of(struct key_index *index, struct key_record *record)
{
	if (record->parent == NULL)
		return &index->root;
	return record->parent->left == record ? &record->parent->left : &record->parent->right;
}

/* Lifts `record` over its parent; order stays, both counts are made right. */
static void rotate_up(struct key_index *index, struct key_record *record)
{
	struct key_record *parent = record->parent;
	struct key_record **link = link_of(index, parent);
	struct key_record *moved;

	if (parent->left == record) {
		moved = record->right;
		parent->left = moved;
		record->right = parent;
	} else {
		moved = record->left;
		parent->right = moved;
		record->left = parent;
	}
	if (moved != NULL)
		moved->parent = parent;
	record->parent = parent->parent;
	parent->parent = record;
	*link = record;
	recount(parent);
	recount(record);
}

struct key_record *key_index_find(const struct key_index *index, struct bytes key)
{
	struct key_record *record = index->root;

	while (record != NULL) {
		int order = bytes_compare(key, key_record_key(record));

		if (order == 0)
			return record;
		record = order < 0 ? record->left : record->right;
	}
	return NULL;
}

static struct key_record *record_new(struct key_index *index, struct bytes key)
{
	struct key_record *record = slab_alloc(&index->slab, sizeof(*record) + key.length);

	*record = (struct key_record){ 0 };
	record->priority = next_priority(index);
	record->versions = &record->first;
	record->capacity = 1;
	record->key_length = (uint32_t)key.length;
	memcpy(record->key, key.data, key.length);
	index->records++;
	index->bytes += sizeof(*record) + key.length;
	return record;
}

struct key_record *key_index_ensure(struct key_index *index, struct bytes key)
{
	struct key_record **link = &index->root, *parent = NULL, *record;

	while (*link != NULL) {
		int order = bytes_compare(key, key_record_key(*link));

		if (order == 0)
			return *link;
		parent = *link;
		link = order < 0 ? &parent->left : &parent->right;
	}
	record = record_new(index, key);
	record->parent = parent;
	*link = record;
	while (record->parent != NULL && record->parent->priority < record->priority)
		rotate_up(index, record);
	return record;
}

static void free_versions(struct key_index *index, struct key_record *record)
{
	if (record->versions != &record->first) {
		index->bytes -= record->capacity * sizeof(*record->versions);
		slab_free(&index->slab, record->versions, record->capacity * sizeof(*record->versions));
	}
}

static void free_record(struct key_index *index, struct key_record *record)
{
	free_versions(index, record);
	slab_free(&index->slab, record, sizeof(*record) + record->key_length);
}

static void remove_record(struct key_index *index, struct key_record *record)
{
	struct key_record *child, *parent;

	while (record->left != NULL && record->right != NULL)
		rotate_up(index, record->left->priority > record->right->priority ? record->left : record->right);
	child = record->left != NULL ? record->left : record->right;
	parent = record->parent;
	*link_of(index, record) = child;
	if (child != NULL)
		child->parent = parent;
	recount_up(parent);
	index->records--;
	index->bytes -= sizeof(*record) + record->key_length;
	free_record(index, record);
}

struct key_record *key_index_seek(const struct key_index *index, struct bytes key)
{
	struct key_record *record = index->root, *best = NULL;

	while (record != NULL) {
		if (bytes_compare(key_record_key(record), key) >= 0) {
			best = record;
			record = record->left;
		} else {
			record = record->right;
		}
	}
	return best;
}

struct key_record *key_record_next(const struct key_record *record)
{
	struct key_record *next = record->right;

	if (next != NULL) {
		while (next->left != NULL)
			next = next->left;
		return next;
	}
	while (record->parent != NULL && record->parent->right == record)
		record = record->parent;
	return record->parent;
}

struct key_record *key_index_first(const struct key_index *index, const struct key_range *range)
{
	struct key_record *record;

	if (range->single)
		return key_index_find(index, range->from);
	record = key_index_seek(index, range->from);
	return record != NULL && key_range_contains(range, key_record_key(record)) ? record : NULL;
}

/* Live keys smaller than `key`. */
static size_t live_before(const struct key_index *index, struct bytes key)
{
	const struct key_record *record = index->root;
	size_t count = 0;

	while (record != NULL) {
		if (bytes_compare(key_record_key(record), key) < 0) {
			count += record->live_below - live_of(record->right);
			record = record->right;
		} else {
			record = record->left;
		}
	}
	return count;
}

size_t key_index_count(const struct key_index *index, const struct key_range *range)
{
	size_t end;

	if (range->single) {
		const struct key_record *record = key_index_find(index, range->from);

		return record != NULL && key_version_live(key_record_head(record)) ? 1 : 0;
	}
	if (key_range_empty(range))
		return 0;
	end = range->open ? live_of(index->root) : live_before(index, range->to);
	return end - live_before(index, range->from);
}

static void reserve_version(struct key_index *index, struct key_record *record)
{
	uint32_t capacity = record->capacity * 2;
	struct key_version *versions;

	if (record->count < record->capacity)
		return;
	versions = slab_alloc(&index->slab, capacity * sizeof(*versions));
	memcpy(versions, record->versions, record->count * sizeof(*versions));
	free_versions(index, record);
	index->bytes += capacity * sizeof(*versions);
	record->versions = versions;
	record->capacity = capacity;
}

void key_index_append(struct key_index *index, struct key_record *record, const struct key_version *version)
{
	bool was_live = key_version_live(key_record_head(record));

	reserve_version(index, record);
	record->versions[record->count++] = *version;
	if (was_live != key_version_live(version))
		recount_up(record);
}

void key_index_revert(struct key_index *index, struct key_record *record)
{
	if (record->count > 0)
		record->count--;
	if (record->count == 0)
		remove_record(index, record);
	else
		recount_up(record);
}

const struct key_version *key_record_at(const struct key_record *record, int64_t revision)
{
	uint32_t low = 0, high = record->count;

	/* Nearly every reader wants the newest. */
	if (high > 0 && record->versions[high - 1].mod_revision <= revision)
		return &record->versions[high - 1];
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (record->versions[middle].mod_revision <= revision)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &record->versions[low - 1] : NULL;
}

const struct key_version *key_record_before(const struct key_record *record, int64_t revision)
{
	return key_record_at(record, revision - 1);
}

/* A key that was written often between two compactions gives most of its chain back. */
static void shrink(struct key_index *index, struct key_record *record)
{
	struct key_version *versions = &record->first;

	if (record->versions == &record->first || record->count > record->capacity / 4)
		return;
	if (record->count > 1) {
		versions = slab_alloc(&index->slab, record->count * sizeof(*versions));
		index->bytes += record->count * sizeof(*versions);
	}
	memcpy(versions, record->versions, record->count * sizeof(*versions));
	free_versions(index, record);
	record->versions = versions;
	record->capacity = record->count;
}

bool key_index_compact(struct key_index *index, struct key_record *record, int64_t revision,
                       void (*dropped)(void *argument, const struct key_version *version), void *argument)
{
	uint32_t drop = 0;

	while (drop + 1 < record->count && record->versions[drop + 1].mod_revision <= revision)
		drop++;
	if (record->count > 0 && record->versions[drop].mod_revision < revision && !key_version_live(&record->versions[drop]))
		drop++;
	for (uint32_t i = 0; i < drop; i++)
		dropped(argument, &record->versions[i]);
	if (drop == record->count) {
		remove_record(index, record);
		return true;
	}
	if (drop > 0) {
		record->count -= drop;
		memmove(record->versions, record->versions + drop, record->count * sizeof(*record->versions));
		shrink(index, record);
	}
	return false;
}

void key_index_free(struct key_index *index)
{
	struct key_record *record = index->root;

	while (record != NULL) {
		struct key_record *parent;

		if (record->left != NULL) {
			record = record->left;
			continue;
		}
		if (record->right != NULL) {
			record = record->right;
			continue;
		}
		parent = record->parent;
		if (parent != NULL)
			*link_of(index, record) = NULL;
		free_record(index, record);
		record = parent;
	}
	*index = (struct key_index){ 0 };
}
