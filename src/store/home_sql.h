/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of home: schema, applying commits, loading. One writing connection; whoever holds it calls from one thread at a time. */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "base/error.h"
#include "store/commit.h"
#include "store/home.h"

enum home_statement {
	HOME_BEGIN,
	HOME_COMMIT,
	HOME_PUT_ENTRY,
	HOME_DROP_ENTRY,
	HOME_PUT_SPACE,
	HOME_COMPACT_SPACE,
	HOME_PUT_LEASE,
	HOME_DROP_LEASE,
	HOME_PUT_RECORD,
	HOME_DROP_RECORD,
	HOME_PUT_META,
	HOME_STATEMENT_COUNT,
};

struct home_sql {
	sqlite3 *database;
	sqlite3_stmt *statements[HOME_STATEMENT_COUNT];
	uint64_t sequence, last_id, identity; /* as found when opened */
};

int home_sql_open(struct home_sql *sql, const char *path, struct error *err);
void home_sql_close(struct home_sql *sql);
int home_sql_begin(struct home_sql *sql, struct error *err);
/* Commits together with the sequence and id that it reaches. */
int home_sql_commit(struct home_sql *sql, uint64_t sequence, uint64_t last_id, struct error *err);
int home_sql_apply(struct home_sql *sql, const struct commit *commit, struct error *err); /* inside a transaction */
int home_sql_drop(struct home_sql *sql, uint64_t id, struct error *err);
int home_sql_checkpoint(struct home_sql *sql, bool *complete, struct error *err);
int home_sql_load(struct home_sql *sql, const struct home_loader *loader, struct error *err);

int home_sql_error(sqlite3 *database, const char *what, struct error *err); /* -1 */
