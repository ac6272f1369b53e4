/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"
#include "store/home.h"
#include "store/log_file.h"
#include "store/store_int.h"

enum { DEFAULT_CACHE = 12 * 1024 * 1024, COMPACT_SLICE = 2000, LEASE_SLICE = 500, LEASE_PACE_MS = 500, MEMORY_PACE_MS = 1000 };

struct store_space *store_find(struct store *store, uint64_t id)
{
	for (size_t i = 0; i < store->space_count; i++)
		if (space_id(store->spaces[i]->space) == id)
			return store->spaces[i];
	return NULL;
}

struct space *store_space(struct store *store, uint64_t id)
{
	struct store_space *found = store_find(store, id);

	return found != NULL ? found->space : NULL;
}

struct watch_hub *store_hub(struct store *store, const struct space *space)
{
	return store_find(store, space_id(space))->hub;
}

uint64_t store_identity(const struct store *store)
{
	return home_identity(store->home);
}

uint64_t store_bytes(struct store *store)
{
	return home_bytes(store->home);
}

uint64_t store_sequence(const struct store *store)
{
	return store->appended;
}

static uint64_t next_id(void *context)
{
	return ++((struct store *)context)->last_id;
}

static void fifo_push(struct fifo *fifo, const struct waiting *item)
{
	if (fifo->count == fifo->capacity) {
		size_t capacity = fifo->capacity ? fifo->capacity * 2 : 64;
		struct waiting *items = calloc(capacity, sizeof(*items));

		if (items == NULL)
			abort();
		for (size_t i = 0; i < fifo->count; i++)
			items[i] = fifo->items[(fifo->first + i) & (fifo->capacity - 1)];
		free(fifo->items);
		fifo->items = items;
		fifo->first = 0;
		fifo->capacity = capacity;
	}
	fifo->items[(fifo->first + fifo->count++) & (fifo->capacity - 1)] = *item;
}

static bool fifo_pop(struct fifo *fifo, uint64_t up_to, struct waiting *item)
{
	if (fifo->count == 0 || fifo->items[fifo->first].sequence > up_to)
		return false;
	*item = fifo->items[fifo->first];
	fifo->first = (fifo->first + 1) & (fifo->capacity - 1);
	fifo->count--;
	return true;
}

static uint64_t append(void *context, const struct commit *commit)
{
	struct store *store = context;
	struct waiting item = { .space = store_find(store, commit->space), .revision = commit->revision };

	store->appended = item.sequence = log_file_append(store->log, commit);
	if (commit->kind == COMMIT_OPERATIONS)
		fifo_push(&store->commits, &item);
	return item.sequence;
}

static struct blob *load_value(void *context, uint64_t id, uint32_t length)
{
	struct store *store = context;
	struct blob *value = value_cache_get(store->cache, id);
	struct error err;

	if (value != NULL)
		return value;
	if (length == 0)
		return blob_new("", 0);
	value = home_read_value(store->home, id, &err);
	if (value == NULL) {
		store->options.failed(store->options.argument, &err);
		return NULL;
	}
	value_cache_put(store->cache, id, value);
	return value;
}

static void keep_value(void *context, uint64_t id, struct blob *value)
{
	value_cache_put(((struct store *)context)->cache, id, value);
}

static void drop_value(void *context, uint64_t id, uint64_t space)
{
	struct store *store = context;

	value_cache_drop(store->cache, id);
	home_drop(store->home, id, store->appended);
}

static void past_value(void *context, uint64_t id)
{
	value_cache_supersede(((struct store *)context)->cache, id);
}

struct store_space *store_add_space(struct store *store, uint64_t id)
{
	struct space_host host = { store, next_id, append, load_value, keep_value, drop_value, past_value };
	struct store_space *added = store_find(store, id);

	if (added != NULL)
		return added;
	added = calloc(1, sizeof(*added));
	store->spaces = reallocarray(store->spaces, store->space_count + 1, sizeof(*store->spaces));
	if (added == NULL || store->spaces == NULL)
		abort();
	added->space = space_new(id, &host);
	space_set_quota(added->space, store->options.quota_bytes);
	store->spaces[store->space_count++] = added;
	return added;
}

