/* SPDX-License-Identifier: Apache-2.0 */
#include "store/home.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/thread.h"
#include "store/home_sql.h"
#include "store/log_record.h"
#include "store/store_metrics.h"

enum {
	QUEUE_BYTES_MAXIMUM = 64 * 1024 * 1024, /* then the log's thread waits, and with it every writer */
	GATHER_MS = 100,
	CHECKPOINT_BYTES = 8 * 1024 * 1024, /* of commits since the last checkpoint ... */
	CHECKPOINT_MS = 5000,               /* ... or this long after the first of them */
	CHECKPOINT_RETRY_MS = 500,          /* while a view holds it back */
};

struct drop {
	uint64_t id, after;
};

struct home {
	struct home_options options;
	struct home_sql sql;
	char *path;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t work, room;
	/* Guarded by the mutex: */
	struct log_batch *first, **last;
	size_t queued_bytes;
	struct drop *drops;
	size_t drop_count, drop_capacity;
	bool stopping, started;

	/* Of home's thread: */
	uint64_t applied_sequence, applied_id, drained_sequence;
	size_t bytes_since_checkpoint;
	uint64_t checkpoint_due;

	/* Of the engine's thread: */
	sqlite3 *reader;
	sqlite3_stmt *read_value;
};

static int open_reader(struct home *home, struct error *err)
{
	static const char text[] = "SELECT value FROM entry WHERE id=?1";

	if (sqlite3_open_v2(home->path, &home->reader, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_exec(home->reader, "PRAGMA cache_size=-512; PRAGMA query_only=ON;", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v3(home->reader, text, -1, SQLITE_PREPARE_PERSISTENT, &home->read_value, NULL) != SQLITE_OK)
		return home_sql_error(home->reader, home->path, err);
	(void)sqlite3_busy_timeout(home->reader, 5000);
	return 0;
}

static void free_home(struct home *home)
{
	(void)sqlite3_finalize(home->read_value);
	(void)sqlite3_close(home->reader);
	home_sql_close(&home->sql);
	pthread_mutex_destroy(&home->mutex);
	pthread_cond_destroy(&home->work);
	pthread_cond_destroy(&home->room);
	free(home->drops);
	free(home->path);
	free(home);
}

struct home *home_open(const struct home_options *options, struct error *err)
{
	struct home *home = calloc(1, sizeof(*home));

	if (home == NULL)
		abort();
	home->options = *options;
	if (home->options.gather_ms == 0)
		home->options.gather_ms = GATHER_MS;
	home->path = string_dup(options->path);
	home->last = &home->first;
	pthread_mutex_init(&home->mutex, NULL);
	thread_condition_init(&home->work);
	pthread_cond_init(&home->room, NULL);
	if (home_sql_open(&home->sql, home->path, err) < 0 || open_reader(home, err) < 0) {
		free_home(home);
		return NULL;
	}
	home->applied_sequence = home->drained_sequence = home->sql.sequence;
	home->applied_id = home->sql.last_id;
	return home;
}

int home_load(struct home *home, const struct home_loader *loader, struct error *err)
{
	return home_sql_load(&home->sql, loader, err);
}

uint64_t home_sequence(const struct home *home)
{
	return home->sql.sequence;
}

uint64_t home_last_id(const struct home *home)
{
	return home->sql.last_id;
}

uint64_t home_identity(const struct home *home)
{
	return home->sql.identity;
}

static void note_commit(struct home *home, const struct commit *commit, uint64_t sequence)
{
	home->applied_sequence = sequence;
	if (commit->kind == COMMIT_OPERATIONS && commit->count > 0)
		home->applied_id = commit->operations[commit->count - 1].id;
}

int home_replay_begin(struct home *home, struct error *err)
{
	return home_sql_begin(&home->sql, err);
}

int home_replay(struct home *home, const struct commit *commit, struct error *err)
{
	if (home_sql_apply(&home->sql, commit, err) < 0)
		return -1;
	note_commit(home, commit, home->applied_sequence);
	return 0;
}

int home_replay_end(struct home *home, uint64_t sequence, struct error *err)
{
	home->applied_sequence = sequence;
	return home_sql_commit(&home->sql, sequence, home->applied_id, err);
}

void home_apply(struct home *home, struct log_batch *batch)
{
	THREAD_LOCKED(&home->mutex);
	while (home->queued_bytes > QUEUE_BYTES_MAXIMUM)
		pthread_cond_wait(&home->room, &home->mutex);
	home->queued_bytes += batch->payloads.length;
	batch->next = NULL;
	*home->last = batch;
	home->last = &batch->next;
	if (home->first == batch)
		pthread_cond_signal(&home->work);
}

void home_drop(struct home *home, uint64_t id, uint64_t sequence)
{
	THREAD_LOCKED(&home->mutex);
	if (home->drop_count == home->drop_capacity) {
		home->drop_capacity = home->drop_capacity ? home->drop_capacity * 2 : 256;
		home->drops = reallocarray(home->drops, home->drop_capacity, sizeof(*home->drops));
		if (home->drops == NULL)
			abort();
	}
	home->drops[home->drop_count++] = (struct drop){ id, sequence };
	if (home->drop_count == 1)
		pthread_cond_signal(&home->work);
}

static int apply_batch(struct home *home, const struct log_batch *batch, struct error *err)
{
	for (size_t place = 0; place < batch->payloads.length;) {
		struct arena *arena ARENA_CLEANUP = arena_new();
		struct log_place at;
		struct commit commit;
		uint32_t length;

		memcpy(&length, batch->payloads.data + place, sizeof(length));
		place += sizeof(length);
		if (log_record_decode((struct bytes){ batch->payloads.data + place, length }, arena, &commit, &at, err) < 0 ||
		    home_sql_apply(&home->sql, &commit, err) < 0)
			return -1;
		note_commit(home, &commit, at.sequence);
		place += length;
	}
	home->bytes_since_checkpoint += batch->payloads.length;
	return 0;
}

/* Those whose versions have been applied by now; the others stay. */
static int apply_drops(struct home *home, struct drop *drops, size_t count, size_t *kept, struct error *err)
{
	*kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (drops[i].after > home->applied_sequence)
			drops[(*kept)++] = drops[i];
		else if (home_sql_drop(&home->sql, drops[i].id, err) < 0)
			return -1;
	}
	home->bytes_since_checkpoint += (count - *kept) * 64;
	return 0;
}

static int checkpoint_if_due(struct home *home, bool now, struct error *err)
{
	bool complete = false;

	if (home->bytes_since_checkpoint == 0)
		return 0;
	if (home->checkpoint_due == 0)
		home->checkpoint_due = clock_monotonic_ms() + CHECKPOINT_MS;
	if (!now && home->bytes_since_checkpoint < CHECKPOINT_BYTES && clock_until(home->checkpoint_due) > 0)
		return 0;
	if (home_sql_checkpoint(&home->sql, &complete, err) < 0)
		return -1;
	if (!complete) {
		home->checkpoint_due = clock_monotonic_ms() + CHECKPOINT_RETRY_MS;
		return 0;
	}
	home->bytes_since_checkpoint = 0;
	home->checkpoint_due = 0;
	home->drained_sequence = home->applied_sequence;
	if (home->options.drained != NULL)
		home->options.drained(home->options.argument, home->drained_sequence);
	return 0;
}

/* One transaction with everything that is queued. */
static int apply_queued(struct home *home, struct log_batch *batch, struct drop *drops, size_t count, size_t *kept, struct error *err)
{
	uint64_t started = clock_monotonic_ns();

	if (home_sql_begin(&home->sql, err) < 0)
		return -1;
	while (batch != NULL) {
		struct log_batch *next = batch->next;

		if (apply_batch(home, batch, err) < 0)
			return -1;
		log_batch_free(batch);
		batch = next;
	}
	if (apply_drops(home, drops, count, kept, err) < 0)
		return -1;
	if (home_sql_commit(&home->sql, home->applied_sequence, home->applied_id, err) < 0)
		return -1;
	store_metrics_applied(clock_monotonic_ns() - started);
	if (home->options.applied != NULL)
		home->options.applied(home->options.argument, home->applied_id, home->applied_sequence);
	return 0;
}

static void put_back_drops(struct home *home, struct drop *drops, size_t count)
{
	if (count > 0) {
		for (size_t i = 0; i < count; i++)
			home_drop(home, drops[i].id, drops[i].after);
	}
	free(drops);
}

static void wait_for_work(struct home *home)
{
	uint64_t deadline = home->checkpoint_due ? home->checkpoint_due : UINT64_MAX;

	while (home->first == NULL && home->drop_count == 0 && !home->stopping) {
		if (thread_condition_wait(&home->work, &home->mutex, deadline) != 0)
			return;
	}
	/* Let more come together, unless somebody waits for room. */
	if (!home->stopping && home->queued_bytes < QUEUE_BYTES_MAXIMUM / 4) {
		deadline = clock_monotonic_ms() + home->options.gather_ms;
		while (!home->stopping && home->queued_bytes < QUEUE_BYTES_MAXIMUM / 4)
			if (thread_condition_wait(&home->work, &home->mutex, deadline) != 0)
				return;
	}
}

static void *run_home(void *argument)
{
	struct home *home = argument;
	struct error err;
	bool stopping = false;

	while (!stopping) {
		struct log_batch *batch;
		struct drop *drops;
		size_t count, kept = 0;

		pthread_mutex_lock(&home->mutex);
		wait_for_work(home);
		batch = home->first;
		home->first = NULL;
		home->last = &home->first;
		home->queued_bytes = 0;
		drops = home->drops;
		count = home->drop_count;
		home->drops = NULL;
		home->drop_count = home->drop_capacity = 0;
		stopping = home->stopping && batch == NULL;
		pthread_cond_broadcast(&home->room);
		pthread_mutex_unlock(&home->mutex);
		if ((batch != NULL || count > 0) && apply_queued(home, batch, drops, count, &kept, &err) < 0)
			home->options.failed(home->options.argument, &err);
		if (stopping)
			free(drops);
		else
			put_back_drops(home, drops, kept);
		if (checkpoint_if_due(home, stopping, &err) < 0)
			home->options.failed(home->options.argument, &err);
	}
	return NULL;
}

int home_start(struct home *home, struct error *err)
{
	/* What an earlier process left between log and home is settled too, even if nothing is ever written. */
	home->bytes_since_checkpoint = 1;
	home->checkpoint_due = clock_monotonic_ms() + CHECKPOINT_MS;
	if (thread_start(&home->thread, "store-home", run_home, home, err) < 0)
		return -1;
	home->started = true;
	return 0;
}

void home_stop(struct home *home)
{
	if (home == NULL)
		return;
	if (home->started) {
		pthread_mutex_lock(&home->mutex);
		home->stopping = true;
		pthread_cond_signal(&home->work);
		pthread_mutex_unlock(&home->mutex);
		pthread_join(home->thread, NULL);
	}
	free_home(home);
}

struct blob *home_read_value(struct home *home, uint64_t id, struct error *err)
{
	struct blob *value = NULL;
	int code;

	(void)sqlite3_bind_int64(home->read_value, 1, (int64_t)id);
	code = sqlite3_step(home->read_value);
	if (code == SQLITE_ROW)
		value = blob_new(sqlite3_column_blob(home->read_value, 0), (size_t)sqlite3_column_bytes(home->read_value, 0));
	else if (code == SQLITE_DONE)
		error_set(err, ERROR_NOT_FOUND, "value %llu is not in home", (unsigned long long)id);
	else
		home_sql_error(home->reader, "read a value", err);
	(void)sqlite3_reset(home->read_value);
	return value;
}

static uint64_t file_bytes(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

uint64_t home_bytes(const struct home *home)
{
	char *wal FREE_CLEANUP = string_printf("%s-wal", home->path);

	return file_bytes(home->path) + file_bytes(wal);
}
