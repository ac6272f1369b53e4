/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing tar (ustar) to a seekable file, deterministic: owner root, a fixed time. Everything written can be hashed on the way, and the
 * header of a member may be filled in after its bytes, for members that are named by their own digest.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "local/component_digest.h"

struct tar_writer {
	int descriptor;
	int64_t time;          /* seconds since the epoch for every member */
	struct digest *digest; /* NULL: nothing is hashed */
	uint64_t written;      /* bytes that went through the digest since it was set */
};

enum { IMAGE_TAR_BLOCK = 512, IMAGE_TAR_PATH_MAX = 255 };

/* type: '0' file, '5' folder, '2' symbolic link. path without a leading slash; ERROR_INVALID when it does not fit ustar. */
int tar_writer_header(struct tar_writer *writer, const char *path, char type, mode_t mode, uint64_t size, const char *link,
                      struct error *err);
int tar_writer_bytes(struct tar_writer *writer, const void *bytes, size_t length, struct error *err);
/* Zeros up to the next block after a member of that size. */
int tar_writer_pad(struct tar_writer *writer, uint64_t size, struct error *err);
/* The two zero blocks. */
int tar_writer_end(struct tar_writer *writer, struct error *err);
/* A whole member. */
int tar_writer_member(struct tar_writer *writer, const char *path, const void *bytes, size_t length, struct error *err);
/* Leaves room for a header; returns its position, or -1. */
int64_t tar_writer_reserve(struct tar_writer *writer, struct error *err);
/* Fills the room; the position for further writing stays where it is. */
int tar_writer_fill(struct tar_writer *writer, int64_t position, const char *path, uint64_t size, struct error *err);
