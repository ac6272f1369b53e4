/* SPDX-License-Identifier: Apache-2.0 */
#include "store/home_sql.h"

#include <inttypes.h>
#include <string.h>

#include "base/random.h"
#include "base/strings.h"

/*
 * entry: every kept version of every key; id is the operation's, so the order of ids is the order of changes. space: revision counters.
 * meta: "sequence" and "id" of the last commit applied, "identity", "format".
 */
static const char schema[] =
	"PRAGMA auto_vacuum=INCREMENTAL;"
	"PRAGMA journal_mode=WAL;"
	"PRAGMA synchronous=NORMAL;"
	"PRAGMA wal_autocheckpoint=0;"
	"PRAGMA secure_delete=OFF;"
	"PRAGMA cache_size=-1024;"
	"CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID, STRICT;"
	"CREATE TABLE IF NOT EXISTS space(id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, compacted INTEGER NOT NULL) STRICT;"
	"CREATE TABLE IF NOT EXISTS entry(id INTEGER PRIMARY KEY, space INTEGER NOT NULL, revision INTEGER NOT NULL, sub INTEGER NOT NULL,"
	" key BLOB NOT NULL, create_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB) STRICT;"
	"CREATE TABLE IF NOT EXISTS lease(space INTEGER, id INTEGER, ttl INTEGER NOT NULL, PRIMARY KEY(space, id)) WITHOUT ROWID, STRICT;"
	"CREATE TABLE IF NOT EXISTS record(space INTEGER, key BLOB, value BLOB NOT NULL, PRIMARY KEY(space, key)) WITHOUT ROWID, STRICT;";

enum { FORMAT = 1 };

static const char *const texts[HOME_STATEMENT_COUNT] = {
	[HOME_BEGIN] = "BEGIN IMMEDIATE",
	[HOME_COMMIT] = "COMMIT",
	[HOME_PUT_ENTRY] = "INSERT OR REPLACE INTO entry VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
	[HOME_DROP_ENTRY] = "DELETE FROM entry WHERE id=?1",
	[HOME_PUT_SPACE] = "INSERT INTO space VALUES(?1,?2,-1) ON CONFLICT(id) DO UPDATE SET revision=max(revision,excluded.revision)",
	[HOME_COMPACT_SPACE] =
		"INSERT INTO space VALUES(?1,?2,?2) ON CONFLICT(id) DO UPDATE SET compacted=max(compacted,excluded.compacted)",
	[HOME_PUT_LEASE] = "INSERT OR REPLACE INTO lease VALUES(?1,?2,?3)",
	[HOME_DROP_LEASE] = "DELETE FROM lease WHERE space=?1 AND id=?2",
	[HOME_PUT_RECORD] = "INSERT OR REPLACE INTO record VALUES(?1,?2,?3)",
	[HOME_DROP_RECORD] = "DELETE FROM record WHERE space=?1 AND key=?2",
	[HOME_PUT_META] = "INSERT OR REPLACE INTO meta VALUES(?1,?2)",
};

int home_sql_error(sqlite3 *database, const char *what, struct error *err)
{
	int code = sqlite3_errcode(database);
	enum error_class class = code == SQLITE_FULL                               ? ERROR_EXHAUSTED
	                         : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? ERROR_CORRUPT
	                                                                           : ERROR_SYSTEM;

	return error_set(err, class, "%s: %s", what, sqlite3_errmsg(database));
}

static int run(struct home_sql *sql, enum home_statement which, struct error *err)
{
	sqlite3_stmt *statement = sql->statements[which];
	int code = sqlite3_step(statement);

	(void)sqlite3_reset(statement);
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		return home_sql_error(sql->database, texts[which], err);
	return 0;
}

static void bind_number(struct home_sql *sql, enum home_statement which, int place, int64_t number)
{
	(void)sqlite3_bind_int64(sql->statements[which], place, number);
}

static void bind_bytes(struct home_sql *sql, enum home_statement which, int place, struct bytes bytes)
{
	(void)sqlite3_bind_blob64(sql->statements[which], place, bytes.length > 0 ? bytes.data : "", bytes.length, SQLITE_STATIC);
}

static int put_meta(struct home_sql *sql, const char *name, uint64_t value, struct error *err)
{
	(void)sqlite3_bind_text(sql->statements[HOME_PUT_META], 1, name, -1, SQLITE_STATIC);
	bind_number(sql, HOME_PUT_META, 2, (int64_t)value);
	return run(sql, HOME_PUT_META, err);
}

