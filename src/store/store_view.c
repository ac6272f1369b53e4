/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_view.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"
#include "store/home_sql.h"
#include "store/store_int.h"

enum { WAIT_MS = 10 * 1000, POLL_US = 10 * 1000 };

struct store_view {
	sqlite3 *database;
	uint64_t space;
	int64_t revision, compacted;
	int64_t *newest; /* ids, ascending */
	size_t newest_count, newest_capacity;
	bool any_live, any_deleted;
};

/* Keys seen so far, as hashes under a random seed: two keys of a million share one with a chance of 1 in 30 million. */
struct seen {
	uint64_t *slots;
	size_t count, capacity;
	uint64_t seed;
};

static uint64_t hash_of(const struct seen *seen, struct bytes key)
{
	uint64_t hash = seen->seed ^ key.length;

	for (size_t i = 0; i < key.length; i++) {
		hash = (hash ^ (unsigned char)key.data[i]) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	hash *= 0xbf58476d1ce4e5b9u;
	hash ^= hash >> 32;
	return hash != 0 ? hash : 1;
}

static bool put_slot(uint64_t *slots, size_t capacity, uint64_t hash)
{
	size_t place = (size_t)hash & (capacity - 1);

	while (slots[place] != 0) {
		if (slots[place] == hash)
			return false;
		place = (place + 1) & (capacity - 1);
	}
	slots[place] = hash;
	return true;
}

/* True when it was not there. */
static bool seen_add(struct seen *seen, struct bytes key)
{
	if ((seen->count + 1) * 2 > seen->capacity) {
		size_t capacity = seen->capacity ? seen->capacity * 2 : 1024;
		uint64_t *slots = calloc(capacity, sizeof(*slots));

		if (slots == NULL)
			abort();
		for (size_t i = 0; i < seen->capacity; i++)
			if (seen->slots[i] != 0)
				(void)put_slot(slots, capacity, seen->slots[i]);
		free(seen->slots);
		seen->slots = slots;
		seen->capacity = capacity;
	}
	if (!put_slot(seen->slots, seen->capacity, hash_of(seen, key)))
		return false;
	seen->count++;
	return true;
}

static struct bytes column_bytes(sqlite3_stmt *row, int column)
{
	const void *data = sqlite3_column_blob(row, column);

	return (struct bytes){ data != NULL ? data : "", (size_t)sqlite3_column_bytes(row, column) };
}

static sqlite3_stmt *prepare(struct store_view *view, const char *text, struct error *err)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(view->database, text, -1, &statement, NULL) != SQLITE_OK) {
		home_sql_error(view->database, text, err);
		return NULL;
	}
	if (sqlite3_bind_parameter_count(statement) > 0)
		(void)sqlite3_bind_int64(statement, 1, (int64_t)view->space);
	return statement;
}

static int finish(struct store_view *view, sqlite3_stmt *statement, int code, int result, struct error *err)
{
	if (result == 0 && code != SQLITE_DONE)
		result = home_sql_error(view->database, "read home", err);
	(void)sqlite3_finalize(statement);
	return result;
}

static int read_sequence(struct store_view *view, uint64_t *sequence, struct error *err)
{
	sqlite3_stmt *statement = prepare(view, "SELECT value FROM meta WHERE name='sequence'", err);
	int code;

	*sequence = 0;
	if (statement == NULL)
		return -1;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		*sequence = (uint64_t)sqlite3_column_int64(statement, 0);
		code = SQLITE_DONE;
	}
	return finish(view, statement, code, 0, err);
}

static int execute(struct store_view *view, const char *text, struct error *err)
{
	return sqlite3_exec(view->database, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : home_sql_error(view->database, text, err);
}

/* A transaction sees what was there at its first read: begin anew until that is enough. */
static int begin_at(struct store_view *view, uint64_t sequence, struct error *err)
{
	uint64_t deadline = clock_monotonic_ms() + WAIT_MS, found;

	for (;;) {
		if (execute(view, "BEGIN", err) < 0 || read_sequence(view, &found, err) < 0)
			return -1;
		if (found >= sequence)
			return 0;
		if (execute(view, "ROLLBACK", err) < 0)
			return -1;
		if (clock_until(deadline) == 0)
			return error_set(err, ERROR_TIMEOUT, "home did not take change %llu in %d s, it is at %llu",
			                 (unsigned long long)sequence, WAIT_MS / 1000, (unsigned long long)found);
		(void)usleep(POLL_US);
	}
}

static int read_space(struct store_view *view, struct error *err)
{
	sqlite3_stmt *statement = prepare(view, "SELECT revision, compacted FROM space WHERE id=?1", err);
	int code;

	if (statement == NULL)
		return -1;
	view->revision = 1;
	view->compacted = -1;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		view->revision = sqlite3_column_int64(statement, 0);
		view->compacted = sqlite3_column_int64(statement, 1);
		code = SQLITE_DONE;
	}
	if (view->revision < view->compacted)
		view->revision = view->compacted;
	return finish(view, statement, code, 0, err);
}

struct store_view *store_view_open(struct store *store, uint64_t space, uint64_t sequence, struct error *err)
{
	struct store_view *view = calloc(1, sizeof(*view));
	char *path FREE_CLEANUP = string_printf("%s/../home.db", store->log_directory);

