/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A space as the database file of an etcd: every bucket that etcd keeps (schema of 3.6 and later), the same keys, revisions, leases, users and
 * roles, so that etcdutl restores it and an etcd goes on with it. Blocking; not on the loop.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "store/store_view.h"

struct snapshot_facts {
	const char *version; /* "3.7.0": major and minor of the version this server reports */
	uint64_t member_id;
	const char *name;
	const char *const *client_urls; /* NULL-terminated, may be NULL */
	uint64_t raft_index, raft_term;
};

/* The descriptor's file must be empty. */
int snapshot_write(struct store_view *view, const struct snapshot_facts *facts, int descriptor, uint64_t *length, struct error *err);
/*
 * The CRC-32C that etcd's HashKV gives for the same history up to `revision` (0: the newest), its own choice of what compaction leaves included.
 */
int snapshot_hash(struct store_view *view, int64_t revision, uint32_t *hash, struct error *err);
/* The same right before a compaction at `revision`, the last one having been at `compacted`; the view may know of the new one already. */
int snapshot_compaction_hash(struct store_view *view, int64_t revision, int64_t compacted, uint32_t *hash, struct error *err);

enum { SNAPSHOT_KEY_BYTES = 17, SNAPSHOT_TOMBSTONE_BYTES = 18 };
/* etcd's key of a version: main revision, '_', sub revision, 't' behind a deletion. Returns its length. */
size_t snapshot_revision_key(int64_t revision, uint32_t sub, bool deleted, char key[SNAPSHOT_TOMBSTONE_BYTES]);
/* mvccpb.KeyValue as etcd stores it. */
void snapshot_key_value(const struct store_view_entry *entry, struct buffer *out);
/* The peer address that members are listed with: what etcd assumes when nobody said anything. There are no peers. */
#define SNAPSHOT_PEER_URL "http://localhost:2380"
