/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction as etcd does it: what HashKV says of a revision stays true when it is compacted at, for the hash is taken before the first
 * version goes and remembered, the ten newest of them, until the server ends. On the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/space.h"

enum {
	COMPACTION_HASHES = 10,
	/* Taking one reads the whole store: of a larger one nothing is remembered, and HashKV hashes what is left. */
	COMPACTION_HASH_BYTES = 256 * 1024 * 1024,
};

struct etcd_server;
struct grpc_call;

struct compaction_hash {
	int64_t revision, compacted; /* compacted: before this compaction; -1: never */
	uint32_t hash;
};

/*
 * Compacts at `revision`: visible at once, durable with *sequence. What is dropped goes slice by slice; with `physical`, all of it before
 * the answer. *answered: the call will be answered when that is done, and its `ended` must be told to admin_call_ended(). `call` may be NULL.
 */
enum store_status compaction_run(struct etcd_server *server, struct grpc_call *call, int64_t revision, bool physical, uint64_t *sequence,
                                 bool *answered);
/* NULL: no compaction at exactly this revision is remembered. */
const struct compaction_hash *compaction_hash_find(const struct etcd_server *server, int64_t revision);
