/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/space_int.h"

static int64_t liveness_change(const struct space_event *event)
{
	return (event->deleted ? 0 : 1) - (event->was_live ? 1 : 0);
}

/*
 * The index counts live keys at the head. Looking back to `revision`, what came after it is either still in the ring, whose few events
 * are subtracted, or is found by walking the range.
 */
int64_t space_count_at(const struct space *space, const struct key_range *range, int64_t revision)
{
	int64_t count;

	if (revision >= space->head || revision + 1 >= space->ring_start) {
		count = (int64_t)key_index_count(&space->index, range);
		for (size_t i = space->ring_count; i-- > 0;) {
			const struct space_event *event = space_ring_at(space, i);

			if (event->mod_revision <= revision)
				break;
			if (key_range_contains(range, space_event_key(event)))
				count -= liveness_change(event);
		}
		return count;
	}
	count = 0;
	for (struct key_record *record = key_index_first(&space->index, range);
	     record != NULL && key_range_contains(range, key_record_key(record)); record = key_record_next(record))
		count += key_version_live(key_record_at(record, revision)) ? 1 : 0;
	return count;
}

struct key_value space_key_value(struct space *space, const struct key_record *record, const struct key_version *version, bool with_value,
                                 struct arena *arena)
{
	struct key_value item = {
		.key = key_record_key(record),
		.create_revision = version->create_revision,
		.mod_revision = version->mod_revision,
		.version = version->version,
		.lease = version->lease,
	};

	if (with_value) {
		item.value = space_value(space, version);
		if (item.value != NULL)
			arena_defer(arena, space_blob_release, item.value);
	}
	return item;
}

static bool filtered(const struct range_request *request)
{
	return request->min_mod_revision != 0 || request->max_mod_revision != 0 || request->min_create_revision != 0 ||
	       request->max_create_revision != 0;
}

static bool passes(const struct range_request *request, const struct key_version *version)
{
	return (request->max_mod_revision == 0 || version->mod_revision <= request->max_mod_revision) &&
	       (request->min_mod_revision == 0 || version->mod_revision >= request->min_mod_revision) &&
	       (request->max_create_revision == 0 || version->create_revision <= request->max_create_revision) &&
	       (request->min_create_revision == 0 || version->create_revision >= request->min_create_revision);
}

struct found {
	const struct key_record *record;
	const struct key_version *version;
	struct blob *value; /* only when sorting by it */
};

struct finding {
	struct found *items;
	size_t count, capacity;
	bool unreadable;
};

static void add_found(struct finding *finding, struct arena *arena, struct key_record *record, const struct key_version *version)
{
	if (finding->count == finding->capacity) {
		size_t capacity = finding->capacity ? finding->capacity * 2 : 16;
		struct found *items = arena_alloc(arena, capacity * sizeof(*items));

		if (finding->count > 0)
			memcpy(items, finding->items, finding->count * sizeof(*items));
		finding->items = items;
		finding->capacity = capacity;
	}
	finding->items[finding->count++] = (struct found){ .record = record, .version = version };
}

/* At most `most` items (0: all) that pass the filters, in key order. */
static void find(struct space *space, const struct range_request *request, const struct key_range *range, int64_t revision, size_t most,
                 struct arena *arena, struct finding *finding)
{
	struct key_record *record = key_range_empty(range) ? NULL : key_index_first(&space->index, range);

	for (; record != NULL && key_range_contains(range, key_record_key(record)); record = key_record_next(record)) {
		const struct key_version *version = key_record_at(record, revision);

		if (key_version_live(version) && passes(request, version)) {
			add_found(finding, arena, record, version);
			if (finding->count == most)
				return;
		}
		if (range->single)
			return;
	}
}

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_found(const struct found *a, const struct found *b, enum sort_target target)
{
	switch (target) {
	case SORT_VERSION:
		return compare_numbers(a->version->version, b->version->version);
	case SORT_CREATE:
		return compare_numbers(a->version->create_revision, b->version->create_revision);
	case SORT_MOD:
		return compare_numbers(a->version->mod_revision, b->version->mod_revision);
	case SORT_VALUE:
		return bytes_compare(blob_bytes(a->value), blob_bytes(b->value));
	default:
		return bytes_compare(key_record_key(a->record), key_record_key(b->record));
	}
}

