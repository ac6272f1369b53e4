/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a store out of what another one held: the default space with given revisions. Everything goes to DIR/home.db.import, which becomes
 * DIR/home.db at the end, so that what was interrupted is never taken for a store. Blocking; one thread at a time.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "store/commit.h"

struct store_writer;

/* The folder is made; ERROR_EXISTS when there is a store in it. */
struct store_writer *store_writer_open(const char *directory, struct error *err);
/* Versions in the order of changes; the operation's id is given here. */
int store_writer_version(struct store_writer *writer, int64_t revision, uint32_t sub, const struct commit_operation *operation,
                         struct error *err);
int store_writer_lease(struct store_writer *writer, int64_t lease, int64_t ttl_seconds, struct error *err);
int store_writer_record(struct store_writer *writer, struct bytes key, struct bytes value, struct error *err);
/* compacted <= 0: never. The store is on disk afterwards. */
int store_writer_finish(struct store_writer *writer, int64_t revision, int64_t compacted, struct error *err);
void store_writer_close(struct store_writer *writer); /* without finish: nothing is left. NULL is fine */
