/* SPDX-License-Identifier: Apache-2.0 */
#include "store/space.h"

#include <stdlib.h>

#include "store/space_int.h"

struct space *space_new(uint64_t id, const struct space_host *host)
{
	struct space *space = calloc(1, sizeof(*space));

	if (space == NULL)
		abort();
	space->id = id;
	space->host = *host;
	space->head = space->visible = 1;
	space->compacted = -1;
	space->ring_start = 2;
	space->index.random_state = id + 1;
	return space;
}

void space_free(struct space *space)
{
	if (space == NULL)
		return;
	for (size_t i = 0; i < space->ring_count; i++)
		space_event_unref(space_ring_at(space, i));
	free(space->ring);
	free(space->compact_cursor);
	lease_table_free(&space->leases);
	key_index_free(&space->index);
	free(space);
}

uint64_t space_id(const struct space *space)
{
	return space->id;
}

int64_t space_visible_revision(const struct space *space)
{
	return space->visible;
}

int64_t space_head_revision(const struct space *space)
{
	return space->head;
}

int64_t space_compacted_revision(const struct space *space)
{
	return space->compacted;
}

size_t space_index_bytes(const struct space *space)
{
	return space->index.bytes;
}

uint64_t space_data_bytes(const struct space *space)
{
	return space->data_bytes;
}

void space_set_quota(struct space *space, uint64_t bytes)
{
	space->quota = bytes;
}

bool space_over_quota(const struct space *space)
{
	return space->quota != 0 && space->data_bytes >= space->quota;
}

const struct key_index *space_index(const struct space *space)
{
	return &space->index;
}

struct lease_table *space_leases(struct space *space)
{
	return &space->leases;
}

void space_advance(struct space *space, int64_t revision)
{
	if (revision > space->visible)
		space->visible = revision;
}

struct blob *space_value(struct space *space, const struct key_version *version)
{
	return space->host.load_value(space->host.context, version->id, version->value_length);
}

void space_blob_release(void *blob)
{
	blob_unref(blob);
}

size_t space_ring_count(const struct space *space)
{
	return space->ring_count;
}

struct space_event *space_ring_at(const struct space *space, size_t index)
{
	return space->ring[(space->ring_first + index) & (space->ring_capacity - 1)];
}

int64_t space_ring_start(const struct space *space)
{
	return space->ring_start;
}