/* Visible first, then watchers, then answers: a writer never hears of its change before those who watch it could. */
static void became_durable(struct store *store, uint64_t sequence)
{
	struct waiting item;

	store->durable = sequence;
	while (fifo_pop(&store->commits, sequence, &item)) {
		space_advance(item.space->space, item.revision);
		item.space->advanced = true;
	}
	for (size_t i = 0; i < store->space_count; i++) {
		if (store->spaces[i]->advanced) {
			store->spaces[i]->advanced = false;
			if (watch_hub_advanced(store->spaces[i]->hub))
				store_kick_watches(store);
		}
	}
	if (store->watched != NULL)
		store->watched(store->watched_argument);
	while (fifo_pop(&store->waiters, sequence, &item))
		item.function(item.argument);
}

struct notice {
	struct store *store;
	uint64_t number;
};

static struct notice *notice_new(struct store *store, uint64_t number)
{
	struct notice *notice = malloc(sizeof(*notice));

	if (notice == NULL)
		abort();
	*notice = (struct notice){ store, number };
	return notice;
}

static void on_durable(void *argument)
{
	struct notice notice = *(struct notice *)argument;

	free(argument);
	became_durable(notice.store, notice.number);
}

static void log_durable(void *argument, struct log_batch *batch)
{
	struct store *store = argument;

	loop_post(store->loop, on_durable, notice_new(store, batch->last_sequence));
	home_apply(store->home, batch);
}

static void on_applied(void *argument)
{
	struct notice notice = *(struct notice *)argument;
	struct store *store = notice.store;

	free(argument);
	value_cache_unpin(store->cache, notice.number);
	if (store->memory_timer != NULL && !store->memory_due) {
		store->memory_due = true;
		loop_timer_arm(store->memory_timer, MEMORY_PACE_MS);
	}
}

/* What the writes of the last moment left behind lies between things that stay, where the C library would keep it for ever. */
static void memory_due(void *argument)
{
	((struct store *)argument)->memory_due = false;
	(void)malloc_trim(0);
}

static void home_applied(void *argument, uint64_t id, uint64_t sequence)
{
	struct store *store = argument;

	loop_post(store->loop, on_applied, notice_new(store, id));
}

static void home_drained(void *argument, uint64_t sequence)
{
	struct store *store = argument;

	if (store->log != NULL)
		log_file_trim(store->log, sequence);
}

static void disk_failed(void *argument, const struct error *err)
{
	struct store *store = argument;

	store->options.failed(store->options.argument, err);
	_exit(1); /* nothing after a failed sync can be trusted, whatever the caller did */
}

void store_wait(struct store *store, uint64_t sequence, void (*function)(void *argument), void *argument)
{
	if (sequence <= store->durable) {
		function(argument);
		return;
	}
	fifo_push(&store->waiters, &(struct waiting){ .sequence = sequence, .function = function, .argument = argument });
}

static void compaction_due(void *argument)
{
	struct store *store = argument;
	bool more = false;

	for (size_t i = 0; i < store->space_count; i++)
		more |= space_compact_step(store->spaces[i]->space, COMPACT_SLICE);
	if (more)
		loop_timer_arm(store->compaction_timer, 1);
}

void store_mind_compaction(struct store *store)
{
	loop_timer_arm(store->compaction_timer, 0);
}

static void watches_due(void *argument)
{
	struct store *store = argument;
	bool more = false;

	for (size_t i = 0; i < store->space_count; i++)
		more |= watch_hub_work(store->spaces[i]->hub);
	if (more)
		loop_timer_arm(store->watch_timer, 0);
	if (store->watched != NULL)
		store->watched(store->watched_argument);
}

void store_on_watched(struct store *store, void (*function)(void *argument), void *argument)
{
	store->watched = function;
	store->watched_argument = argument;
}

void store_kick_watches(struct store *store)
{
	loop_timer_arm(store->watch_timer, 0);
}

/* Ends what is over, a slice at a time, and sleeps until the next end. */
static void leases_due(void *argument)
{
	struct store *store = argument;
	uint64_t now = clock_monotonic_ms(), next = UINT64_MAX;
	unsigned ended = 0;

	for (size_t i = 0; i < store->space_count; i++) {
		struct space *space = store->spaces[i]->space;
		struct lease *first;

		while ((first = lease_table_first(space_leases(space))) != NULL && first->ends_ms <= now && ended < LEASE_SLICE) {
			int64_t revision;
			uint64_t sequence;

			(void)space_lease_revoke(space, first->id, &revision, &sequence);
			ended++;
		}
		if (first != NULL && first->ends_ms < next)
			next = first->ends_ms;
	}
	if (next != UINT64_MAX)
		loop_timer_arm(store->lease_timer, ended == LEASE_SLICE ? LEASE_PACE_MS : next > now ? next - now : 1);
}

