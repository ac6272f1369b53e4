/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One keyspace with etcd's semantics: its own revisions, compaction, leases, quota and watches. A store holds one or many.
 *
 * Two revisions matter. `head` is the newest that was evaluated; `visible` is the newest that is durable. Changes are evaluated at once
 * against the head and go into the log's next batch; readers and watchers see only up to `visible`, so nobody ever learns of something a
 * crash could take back. A change's answer is held until space_advance() passes its revision. A failed log ends the process, so nothing is
 * ever rolled back.
 *
 * All functions run on the engine's thread and none waits. Results borrow keys from the index: encode them before the next change.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/commit.h"
#include "store/lease_table.h"
#include "store/requests.h"
#include "store/space_event.h"

struct space;

enum store_status {
	STORE_OK,
	STORE_COMPACTED, /* the revision has been compacted */
	STORE_FUTURE_REVISION,
	STORE_KEY_NOT_FOUND, /* ignore_value or ignore_lease without a key; an operation without content */
	STORE_LEASE_NOT_FOUND,
	STORE_LEASE_EXISTS,
	STORE_LEASE_TTL_TOO_LARGE,
	STORE_NO_SPACE,   /* the quota: growth is refused, deletes and renewals are not */
	STORE_UNREADABLE, /* a value could not be read back */
};

enum {
	SPACE_RING_EVENTS = 4096,
	SPACE_RING_BYTES = 4 * 1024 * 1024,
};
#define LEASE_TTL_MAXIMUM INT64_C(9000000000)
#define LEASE_TTL_MINIMUM INT64_C(2)

struct space *space_new(uint64_t id, const struct space_host *host);
void space_free(struct space *space);

uint64_t space_id(const struct space *space);
int64_t space_visible_revision(const struct space *space);
int64_t space_head_revision(const struct space *space);
int64_t space_compacted_revision(const struct space *space); /* -1: never */
size_t space_index_bytes(const struct space *space);
uint64_t space_data_bytes(const struct space *space);      /* keys and values of all kept versions */
void space_set_quota(struct space *space, uint64_t bytes); /* of space_data_bytes(); 0: none */
bool space_over_quota(const struct space *space);

enum store_status space_range(struct space *space, const struct range_request *request, struct arena *arena, struct range_result *result);
/*
 * PUT, DELETE or TXN. *sequence is the log sequence that must be durable before the answer is given, 0 when it may go at once;
 * *revision is for the answer's header. Checks that depend on the state (leases, ignore_value, revisions of nested reads) refuse the whole
 * before anything is changed; checks of form (empty keys, duplicates, number of operations) are the caller's.
 */
enum store_status space_change(struct space *space, const struct operation *operation, struct arena *arena, struct operation_result *result,
                               int64_t *revision, uint64_t *sequence);

/* Logical effect at once; space_compact_step() then frees memory and home in slices of `budget` keys, true while more is left. */
enum store_status space_compact(struct space *space, int64_t revision, uint64_t *sequence);
bool space_compact_step(struct space *space, size_t budget);
bool space_compacting(const struct space *space);
/* While held, nothing is freed: a step does nothing. For who must read home as it was before. */
void space_hold_compaction(struct space *space, bool held);
bool space_compaction_held(const struct space *space);

/* id 0: chosen. The granted TTL comes back. */
enum store_status space_lease_grant(struct space *space, int64_t id, int64_t ttl_seconds, uint64_t now_ms, struct lease **lease,
                                    uint64_t *sequence);
/* Deletes the lease's keys, sorted, in one revision. */
enum store_status space_lease_revoke(struct space *space, int64_t id, int64_t *revision, uint64_t *sequence);
struct lease *space_lease_find(struct space *space, int64_t id);
bool space_lease_renew(struct space *space, int64_t id, uint64_t now_ms, int64_t *ttl_seconds);
struct lease_table *space_leases(struct space *space);

/* Everything up to this revision is durable now. */
void space_advance(struct space *space, int64_t revision);

/* Loading: the same changes as read from home and log, in order, without logging them again. */
void space_load_operation(struct space *space, const struct commit_operation *operation, uint32_t value_length, int64_t revision,
                          uint32_t sub);
void space_load_compacted(struct space *space, int64_t revision);
void space_load_lease(struct space *space, int64_t id, int64_t ttl_seconds, uint64_t now_ms);
void space_load_lease_end(struct space *space, int64_t id);
void space_load_revision(struct space *space, int64_t revision); /* the head and visible revision, when higher than seen so far */
void space_load_done(struct space *space);                       /* attaches keys to leases */

/* For the watch hub and the services above. */
const struct key_index *space_index(const struct space *space);
struct blob *space_value(struct space *space, const struct key_version *version); /* a reference; NULL: STORE_UNREADABLE */
/* The ring of recent events, oldest first; those after the visible revision are included. */
size_t space_ring_count(const struct space *space);
struct space_event *space_ring_at(const struct space *space, size_t index);
int64_t space_ring_start(const struct space *space);                 /* all events with a revision >= this are in the ring */
size_t space_ring_seek(const struct space *space, int64_t revision); /* index of the first event with a revision >= this */
