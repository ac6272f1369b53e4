/* SPDX-License-Identifier: Apache-2.0 */
/*
 * components/components.lock: which upstream programs, which versions, where from, with which digests. Read strictly: an unknown or
 * missing member, a bad digest, a placeholder that nobody fills is an error that names the component and the field.
 * A parsed lock is immutable and may be shared between threads; everything it points to lives until component_lock_free().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum {
	COMPONENT_LOCK_BYTES_MAX = 1024 * 1024,
	COMPONENT_MAX = 64,        /* components in one lock, every version counted */
	COMPONENT_FILE_MAX = 32,   /* files of one component */
	COMPONENT_SHA256_SIZE = 65 /* 64 hexadecimal digits and NUL */
};

/* One official download, for the architecture that the lock was read for. */
struct component_download {
	const char *url;
	const char *checksums;              /* URL of the checksum file that the project publishes; NULL when there is none */
	char sha256[COMPONENT_SHA256_SIZE]; /* of the bytes behind url; "" when the lock says unknown: checksums is then not NULL */
};

struct component_file {
	const char *name;                          /* "kube-apiserver": file name in the cache */
	const char *package;                       /* Go package that is built */
	const char *member;                        /* path in the archive; NULL: the download is the program itself */
	const struct component_download *download; /* several files may share one; NULL: upstream publishes no binary */
};

struct component_build {
	const char *folder;       /* absolute: holds go.mod and go.sum */
	const char *module;       /* the upstream module whose version is the component's */
	const char *tags;         /* "seccomp,netgo", "" when none */
	const char *linker_flags; /* joined with blanks; "-s -w" is always added by the build */
	const char *needs;        /* Debian package that the build wants, or NULL */
	bool cgo;
};

struct component {
	const char *name;    /* "kubernetes", "etcd" */
	const char *version; /* as upstream writes it: "v1.36.3" */
	const char *number;  /* the same without a leading v */
	const char *license; /* SPDX expression */
	const char *homepage;
	bool is_default; /* the version that is taken when none is asked for: exactly one per name */
	struct component_build build;
	struct component_file *files;
	size_t file_count;
};

struct component_lock {
	struct component *components;
	size_t count;
	const char *folder;       /* absolute: what build.folder is relative to */
	const char *architecture; /* "amd64", "arm64" */
	struct arena *arena;
};

/* Go's name of this machine's architecture. */
const char *component_architecture(void);
/*
 * The folder that holds components.lock and go/: $KAMAJI_COMPONENTS_DIR, else share/kamaji/components beside the bin/ folder of this
 * program, else the source folder recorded in this program's build tree. free(). NULL with ERROR_NOT_FOUND and the places looked at.
 */
char *component_lock_folder(struct error *err);
/* folder: absolute; where the text came from. */
struct component_lock *component_lock_parse(const char *text, size_t length, const char *folder, const char *architecture,
                                            struct error *err);
/* Reads FOLDER/components.lock; folder NULL: component_lock_folder(). */
struct component_lock *component_lock_read(const char *folder, struct error *err);
void component_lock_free(struct component_lock *lock);

/* version NULL: the default one. NULL with ERROR_NOT_FOUND and the versions that the lock has. */
const struct component *component_lock_find(const struct component_lock *lock, const char *name, const char *version, struct error *err);
/* NULL when the component has no such file. */
const struct component_file *component_find_file(const struct component *component, const char *name);
/* Versions of Kubernetes in the lock, in its order; fills at most `size` entries and returns how many there are. */
size_t component_kubernetes_versions(const struct component_lock *lock, const char **versions, size_t size);

static inline void component_lock_cleanup(struct component_lock **lock)
{
	component_lock_free(*lock);
}
#define COMPONENT_LOCK_CLEANUP __attribute__((cleanup(component_lock_cleanup)))