/* Merge sort: stable, so that equal items keep their key order. */
static void sort_found(struct found *items, struct found *spare, size_t count, enum sort_target target, int sign)
{
	size_t half = count / 2, left = 0, right = half, out = 0;

	if (count < 2)
		return;
	sort_found(items, spare, half, target, sign);
	sort_found(items + half, spare, count - half, target, sign);
	while (left < half && right < count)
		spare[out++] = sign * compare_found(&items[right], &items[left], target) < 0 ? items[right++] : items[left++];
	while (left < half)
		spare[out++] = items[left++];
	while (right < count)
		spare[out++] = items[right++];
	memcpy(items, spare, count * sizeof(*items));
}

static void sort_result(struct space *space, const struct range_request *request, struct arena *arena, struct finding *finding)
{
	enum sort_order order = request->sort_order;

	if (order == SORT_NONE && request->sort_target != SORT_KEY)
		order = SORT_ASCEND;
	if (order == SORT_NONE || (order == SORT_ASCEND && request->sort_target == SORT_KEY))
		return;
	if (request->sort_target == SORT_VALUE) {
		for (size_t i = 0; i < finding->count; i++) {
			finding->items[i].value = space_value(space, finding->items[i].version);
			if (finding->items[i].value == NULL)
				finding->unreadable = true;
			else
				arena_defer(arena, space_blob_release, finding->items[i].value);
		}
	}
	sort_found(finding->items, arena_alloc(arena, finding->count * sizeof(struct found) + 1), finding->count, request->sort_target,
	           order == SORT_DESCEND ? -1 : 1);
}

enum store_status space_read(struct space *space, const struct range_request *request, int64_t revision, struct arena *arena,
                             struct range_result *result)
{
	struct key_range range = key_range_of(request->key, request->range_end);
	struct finding finding = { 0 };
	/* As etcd does, a limit without an order applies before the sort, whatever the target. */
	bool ordered = request->sort_order == SORT_NONE || (request->sort_order == SORT_ASCEND && request->sort_target == SORT_KEY);
	bool all = !ordered || filtered(request);
	/* And it tells keys from its index, which knows no leases. */
	bool leases = !request->keys_only || request->sort_target == SORT_VALUE;
	size_t limit = request->limit > 0 ? (size_t)request->limit : 0;

	*result = (struct range_result){ .total = space_count_at(space, &range, revision) };
	if (request->count_only)
		return STORE_OK;
	find(space, request, &range, revision, all || limit == 0 ? 0 : limit + 1, arena, &finding);
	sort_result(space, request, arena, &finding);
	if (limit > 0 && finding.count > limit) {
		finding.count = limit;
		result->more = true;
	}
	result->items = arena_alloc(arena, finding.count * sizeof(*result->items) + 1);
	result->count = finding.count;
	for (size_t i = 0; i < finding.count; i++) {
		result->items[i] = space_key_value(space, finding.items[i].record, finding.items[i].version, !request->keys_only, arena);
		if (!request->keys_only && result->items[i].value == NULL)
			finding.unreadable = true;
		if (!leases)
			result->items[i].lease = 0;
	}
	return finding.unreadable ? STORE_UNREADABLE : STORE_OK;
}

enum store_status space_range(struct space *space, const struct range_request *request, struct arena *arena, struct range_result *result)
{
	int64_t revision = request->revision > 0 ? request->revision : space->visible;

	if (revision > space->visible)
		return STORE_FUTURE_REVISION;
	if (revision < space->compacted)
		return STORE_COMPACTED;
	return space_read(space, request, revision, arena, result);
}
