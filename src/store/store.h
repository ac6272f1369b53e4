/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder with any number of spaces under one log. One loop thread (the engine's) owns all state and evaluates every request; the log's
 * thread makes batches durable; home's thread drains the log into SQLite. Only durable changes become visible, and answers to changes are given
 * when store_wait() says so.
 *
 *     DIR/lock             held while open
 *     DIR/log/             segments
 *     DIR/home.db          SQLite
 *
 * store_open() and store_close() are called from outside the loop, everything else on it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/loop.h"
#include "store/space.h"
#include "store/watch_hub.h"

struct store;

enum { STORE_SPACE_DEFAULT = 1 };
#define STORE_JUMP INT64_C(1000000000) /* after lost changes */

struct store_options {
	const char *directory;
	size_t cache_bytes;   /* of values; 0: 12 MiB */
	size_t segment_bytes; /* of the log; 0: LOG_SEGMENT_BYTES */
	uint64_t quota_bytes; /* per space; 0: none */
	unsigned gather_ms;   /* how long commits wait in the log until home takes them together; 0: 100 */
	/* On another thread, when the disk failed: what was not acknowledged may or may not be there. Log it and end the process. */
	void (*failed)(void *argument, const struct error *err);
	void *argument;
};

/* Reads everything back; the default space exists afterwards. What happened is in *report when not NULL. */
struct store_report {
	bool lost; /* acknowledged changes are missing: revisions jumped */
	char detail[160];
	uint64_t replayed; /* records taken from the log */
};
struct store *store_open(struct loop *loop, const struct store_options *options, struct store_report *report, struct error *err);
void store_close(struct store *store); /* everything appended becomes durable first; waiters are called */

struct space *store_space(struct store *store, uint64_t id); /* NULL when there is none */
struct watch_hub *store_hub(struct store *store, const struct space *space);
uint64_t store_identity(const struct store *store);
uint64_t store_bytes(struct store *store);          /* on disk: home and log */
uint64_t store_sequence(const struct store *store); /* of the last append: a raft index to those who ask for one */

/* Calls function(argument) once `sequence` is durable and visible, in order of calls; at once when it already is (or is 0). */
void store_wait(struct store *store, uint64_t sequence, void (*function)(void *argument), void *argument);
/* There is watching to catch up with, or an owner has room again. */
void store_kick_watches(struct store *store);
/* Calls function(argument) after watchers were given something: some may have caught up. One listener; NULL ends it. */
void store_on_watched(struct store *store, void (*function)(void *argument), void *argument);
/* A lease was granted: its end is minded. */
void store_mind_leases(struct store *store);
/* Compaction of a space began: it goes on in slices. */
void store_mind_compaction(struct store *store);

/* Named records of a space beside its keys: users, roles, alarms. An empty value is a value; NULL value removes. Returns the sequence. */
uint64_t store_put_record(struct store *store, uint64_t space, struct bytes key, const struct bytes *value);
typedef void (*store_record_function)(void *argument, struct bytes key, struct bytes value);
void store_each_record(struct store *store, uint64_t space, store_record_function function, void *argument);
