/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small strict reader of tar streams (ustar, GNU long names, pax path and size) that hands over only the members asked for by their
 * exact name. It never makes a path from what the archive says, and still refuses an archive that names anything outside itself
 * (absolute, ".."): such an archive is not what it claims to be. Push style, so that bytes may come in any pieces.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	TAR_PATH_MAX = 1024,
	TAR_MEMBERS_MAX = 100000 /* headers in one archive */
};
#define TAR_MEMBER_BYTES_MAX (UINT64_C(2) * 1024 * 1024 * 1024)  /* one member */
#define TAR_ARCHIVE_BYTES_MAX (UINT64_C(8) * 1024 * 1024 * 1024) /* the unpacked stream */

struct tar_reader;

struct tar_callbacks {
	/* A regular file begins. True: its bytes are wanted. path has no leading "./". */
	bool (*begin)(void *context, const char *path, uint64_t size);
	/* Bytes of a wanted member; -1 with *err stops the reading. */
	int (*data)(void *context, const void *bytes, size_t length, struct error *err);
	/* The wanted member is complete. */
	int (*end)(void *context, struct error *err);
};

struct tar_reader *tar_reader_new(const struct tar_callbacks *callbacks, void *context);
void tar_reader_free(struct tar_reader *reader);
/* After an error the reader stays failed. Bytes after the end-of-archive blocks are ignored. */
int tar_reader_feed(struct tar_reader *reader, const void *bytes, size_t length, struct error *err);
/* The stream has ended: ERROR_CORRUPT when it ended inside a member or before the first header. */
int tar_reader_finish(struct tar_reader *reader, struct error *err);

struct tar_extraction {
	const char *member;      /* exact path in the archive */
	const char *destination; /* file to write, mode 0755; replaced when there */
	bool found;              /* set by tar_gz_extract() */
};
/* Unpacks the named members of a gzip-compressed archive. ERROR_NOT_FOUND when one is missing; then and after any error none is left. */
int tar_gz_extract(const char *archive, struct tar_extraction *members, size_t count, struct error *err);
