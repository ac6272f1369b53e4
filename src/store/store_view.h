/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One space as home has it at one moment, read by a thread of its own while changes go on: for snapshots and hashes. A view sees a
 * consistent state (one SQLite read transaction) and holds home's checkpoints back while it is open, so it is for seconds, not for as long as
 * a client likes. Any thread, one at a time; never the engine's, for it reads the disk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/bytes.h"
#include "store/store.h"

struct store_view;

struct store_view_entry {
	int64_t revision, create_revision, version, lease;
	uint32_t sub;
	bool deleted;
	bool newest; /* of its key up to the revision given to store_view_each(); said only of revisions <= the compacted one */
	struct bytes key, value;
};

/*
 * Waits until home holds everything up to `sequence` (store_sequence() that became durable), 10 s at most. The store must stay open until
 * store_view_close().
 */
struct store_view *store_view_open(struct store *store, uint64_t space, uint64_t sequence, struct error *err);
void store_view_close(struct store_view *view); /* NULL is fine */
int64_t store_view_revision(const struct store_view *view);
int64_t store_view_compacted(const struct store_view *view); /* -1: never */

typedef int (*store_view_function)(void *argument, const struct store_view_entry *entry, struct error *err);
/*
 * Every version with a revision <= up_to, in the order of changes. Versions that compaction has ended but home still holds come too: `newest`
 * tells them apart. A function's -1 stops the walk.
 */
int store_view_each(struct store_view *view, int64_t up_to, int64_t newest_at, store_view_function function, void *argument,
                    struct error *err);
/* Whether any key was live at the last walk's newest_at; known only of a space that has been compacted. */
bool store_view_any_live(const struct store_view *view);
bool store_view_any_deleted(const struct store_view *view); /* the same: whether any key was deleted at exactly that revision */
typedef int (*store_view_lease_function)(void *argument, int64_t lease, int64_t ttl_seconds, struct error *err);
int store_view_leases(struct store_view *view, store_view_lease_function function, void *argument, struct error *err);
typedef int (*store_view_record_function)(void *argument, struct bytes key, struct bytes value, struct error *err);
int store_view_records(struct store_view *view, store_view_record_function function, void *argument, struct error *err);
/* A file without a name in the store's folder, for what does not fit memory; the descriptor, or -1. */
int store_temporary_file(struct store *store, struct error *err);
