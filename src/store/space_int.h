/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the files that make up a space. */
#pragma once

#include "store/space.h"

struct space {
	uint64_t id;
	struct space_host host;
	struct key_index index;
	struct lease_table leases;
	int64_t head, visible, compacted;
	uint64_t data_bytes, quota;
	uint64_t head_sequence; /* of the newest commit; durable when the host says so */
	int64_t head_sequence_revision;

	struct space_event **ring; /* circular */
	size_t ring_first, ring_count, ring_capacity, ring_bytes;
	int64_t ring_start;

	bool compacting, compaction_held;
	char *compact_cursor; /* next key to look at; NULL: from the start */
	size_t compact_cursor_length;
};

/* A transaction under evaluation. */
struct change {
	struct space *space;
	struct arena *arena;
	struct commit_operation *operations;
	uint32_t count, capacity;
	int64_t revision; /* that its writes get */
};

void space_blob_release(void *blob);                                 /* for arena_defer() */
void space_ring_add(struct space *space, struct space_event *event); /* takes the reference */
/* Live keys of the range at `revision`. */
int64_t space_count_at(const struct space *space, const struct key_range *range, int64_t revision);
enum store_status space_read(struct space *space, const struct range_request *request, int64_t revision, struct arena *arena,
                             struct range_result *result);
struct key_value space_key_value(struct space *space, const struct key_record *record, const struct key_version *version, bool with_value,
                                 struct arena *arena);
void change_put(struct change *change, struct bytes key, struct blob *value, int64_t lease);
void change_delete(struct change *change, struct key_record *record);
/* Logs what was done as one commit; lease: the one whose end caused it, else 0. Returns the sequence, 0 when nothing was done. */
uint64_t change_commit(struct change *change, int64_t ended_lease);