	if (view == NULL)
		abort();
	view->space = space;
	if (sqlite3_open_v2(path, &view->database, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		home_sql_error(view->database, path, err);
		store_view_close(view);
		return NULL;
	}
	(void)sqlite3_busy_timeout(view->database, 5000);
	if (execute(view, "PRAGMA cache_size=-512; PRAGMA query_only=ON;", err) < 0 || begin_at(view, sequence, err) < 0 ||
	    read_space(view, err) < 0) {
		store_view_close(view);
		return NULL;
	}
	return view;
}

void store_view_close(struct store_view *view)
{
	if (view == NULL)
		return;
	(void)sqlite3_close(view->database);
	free(view->newest);
	free(view);
}

int64_t store_view_revision(const struct store_view *view)
{
	return view->revision;
}

int64_t store_view_compacted(const struct store_view *view)
{
	return view->compacted;
}

bool store_view_any_live(const struct store_view *view)
{
	return view->any_live;
}

bool store_view_any_deleted(const struct store_view *view)
{
	return view->any_deleted;
}

static void add_newest(struct store_view *view, int64_t id)
{
	if (view->newest_count == view->newest_capacity) {
		view->newest_capacity = view->newest_capacity ? view->newest_capacity * 2 : 1024;
		view->newest = reallocarray(view->newest, view->newest_capacity, sizeof(*view->newest));
		if (view->newest == NULL)
			abort();
	}
	view->newest[view->newest_count++] = id;
}

/* Backwards, so that the first version met of a key is its newest. */
static int find_newest(struct store_view *view, int64_t at, struct error *err)
{
	sqlite3_stmt *row;
	struct seen seen = { 0 };
	int code;

	view->newest_count = 0;
	view->any_live = view->any_deleted = false;
	if (view->compacted <= 0)
		return 0;
	row = prepare(view, "SELECT id, revision, key, version FROM entry WHERE space=?1 AND revision<=?2 ORDER BY id DESC", err);
	if (row == NULL)
		return -1;
	random_bytes(&seen.seed, sizeof(seen.seed));
	(void)sqlite3_bind_int64(row, 2, at);
	while ((code = sqlite3_step(row)) == SQLITE_ROW) {
		if (!seen_add(&seen, column_bytes(row, 2)))
			continue;
		view->any_live |= sqlite3_column_int64(row, 3) != 0;
		view->any_deleted |= sqlite3_column_int64(row, 3) == 0 && sqlite3_column_int64(row, 1) == at;
		if (sqlite3_column_int64(row, 1) <= view->compacted)
			add_newest(view, sqlite3_column_int64(row, 0));
	}
	free(seen.slots);
	for (size_t i = 0; i < view->newest_count / 2; i++) {
		int64_t swapped = view->newest[i];

		view->newest[i] = view->newest[view->newest_count - 1 - i];
		view->newest[view->newest_count - 1 - i] = swapped;
	}
	return finish(view, row, code, 0, err);
}

int store_view_each(struct store_view *view, int64_t up_to, int64_t newest_at, store_view_function function, void *argument,
                    struct error *err)
{
	static const char text[] = "SELECT id, revision, sub, key, create_revision, version, lease, value FROM entry"
				   " WHERE space=?1 AND revision<=?2 ORDER BY id";
	sqlite3_stmt *row;
	size_t place = 0;
	int code, result = 0;

	if (find_newest(view, newest_at, err) < 0)
		return -1;
	row = prepare(view, text, err);
	if (row == NULL)
		return -1;
	(void)sqlite3_bind_int64(row, 2, up_to);
	while (result == 0 && (code = sqlite3_step(row)) == SQLITE_ROW) {
		struct store_view_entry entry = {
			.revision = sqlite3_column_int64(row, 1),
			.sub = (uint32_t)sqlite3_column_int64(row, 2),
			.key = column_bytes(row, 3),
			.create_revision = sqlite3_column_int64(row, 4),
			.version = sqlite3_column_int64(row, 5),
			.lease = sqlite3_column_int64(row, 6),
			.value = column_bytes(row, 7),
			.deleted = sqlite3_column_int64(row, 5) == 0,
		};

		if (place < view->newest_count && view->newest[place] == sqlite3_column_int64(row, 0)) {
			entry.newest = true;
			place++;
		}
		result = function(argument, &entry, err);
	}
	return finish(view, row, code, result, err);
}

int store_view_leases(struct store_view *view, store_view_lease_function function, void *argument, struct error *err)
{
	sqlite3_stmt *row = prepare(view, "SELECT id, ttl FROM lease WHERE space=?1 ORDER BY id", err);
	int code, result = 0;

	if (row == NULL)
		return -1;
	while (result == 0 && (code = sqlite3_step(row)) == SQLITE_ROW)
		result = function(argument, sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), err);
	return finish(view, row, code, result, err);
}

int store_view_records(struct store_view *view, store_view_record_function function, void *argument, struct error *err)
{
	sqlite3_stmt *row = prepare(view, "SELECT key, value FROM record WHERE space=?1 ORDER BY key", err);
	int code, result = 0;

	if (row == NULL)
		return -1;
	while (result == 0 && (code = sqlite3_step(row)) == SQLITE_ROW)
		result = function(argument, column_bytes(row, 0), column_bytes(row, 1), err);
	return finish(view, row, code, result, err);
}

int store_temporary_file(struct store *store, struct error *err)
{
	char *name FREE_CLEANUP = string_printf("%s/../temporary-XXXXXX", store->log_directory);
	int descriptor = open(store->log_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (descriptor >= 0)
		return descriptor;
	descriptor = mkostemp(name, O_CLOEXEC); /* file systems without O_TMPFILE */
	if (descriptor < 0)
		return error_set_errno(err, errno, "make a temporary file in %s", store->log_directory);
	(void)unlink(name);
	return descriptor;
}
