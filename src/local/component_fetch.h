/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes components present on this machine. Each is taken from the first of these that has it:
 *   1. the folder that the user named, holding FILE, NAME/FILE, or the official archive under its own name. A digest in the folder's
 *      SHA256SUMS decides; without one the lock's digest of that download; without either the file is taken and a notice says so.
 *   2. the official download, checked against the lock's digest or the checksum file that the project publishes.
 *   3. a build from the pinned Go modules.
 * A file whose digest is wrong is refused by name and nothing else is tried in its place. Whether downloads work is decided once per run
 * by one short connection attempt. What is good in the cache is not looked at again, except that a named folder goes before it.
 * A damaged file in our own cache is made anew, with a notice.
 * Not thread-safe: one thread per fetch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/cancel.h"
#include "local/component_cache.h"
#include "local/component_lock.h"

enum component_activity {
	COMPONENT_ACTIVITY_WAITING, /* another run holds the cache */
	COMPONENT_ACTIVITY_COPYING, /* from the user's folder */
	COMPONENT_ACTIVITY_DOWNLOADING,
	COMPONENT_ACTIVITY_UNPACKING,
	COMPONENT_ACTIVITY_BUILDING,
	COMPONENT_ACTIVITY_DONE,  /* this file is installed */
	COMPONENT_ACTIVITY_NOTICE /* one line for the user in `text` */
};

struct component_progress {
	enum component_activity activity;
	const struct component *component; /* NULL only for WAITING and some notices */
	const char *file;                  /* NULL when it concerns the component as a whole */
	const char *text;                  /* NOTICE: the line. BUILDING: last line of the build, or NULL. DONE: where it came from */
	uint64_t done, total;              /* DOWNLOADING: bytes */
	uint64_t elapsed_ms;               /* since this file was begun */
};

struct component_fetch_options {
	const struct component_lock *lock; /* borrowed; outlives the fetch */
	const char *cache_root;            /* NULL: default (component_cache.h) */
	const char *from_folder;           /* NULL: none */
	bool no_download, no_build;        /* leave that source out */
	bool allow_http;                   /* tests */
	bool deep;                         /* hash every cached file instead of trusting size and time */
	/* Called from the thread that called ensure; building reports about once a second. NULL: silent. */
	void (*progress)(void *context, const struct component_progress *progress);
	void *context;
};

struct component_fetch;

struct component_fetch *component_fetch_new(const struct component_fetch_options *options, struct error *err);
void component_fetch_free(struct component_fetch *fetch);

/* All files of one component; version NULL: the lock's default. A second call for what is present costs one stat() per file. */
int component_ensure(struct component_fetch *fetch, const char *name, const char *version, struct cancel *cancel, struct error *err);
/* The default version of every component in the lock, the ones the cluster starts with first. */
int component_ensure_all(struct component_fetch *fetch, struct cancel *cancel, struct error *err);

/*
 * Absolute path of a program in the cache ("etcd", NULL, "etcdctl"); does not check that it is there (ensure did). Owned by the fetch,
 * valid until component_fetch_free(). NULL with ERROR_NOT_FOUND for a name the lock does not have.
 */
const char *component_path(struct component_fetch *fetch, const char *name, const char *version, const char *file, struct error *err);
/* State and origin of one file, for listings. */
int component_look(struct component_fetch *fetch, const struct component *component, const char *file, enum component_state *state,
                   struct component_record *record, struct error *err);
/* The cache and the lock behind it, borrowed. */
struct component_cache *component_fetch_cache(struct component_fetch *fetch);
const struct component_lock *component_fetch_lock(const struct component_fetch *fetch);
/* True when downloads were switched off or found out of reach. */
bool component_fetch_is_offline(const struct component_fetch *fetch);

static inline void component_fetch_cleanup(struct component_fetch **fetch)
{
	component_fetch_free(*fetch);
}
#define COMPONENT_FETCH_CLEANUP __attribute__((cleanup(component_fetch_cleanup)))
