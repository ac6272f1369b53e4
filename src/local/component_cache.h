/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where components live on this machine:
 *
 *   ROOT/NAME/VERSION/bin/FILE        the programs, mode 0755
 *   ROOT/NAME/VERSION/manifest.json   for each: SHA-256, size, modification time, where it came from
 *   ROOT/NAME/VERSION/build.log       what the last build printed
 *   ROOT/downloads/                   unfinished (*.part) and finished downloads that hold more files than were taken yet
 *   ROOT/images/                      image archives made from the programs (image_set.h)
 *   ROOT/lock                         flock: one run changes the cache at a time
 *
 * A file counts only when the manifest lists it. Size and modification time are compared on every look; when they differ the digest
 * decides. Installing is copy or move to a temporary name, fsync, rename, manifest rename: a killed run leaves the old state or the new.
 * Not thread-safe: one thread per cache.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "local/component_lock.h"

struct component_cache;

enum component_source {
	COMPONENT_SOURCE_FOLDER,   /* a folder that the user named */
	COMPONENT_SOURCE_DOWNLOAD, /* upstream's official download */
	COMPONENT_SOURCE_BUILD     /* built here from the pinned Go modules */
};

enum component_state {
	COMPONENT_ABSENT,
	COMPONENT_GOOD,
	COMPONENT_CORRUPT /* listed, but the bytes are not those that were installed */
};

struct component_record {
	char sha256[COMPONENT_SHA256_SIZE];
	uint64_t size; /* bytes */
	enum component_source source;
	char detail[256]; /* URL, folder, or toolchain ("go1.26.8") */
};

/* root NULL: $KAMAJI_COMPONENTS_CACHE, else $XDG_CACHE_HOME/kamaji/components, else $HOME/.cache/kamaji/components. */
struct component_cache *component_cache_open(const char *root, struct error *err);
void component_cache_close(struct component_cache *cache);
const char *component_cache_root(const struct component_cache *cache);

/* Waits for other runs when `wait`, else fails with ERROR_EXISTS. Held until component_cache_close() or component_cache_unlock(). */
int component_cache_lock(struct component_cache *cache, bool wait, struct error *err);
void component_cache_unlock(struct component_cache *cache);

/* Path of a file whether it is there or not. free(). */
char *component_cache_path(const struct component_cache *cache, const struct component *component, const char *file);
/* Path of the build log. free(). */
char *component_cache_log_path(const struct component_cache *cache, const struct component *component);
/*
 * deep: hash even when size and time agree. *record (may be NULL) is filled for GOOD and CORRUPT. Fails only when the cache cannot be read
 * (an unreadable manifest counts as ABSENT: everything is taken anew).
 */
int component_cache_check(struct component_cache *cache, const struct component *component, const char *file, bool deep,
                          enum component_state *state, struct component_record *record, struct error *err);
/* Temporary path in the folder where the file will live, for component_cache_install(). Makes the folders. free(). */
char *component_cache_temporary(struct component_cache *cache, const struct component *component, const char *file, struct error *err);
/* Takes the finished temporary file into the cache and lists it. The temporary file is gone afterwards, also after an error. */
int component_cache_install(struct component_cache *cache, const struct component *component, const char *file, const char *temporary,
                            enum component_source source, const char *detail, struct error *err);

const char *component_source_name(enum component_source source); /* "folder", "download", "build" */

static inline void component_cache_cleanup(struct component_cache **cache)
{
	component_cache_close(*cache);
}
#define COMPONENT_CACHE_CLEANUP __attribute__((cleanup(component_cache_cleanup)))
