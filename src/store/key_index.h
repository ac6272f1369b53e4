/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordered index of one space: every key with the chain of its versions since the last compaction. A treap whose nodes count the live
 * keys below them, so that "how many keys in this range" takes O(log n) at the head revision. Keys whose newest version is a tombstone stay
 * until compaction, uncounted. Values are not here: a version names its value by `id`. Engine thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/bytes.h"
#include "store/key_range.h"
#include "store/slab.h"

/* One version of a key. A tombstone has version 0 and no value. */
struct key_version {
	int64_t mod_revision;
	int64_t create_revision; /* 0 in a tombstone */
	int64_t version;
	int64_t lease; /* 0: none */
	uint64_t id;   /* of the log operation that wrote it: finds the value, and orders operations of one revision */
	uint32_t value_length;
	uint32_t sub; /* order within the revision */
};

struct key_record {
	struct key_record *parent, *left, *right;
	uint32_t priority;
	uint32_t live_below;          /* live keys of this subtree, this one included */
	struct key_version *versions; /* oldest first; points to `first` while there is one */
	uint32_t count, capacity;
	struct key_version first;
	uint32_t lease_place; /* in the key list of the lease that the head names, while it names one: lease_table.h */
	uint32_t key_length;
	char key[];
};

struct key_index {
	struct key_record *root;
	size_t records;        /* tombstoned ones included */
	size_t bytes;          /* memory of records and chains */
	uint64_t random_state; /* priorities */
	struct slab slab;
};

static inline struct bytes key_record_key(const struct key_record *record)
{
	return (struct bytes){ record->key, record->key_length };
}
static inline const struct key_version *key_record_head(const struct key_record *record)
{
	return record->count > 0 ? &record->versions[record->count - 1] : NULL;
}
static inline bool key_version_live(const struct key_version *version)
{
	return version != NULL && version->version != 0;
}

void key_index_free(struct key_index *index);

struct key_record *key_index_find(const struct key_index *index, struct bytes key); /* NULL when absent */
struct key_record *key_index_ensure(struct key_index *index, struct bytes key);     /* made with no version when absent */
/* First record with key >= the given; next in order; NULL at the end. Stay valid while nothing is removed. */
struct key_record *key_index_seek(const struct key_index *index, struct bytes key);
struct key_record *key_record_next(const struct key_record *record);
/* First record of the range, or NULL. */
struct key_record *key_index_first(const struct key_index *index, const struct key_range *range);
/* Live keys of the range at the head. O(log n). */
size_t key_index_count(const struct key_index *index, const struct key_range *range);

/* Adds the newest version; its (mod_revision, sub) must be after the head's. */
void key_index_append(struct key_index *index, struct key_record *record, const struct key_version *version);
/* Takes the newest version off again (a batch that could not be made durable). A record without versions is removed and freed. */
void key_index_revert(struct key_index *index, struct key_record *record);
/* The version that a reader at `revision` sees (it may be a tombstone), or NULL when the key did not exist yet. */
const struct key_version *key_record_at(const struct key_record *record, int64_t revision);
/* The version that was the newest before `revision` began: what watchers are told as the previous one. NULL or a tombstone: there was none. */
const struct key_version *key_record_before(const struct key_record *record, int64_t revision);
/*
 * Drops versions that compaction at `revision` makes unreachable: all before the newest one <= revision, and that one too when it is a
 * tombstone older than `revision` (one made exactly there stays for watches that start there). dropped(argument, version) is called for each. Removes and frees the record when nothing is left; returns true then.
 */
bool key_index_compact(struct key_index *index, struct key_record *record, int64_t revision,
                       void (*dropped)(void *argument, const struct key_version *version), void *argument);
