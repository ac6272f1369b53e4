/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change looks like on its way to the log and home: one commit is one revision of one space (or a change that takes no revision).
 * All bytes are borrowed for the duration of the call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/bytes.h"

enum commit_kind {
	COMMIT_OPERATIONS = 1,  /* puts and deletes of one revision; `lease` set: they follow from that lease's end, which goes with them */
	COMMIT_COMPACT = 2,     /* `revision` is the new compacted revision */
	COMMIT_LEASE_GRANT = 3, /* lease, ttl */
	COMMIT_LEASE_REVOKE = 4, /* a lease without keys */
	COMMIT_RECORD = 5,       /* a named record beside the keys (users, roles, alarms): operations[0].key, value; deleted removes it */
	COMMIT_JUMP = 6,         /* after a loss: the space continues at `revision`, everything before is compacted */
};

struct commit_operation {
	uint64_t id; /* unique in the whole store, ascending */
	struct bytes key, value;
	int64_t lease, create_revision, version;
	bool deleted;
};

struct commit {
	enum commit_kind kind;
	uint64_t space;
	int64_t revision;
	int64_t lease, ttl;
	const struct commit_operation *operations;
	uint32_t count;
};

/* What a space needs of the store that holds it. */
struct space_host {
	void *context;
	uint64_t (*next_id)(void *context);
	/* Puts the commit in the log's next batch; returns its sequence number. The commit is durable when the store says so. */
	uint64_t (*append)(void *context, const struct commit *commit);
	/* A reference to the value an operation wrote, from the cache or home; NULL when it cannot be had (the store has then failed). */
	struct blob *(*load_value)(void *context, uint64_t id, uint32_t length);
	void (*keep_value)(void *context, uint64_t id, struct blob *value);
	void (*drop_value)(void *context, uint64_t id, uint64_t space); /* compacted away: also from home */
	void (*past_value)(void *context, uint64_t id);                 /* overwritten or deleted: a hint to the cache; may be NULL */
};