static int get_meta(struct home_sql *sql, const char *name, uint64_t *value, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int code;

	*value = 0;
	if (sqlite3_prepare_v2(sql->database, "SELECT value FROM meta WHERE name=?1", -1, &statement, NULL) != SQLITE_OK)
		return home_sql_error(sql->database, "read meta", err);
	(void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*value = (uint64_t)sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : home_sql_error(sql->database, "read meta", err);
}

static int read_meta(struct home_sql *sql, struct error *err)
{
	uint64_t format;

	if (get_meta(sql, "format", &format, err) < 0 || get_meta(sql, "sequence", &sql->sequence, err) < 0 ||
	    get_meta(sql, "id", &sql->last_id, err) < 0 || get_meta(sql, "identity", &sql->identity, err) < 0)
		return -1;
	if (format > FORMAT)
		return error_set(err, ERROR_INVALID, "the store was written by a newer version (format %" PRIu64 ", this one knows %d)",
		                 format, FORMAT);
	if (sql->identity != 0)
		return 0;
	sql->identity = 1 + random_below(INT64_MAX - 1);
	if (home_sql_begin(sql, err) < 0 || put_meta(sql, "format", FORMAT, err) < 0 || put_meta(sql, "identity", sql->identity, err) < 0)
		return -1;
	return home_sql_commit(sql, 0, 0, err);
}

int home_sql_open(struct home_sql *sql, const char *path, struct error *err)
{
	*sql = (struct home_sql){ 0 };
	if (sqlite3_open_v2(path, &sql->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_exec(sql->database, schema, NULL, NULL, NULL) != SQLITE_OK) {
		home_sql_error(sql->database, path, err);
		home_sql_close(sql);
		return -1;
	}
	for (int i = 0; i < HOME_STATEMENT_COUNT; i++) {
		if (sqlite3_prepare_v3(sql->database, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &sql->statements[i], NULL) != SQLITE_OK) {
			home_sql_error(sql->database, path, err);
			home_sql_close(sql);
			return -1;
		}
	}
	if (read_meta(sql, err) < 0) {
		error_wrap(err, "%s", path);
		home_sql_close(sql);
		return -1;
	}
	return 0;
}

void home_sql_close(struct home_sql *sql)
{
	for (int i = 0; i < HOME_STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(sql->statements[i]);
	(void)sqlite3_close(sql->database);
	*sql = (struct home_sql){ 0 };
}

int home_sql_begin(struct home_sql *sql, struct error *err)
{
	return run(sql, HOME_BEGIN, err);
}

int home_sql_commit(struct home_sql *sql, uint64_t sequence, uint64_t last_id, struct error *err)
{
	if (put_meta(sql, "sequence", sequence, err) < 0 || put_meta(sql, "id", last_id, err) < 0)
		return -1;
	return run(sql, HOME_COMMIT, err);
}

int home_sql_drop(struct home_sql *sql, uint64_t id, struct error *err)
{
	bind_number(sql, HOME_DROP_ENTRY, 1, (int64_t)id);
	return run(sql, HOME_DROP_ENTRY, err);
}

static int put_entry(struct home_sql *sql, const struct commit *commit, uint32_t sub, struct error *err)
{
	const struct commit_operation *operation = &commit->operations[sub];

	bind_number(sql, HOME_PUT_ENTRY, 1, (int64_t)operation->id);
	bind_number(sql, HOME_PUT_ENTRY, 2, (int64_t)commit->space);
	bind_number(sql, HOME_PUT_ENTRY, 3, commit->revision);
	bind_number(sql, HOME_PUT_ENTRY, 4, sub);
	bind_bytes(sql, HOME_PUT_ENTRY, 5, operation->key);
	bind_number(sql, HOME_PUT_ENTRY, 6, operation->create_revision);
	bind_number(sql, HOME_PUT_ENTRY, 7, operation->version);
	bind_number(sql, HOME_PUT_ENTRY, 8, operation->lease);
	if (operation->deleted)
		(void)sqlite3_bind_null(sql->statements[HOME_PUT_ENTRY], 9);
	else
		bind_bytes(sql, HOME_PUT_ENTRY, 9, operation->value);
	return run(sql, HOME_PUT_ENTRY, err);
}

static int put_space(struct home_sql *sql, enum home_statement which, const struct commit *commit, struct error *err)
{
	bind_number(sql, which, 1, (int64_t)commit->space);
	bind_number(sql, which, 2, commit->revision);
	return run(sql, which, err);
}

static int drop_lease(struct home_sql *sql, const struct commit *commit, struct error *err)
{
	bind_number(sql, HOME_DROP_LEASE, 1, (int64_t)commit->space);
	bind_number(sql, HOME_DROP_LEASE, 2, commit->lease);
	return run(sql, HOME_DROP_LEASE, err);
}

static int put_record(struct home_sql *sql, const struct commit *commit, struct error *err)
{
	const struct commit_operation *operation = commit->operations;
	enum home_statement which = operation->deleted ? HOME_DROP_RECORD : HOME_PUT_RECORD;

	bind_number(sql, which, 1, (int64_t)commit->space);
	bind_bytes(sql, which, 2, operation->key);
	if (!operation->deleted)
		bind_bytes(sql, which, 3, operation->value);
	return run(sql, which, err);
}

int home_sql_apply(struct home_sql *sql, const struct commit *commit, struct error *err)
{
	switch (commit->kind) {
	case COMMIT_OPERATIONS:
		for (uint32_t i = 0; i < commit->count; i++)
			if (put_entry(sql, commit, i, err) < 0)
				return -1;
		if (commit->lease != 0 && drop_lease(sql, commit, err) < 0)
			return -1;
		return put_space(sql, HOME_PUT_SPACE, commit, err);
	case COMMIT_COMPACT:
		return put_space(sql, HOME_COMPACT_SPACE, commit, err);
	case COMMIT_JUMP:
		return put_space(sql, HOME_PUT_SPACE, commit, err) < 0 ? -1 : put_space(sql, HOME_COMPACT_SPACE, commit, err);
	case COMMIT_LEASE_GRANT:
		bind_number(sql, HOME_PUT_LEASE, 1, (int64_t)commit->space);
		bind_number(sql, HOME_PUT_LEASE, 2, commit->lease);
		bind_number(sql, HOME_PUT_LEASE, 3, commit->ttl);
		return run(sql, HOME_PUT_LEASE, err);
	case COMMIT_LEASE_REVOKE:
		return drop_lease(sql, commit, err);
	case COMMIT_RECORD:
		return commit->count == 1 ? put_record(sql, commit, err)
		                          : error_set(err, ERROR_CORRUPT, "a record commit holds %u records", commit->count);
	}
	return error_set(err, ERROR_BUG, "unknown kind of commit %d", (int)commit->kind);
}

int home_sql_checkpoint(struct home_sql *sql, bool *complete, struct error *err)
{
	int log_frames = 0, done = 0;
	int code = sqlite3_wal_checkpoint_v2(sql->database, NULL, SQLITE_CHECKPOINT_RESTART, &log_frames, &done);

	*complete = code == SQLITE_OK;
	/* A reader in the middle of one value holds it back for a moment: the next checkpoint finishes. */
	if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_LOCKED)
		return home_sql_error(sql->database, "checkpoint", err);
	return 0;
}

static struct bytes column_bytes(sqlite3_stmt *statement, int column)
{
	const void *data = sqlite3_column_blob(statement, column);

	return (struct bytes){ data != NULL ? data : "", (size_t)sqlite3_column_bytes(statement, column) };
}

static int load_space(const struct home_loader *loader, sqlite3_stmt *row, struct error *err)
{
	return loader->space(loader->argument, (uint64_t)sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
	                     sqlite3_column_int64(row, 2), err);
}

static int load_entry(const struct home_loader *loader, sqlite3_stmt *row, struct error *err)
{
	struct commit_operation operation = {
		.id = (uint64_t)sqlite3_column_int64(row, 0),
		.key = column_bytes(row, 4),
		.create_revision = sqlite3_column_int64(row, 5),
		.version = sqlite3_column_int64(row, 6),
		.lease = sqlite3_column_int64(row, 7),
		.deleted = sqlite3_column_int64(row, 6) == 0,
	};

	return loader->operation(loader->argument, (uint64_t)sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2),
	                         (uint32_t)sqlite3_column_int64(row, 3), &operation, (uint32_t)sqlite3_column_int64(row, 8), err);
}

static int load_lease(const struct home_loader *loader, sqlite3_stmt *row, struct error *err)
{
	return loader->lease(loader->argument, (uint64_t)sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
	                     sqlite3_column_int64(row, 2), err);
}

static int load_record(const struct home_loader *loader, sqlite3_stmt *row, struct error *err)
{
	return loader->record(loader->argument, (uint64_t)sqlite3_column_int64(row, 0), column_bytes(row, 1), column_bytes(row, 2), err);
}

static int load_rows(struct home_sql *sql, const char *text, int (*take)(const struct home_loader *, sqlite3_stmt *, struct error *),
                     const struct home_loader *loader, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int code, result = 0;

	if (sqlite3_prepare_v2(sql->database, text, -1, &statement, NULL) != SQLITE_OK)
		return home_sql_error(sql->database, text, err);
	while (result == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
		result = take(loader, statement, err);
	if (result == 0 && code != SQLITE_DONE)
		result = home_sql_error(sql->database, text, err);
	(void)sqlite3_finalize(statement);
	return result;
}

int home_sql_load(struct home_sql *sql, const struct home_loader *loader, struct error *err)
{
	if (load_rows(sql, "SELECT id, revision, compacted FROM space", load_space, loader, err) < 0 ||
	    load_rows(sql, "SELECT id, space, revision, sub, key, create_revision, version, lease, length(value) FROM entry ORDER BY id",
	              load_entry, loader, err) < 0 ||
	    load_rows(sql, "SELECT space, id, ttl FROM lease", load_lease, loader, err) < 0)
		return -1;
	return load_rows(sql, "SELECT space, key, value FROM record", load_record, loader, err);
}
