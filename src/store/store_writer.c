/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "store/home_sql.h"
#include "store/store.h"

enum { TRANSACTION_BYTES = 32 * 1024 * 1024 };

struct store_writer {
	struct home_sql sql;
	char *directory, *path, *temporary;
	int lock;
	uint64_t last_id;
	size_t pending; /* bytes in the open transaction */
	bool open, finished;
};

static void remove_temporary(const struct store_writer *writer)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
		char *path FREE_CLEANUP = string_printf("%s%s", writer->temporary, suffixes[i]);

		(void)unlink(path);
	}
}

static int begin(struct store_writer *writer, struct error *err)
{
	writer->pending = 0;
	return home_sql_begin(&writer->sql, err);
}

struct store_writer *store_writer_open(const char *directory, struct error *err)
{
	struct store_writer *writer = calloc(1, sizeof(*writer));
	char *lock FREE_CLEANUP = string_printf("%s/lock", directory);
	char *log FREE_CLEANUP = string_printf("%s/log", directory);

	if (writer == NULL)
		abort();
	writer->lock = -1;
	writer->directory = string_dup(directory);
	writer->path = string_printf("%s/home.db", directory);
	writer->temporary = string_printf("%s/home.db.import", directory);
	if (file_make_directories(directory, 0700, err) < 0)
		goto failed;
	writer->lock = file_lock(lock, false, err);
	if (writer->lock < 0) {
		error_wrap(err, "another process uses %s", directory);
		goto failed;
	}
	if (file_exists(writer->path) || file_exists(log)) {
		error_set(err, ERROR_EXISTS, "%s already holds a store: name a new folder", directory);
		goto failed;
	}
	remove_temporary(writer);
	if (home_sql_open(&writer->sql, writer->temporary, err) < 0)
		goto failed;
	writer->open = true;
	if (begin(writer, err) == 0)
		return writer;
failed:
	store_writer_close(writer);
	return NULL;
}

void store_writer_close(struct store_writer *writer)
{
	if (writer == NULL)
		return;
	if (writer->open)
		home_sql_close(&writer->sql);
	if (writer->open && !writer->finished)
		remove_temporary(writer);
	if (writer->lock >= 0)
		(void)close(writer->lock);
	free(writer->directory);
	free(writer->path);
	free(writer->temporary);
	free(writer);
}

static int end_transaction(struct store_writer *writer, struct error *err)
{
	bool complete;

	if (home_sql_commit(&writer->sql, 0, writer->last_id, err) < 0)
		return -1;
	return home_sql_checkpoint(&writer->sql, &complete, err);
}

static int account(struct store_writer *writer, size_t bytes, struct error *err)
{
	writer->pending += bytes + 64;
	if (writer->pending < TRANSACTION_BYTES)
		return 0;
	return end_transaction(writer, err) < 0 ? -1 : begin(writer, err);
}

static void bind_bytes(sqlite3_stmt *statement, int place, struct bytes bytes)
{
	(void)sqlite3_bind_blob64(statement, place, bytes.length > 0 ? bytes.data : "", bytes.length, SQLITE_STATIC);
}

int store_writer_version(struct store_writer *writer, int64_t revision, uint32_t sub, const struct commit_operation *operation,
                         struct error *err)
{
	sqlite3_stmt *statement = writer->sql.statements[HOME_PUT_ENTRY];
	int code;

	(void)sqlite3_bind_int64(statement, 1, (int64_t)++writer->last_id);
	(void)sqlite3_bind_int64(statement, 2, STORE_SPACE_DEFAULT);
	(void)sqlite3_bind_int64(statement, 3, revision);
	(void)sqlite3_bind_int64(statement, 4, sub);
	bind_bytes(statement, 5, operation->key);
	(void)sqlite3_bind_int64(statement, 6, operation->create_revision);
	(void)sqlite3_bind_int64(statement, 7, operation->version);
	(void)sqlite3_bind_int64(statement, 8, operation->lease);
	if (operation->deleted)
		(void)sqlite3_bind_null(statement, 9);
	else
		bind_bytes(statement, 9, operation->value);
	code = sqlite3_step(statement);
	(void)sqlite3_reset(statement);
	if (code != SQLITE_DONE)
		return home_sql_error(writer->sql.database, "write a version", err);
	return account(writer, operation->key.length + operation->value.length, err);
}

int store_writer_lease(struct store_writer *writer, int64_t lease, int64_t ttl_seconds, struct error *err)
{
	struct commit commit = { .kind = COMMIT_LEASE_GRANT, .space = STORE_SPACE_DEFAULT, .lease = lease, .ttl = ttl_seconds };

	return home_sql_apply(&writer->sql, &commit, err) < 0 ? -1 : account(writer, 0, err);
}

int store_writer_record(struct store_writer *writer, struct bytes key, struct bytes value, struct error *err)
{
	struct commit_operation operation = { .key = key, .value = value };
	struct commit commit = { .kind = COMMIT_RECORD, .space = STORE_SPACE_DEFAULT, .operations = &operation, .count = 1 };

	return home_sql_apply(&writer->sql, &commit, err) < 0 ? -1 : account(writer, key.length + value.length, err);
}

static int sync_path(const char *path, int flags, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = open(path, flags | O_CLOEXEC);

	if (descriptor < 0 || fsync(descriptor) < 0)
		return error_set_errno(err, errno, "sync %s", path);
	return 0;
}

int store_writer_finish(struct store_writer *writer, int64_t revision, int64_t compacted, struct error *err)
{
	struct commit head = { .kind = COMMIT_OPERATIONS, .space = STORE_SPACE_DEFAULT, .revision = revision };
	struct commit compact = { .kind = COMMIT_COMPACT, .space = STORE_SPACE_DEFAULT, .revision = compacted };

	if (home_sql_apply(&writer->sql, &head, err) < 0 || (compacted > 0 && home_sql_apply(&writer->sql, &compact, err) < 0) ||
	    end_transaction(writer, err) < 0)
		return -1;
	home_sql_close(&writer->sql); /* the last connection: its WAL is folded in and removed */
	writer->open = false;
	if (sync_path(writer->temporary, O_RDWR, err) < 0)
		return -1;
	if (rename(writer->temporary, writer->path) < 0)
		return error_set_errno(err, errno, "rename %s to %s", writer->temporary, writer->path);
	writer->finished = true;
	return sync_path(writer->directory, O_RDONLY | O_DIRECTORY, err);
}
