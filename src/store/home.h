/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable home of all spaces: one SQLite database that the log is drained into by a thread of its own. It is never asked while somebody
 * waits for a commit or a watch; it serves values that left the cache, and the next start.
 *
 * WAL mode with exactly one connection that writes and checkpoints; the engine's reading connection does neither. (SQLite before 3.51.3 can damage
 * a WAL database when one connection commits while another runs a checkpoint.) The database syncs when it checkpoints; until then the log holds
 * the same changes, so `drained` is told only after a checkpoint.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/blob.h"
#include "store/commit.h"
#include "store/log_file.h"

struct home;

struct home_loader {
	int (*space)(void *argument, uint64_t space, int64_t revision, int64_t compacted, struct error *err);
	/* value_length instead of the value; operations come in the order of their ids. */
	int (*operation)(void *argument, uint64_t space, int64_t revision, uint32_t sub, const struct commit_operation *operation,
	                 uint32_t value_length, struct error *err);
	int (*lease)(void *argument, uint64_t space, int64_t lease, int64_t ttl, struct error *err);
	int (*record)(void *argument, uint64_t space, struct bytes key, struct bytes value, struct error *err);
	void *argument;
};

struct home_options {
	const char *path;
	unsigned gather_ms; /* commits of this long share one transaction; 0: 100 */
	/* On home's thread: everything up to this id can be read from home. */
	void (*applied)(void *argument, uint64_t id, uint64_t sequence);
	/* On home's thread: everything up to this sequence is durable here, the log need not keep it. */
	void (*drained)(void *argument, uint64_t sequence);
	void (*failed)(void *argument, const struct error *err); /* on home's thread; must not return to normal work */
	void *argument;
};

/* Opens or makes the database. */
struct home *home_open(const struct home_options *options, struct error *err);
int home_load(struct home *home, const struct home_loader *loader, struct error *err);
uint64_t home_sequence(const struct home *home); /* of the last commit in it when it was opened */
uint64_t home_last_id(const struct home *home);
uint64_t home_identity(const struct home *home); /* random, made with the database: cluster and member ids derive from it */
/*
 * Before home_start(): commits found in the log only, all in one transaction together with what is concluded from them. The log may be read past the
 * last of them, to `sequence`.
 */
int home_replay_begin(struct home *home, struct error *err);
int home_replay(struct home *home, const struct commit *commit, struct error *err);
int home_replay_end(struct home *home, uint64_t sequence, struct error *err);
int home_start(struct home *home, struct error *err);
void home_stop(struct home *home); /* applies what is queued, checkpoints, joins, frees */

void home_apply(struct home *home, struct log_batch *batch); /* any thread; takes the batch. Waits while too much is queued */
/* The version written by operation `id` is compacted away; applied after `sequence`. Any thread. */
void home_drop(struct home *home, uint64_t id, uint64_t sequence);
/* Engine thread. A new reference or NULL with *err. */
struct blob *home_read_value(struct home *home, uint64_t id, struct error *err);
uint64_t home_bytes(const struct home *home); /* size of the database and its WAL */