size_t space_ring_seek(const struct space *space, int64_t revision)
{
	size_t low = 0, high = space->ring_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (space_ring_at(space, middle)->mod_revision < revision)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t event_bytes(const struct space_event *event)
{
	return sizeof(*event) + event->key_length + (event->value != NULL ? event->value->length : 0) + event->previous_length;
}

/* Drops the oldest events over the budget, whole revisions at a time and never one that is not visible yet. */
static void trim_ring(struct space *space)
{
	while (space->ring_count > 0 && (space->ring_count > SPACE_RING_EVENTS || space->ring_bytes > SPACE_RING_BYTES)) {
		int64_t revision = space_ring_at(space, 0)->mod_revision;

		if (revision > space->visible)
			return;
		while (space->ring_count > 0 && space_ring_at(space, 0)->mod_revision == revision) {
			struct space_event *event = space_ring_at(space, 0);

			space->ring_bytes -= event_bytes(event);
			space->ring_first = (space->ring_first + 1) & (space->ring_capacity - 1);
			space->ring_count--;
			space_event_unref(event);
		}
		space->ring_start = revision + 1;
	}
}

void space_ring_add(struct space *space, struct space_event *event)
{
	if (space->ring_count == space->ring_capacity) {
		size_t capacity = space->ring_capacity ? space->ring_capacity * 2 : 64;
		struct space_event **ring = calloc(capacity, sizeof(struct space_event *));

		if (ring == NULL)
			abort();
		for (size_t i = 0; i < space->ring_count; i++)
			ring[i] = space_ring_at(space, i);
		free(space->ring);
		space->ring = ring;
		space->ring_first = 0;
		space->ring_capacity = capacity;
	}
	space->ring[(space->ring_first + space->ring_count) & (space->ring_capacity - 1)] = event;
	space->ring_count++;
	space->ring_bytes += event_bytes(event);
	trim_ring(space);
}

static void version_dropped(void *argument, const struct key_version *version)
{
	struct space *space = argument;

	space->data_bytes -= version->value_length;
	space->host.drop_value(space->host.context, version->id, space->id);
}

enum store_status space_compact(struct space *space, int64_t revision, uint64_t *sequence)
{
	struct commit commit = { .kind = COMMIT_COMPACT, .space = space->id, .revision = revision };

	if (revision <= space->compacted)
		return STORE_COMPACTED;
	if (revision > space->visible)
		return STORE_FUTURE_REVISION;
	space->compacted = revision;
	space->compacting = true;
	free(space->compact_cursor);
	space->compact_cursor = NULL;
	*sequence = space->host.append(space->host.context, &commit);
	return STORE_OK;
}

bool space_compacting(const struct space *space)
{
	return space->compacting;
}

void space_hold_compaction(struct space *space, bool held)
{
	space->compaction_held = held;
}

bool space_compaction_held(const struct space *space)
{
	return space->compaction_held;
}

static void remember_cursor(struct space *space, const struct key_record *record)
{
	free(space->compact_cursor);
	space->compact_cursor = malloc(record->key_length + 1);
	if (space->compact_cursor == NULL)
		abort();
	memcpy(space->compact_cursor, record->key, record->key_length);
	space->compact_cursor_length = record->key_length;
}

bool space_compact_step(struct space *space, size_t budget)
{
	struct bytes from = { "", 0 };
	struct key_record *record;

	if (!space->compacting || space->compaction_held)
		return false;
	if (space->compact_cursor != NULL)
		from = (struct bytes){ space->compact_cursor, space->compact_cursor_length };
	for (record = key_index_seek(&space->index, from); record != NULL && budget > 0; budget--) {
		struct key_record *next = key_record_next(record);
		size_t key_length = record->key_length;

		if (record->count > 1 || !key_version_live(key_record_head(record)))
			if (key_index_compact(&space->index, record, space->compacted, version_dropped, space))
				space->data_bytes -= key_length;
		record = next;
	}
	if (record != NULL) {
		remember_cursor(space, record);
		return true;
	}
	free(space->compact_cursor);
	space->compact_cursor = NULL;
	space->compacting = false;
	return false;
}

void space_load_operation(struct space *space, const struct commit_operation *operation, uint32_t value_length, int64_t revision,
                          uint32_t sub)
{
	struct key_record *record = key_index_ensure(&space->index, operation->key);
	struct key_version version = {
		.mod_revision = revision,
		.create_revision = operation->create_revision,
		.version = operation->deleted ? 0 : operation->version,
		.lease = operation->lease,
		.id = operation->id,
		.value_length = value_length,
		.sub = sub,
	};

	if (record->count == 0)
		space->data_bytes += operation->key.length;
	space->data_bytes += value_length;
	key_index_append(&space->index, record, &version);
	space_load_revision(space, revision);
}

void space_load_revision(struct space *space, int64_t revision)
{
	if (revision > space->head)
		space->head = space->visible = revision;
	space->ring_start = space->head + 1;
}

void space_load_compacted(struct space *space, int64_t revision)
{
	if (revision > space->compacted) {
		space->compacted = revision;
		space->compacting = true;
	}
	space_load_revision(space, revision);
}

void space_load_lease(struct space *space, int64_t id, int64_t ttl_seconds, uint64_t now_ms)
{
	if (lease_table_find(&space->leases, id) == NULL)
		(void)lease_table_add(&space->leases, id, ttl_seconds, now_ms);
}

void space_load_lease_end(struct space *space, int64_t id)
{
	struct lease *lease = lease_table_find(&space->leases, id);

	if (lease != NULL)
		lease_table_remove(&space->leases, lease);
}

void space_load_done(struct space *space)
{
	for (struct key_record *record = key_index_seek(&space->index, BYTES("")); record != NULL; record = key_record_next(record)) {
		const struct key_version *head = key_record_head(record);
		struct lease *lease = head != NULL && head->lease != 0 ? lease_table_find(&space->leases, head->lease) : NULL;

		if (lease != NULL && key_version_live(head))
			lease_attach(lease, record);
	}
}