void store_mind_leases(struct store *store)
{
	loop_timer_arm(store->lease_timer, 0);
}

static void make_timers(void *argument)
{
	struct store *store = argument;

	store->compaction_timer = loop_timer_new(store->loop, compaction_due, store);
	store->watch_timer = loop_timer_new(store->loop, watches_due, store);
	store->lease_timer = loop_timer_new(store->loop, leases_due, store);
	store->memory_timer = loop_timer_new(store->loop, memory_due, store);
	loop_timer_arm(store->compaction_timer, 0);
	loop_timer_arm(store->lease_timer, 0);
}

static void free_timers(void *argument)
{
	struct store *store = argument;

	loop_timer_free(store->compaction_timer);
	loop_timer_free(store->watch_timer);
	loop_timer_free(store->lease_timer);
	loop_timer_free(store->memory_timer);
	store->memory_timer = NULL;
}

static void free_store(struct store *store)
{
	for (size_t i = 0; i < store->space_count; i++) {
		watch_hub_free(store->spaces[i]->hub);
		space_free(store->spaces[i]->space);
		store_records_free(&store->spaces[i]->records);
		free(store->spaces[i]);
	}
	free(store->spaces);
	free(store->commits.items);
	free(store->waiters.items);
	value_cache_free(store->cache);
	if (store->lock >= 0)
		(void)close(store->lock);
	free(store->log_directory);
	free(store);
}

static int open_folder(struct store *store, const char *directory, struct error *err)
{
	char *lock FREE_CLEANUP = string_printf("%s/lock", directory);
	char *path FREE_CLEANUP = string_printf("%s/home.db", directory);
	struct home_options options = {
		.path = path,
		.gather_ms = store->options.gather_ms,
		.applied = home_applied,
		.drained = home_drained,
		.failed = disk_failed,
		.argument = store,
	};

	store->log_directory = string_printf("%s/log", directory);
	if (file_make_directories(store->log_directory, 0700, err) < 0)
		return -1;
	store->lock = file_lock(lock, false, err);
	if (store->lock < 0)
		return error_wrap(err, "another process uses %s", directory);
	store->home = home_open(&options, err);
	return store->home == NULL ? -1 : 0;
}

static int start(struct store *store, uint64_t last_sequence, struct error *err)
{
	struct log_options options = {
		.directory = store->log_directory,
		.segment_bytes = store->options.segment_bytes,
		.durable = log_durable,
		.failed = disk_failed,
		.argument = store,
		.next_sequence = last_sequence + 1,
	};

	store->appended = store->durable = last_sequence;
	if (home_start(store->home, err) < 0)
		return -1;
	store->log = log_file_start(&options, err);
	return store->log == NULL ? -1 : 0;
}

struct store *store_open(struct loop *loop, const struct store_options *options, struct store_report *report, struct error *err)
{
	struct store *store = calloc(1, sizeof(*store));
	struct store_report ignored;
	uint64_t last_sequence;

	if (store == NULL)
		abort();
	if (report == NULL)
		report = &ignored;
	*report = (struct store_report){ 0 };
	store->loop = loop;
	store->options = *options;
	store->lock = -1;
	store->cache = value_cache_new(options->cache_bytes ? options->cache_bytes : DEFAULT_CACHE);
	(void)store_add_space(store, STORE_SPACE_DEFAULT);
	if (open_folder(store, options->directory, err) < 0 || store_load(store, report, &last_sequence, err) < 0 ||
	    start(store, last_sequence, err) < 0) {
		home_stop(store->home);
		free_store(store);
		error_wrap(err, "open store %s", options->directory);
		return NULL;
	}
	value_cache_unpin(store->cache, store->last_id);
	for (size_t i = 0; i < store->space_count; i++)
		store->spaces[i]->hub = watch_hub_new(store->spaces[i]->space);
	loop_call(loop, make_timers, store);
	return store;
}

static void nothing(void *argument)
{
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	loop_call(store->loop, free_timers, store);
	log_file_stop(store->log);
	store->log = NULL;
	loop_call(store->loop, nothing, NULL); /* what the log's last batch posted has run */
	home_stop(store->home);
	loop_call(store->loop, nothing, NULL);
	free_store(store);
}
