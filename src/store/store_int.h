/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the files that make up the store. */
#pragma once

#include "base/buffer.h"
#include "store/store.h"
#include "store/value_cache.h"

struct home;
struct log_file;

/* A commit that is not durable yet (space, revision), or somebody who waits for one (function, argument). */
struct waiting {
	uint64_t sequence;
	struct store_space *space;
	int64_t revision;
	void (*function)(void *argument);
	void *argument;
};

struct fifo {
	struct waiting *items; /* circular */
	size_t first, count, capacity;
};

struct record {
	struct blob *key, *value;
};

struct record_list {
	struct record *items; /* sorted by key */
	size_t count, capacity;
};

struct store_space {
	struct space *space;
	struct watch_hub *hub;
	struct record_list records;
	bool advanced; /* its watchers are to be told */
};

struct store {
	struct loop *loop;
	struct store_options options;
	char *log_directory;
	int lock;
	struct home *home;
	struct log_file *log;
	struct value_cache *cache;
	struct store_space **spaces;
	size_t space_count;
	uint64_t last_id, appended, durable;
	struct fifo commits, waiters;
	void (*watched)(void *argument);
	void *watched_argument;
	struct loop_timer *compaction_timer, *watch_timer, *lease_timer, *memory_timer;
	bool memory_due;
};

struct store_space *store_find(struct store *store, uint64_t id);
struct store_space *store_add_space(struct store *store, uint64_t id);
/* Home, then what only the log has. */
int store_load(struct store *store, struct store_report *report, uint64_t *last_sequence, struct error *err);
void store_set_record(struct record_list *list, struct bytes key, const struct bytes *value);
void store_records_free(struct record_list *list);
