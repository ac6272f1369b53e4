/* SPDX-License-Identifier: Apache-2.0 */
/* Files and descriptors. Every descriptor opened in this program is close-on-exec. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"

static inline void descriptor_cleanup(int *descriptor)
{
	if (*descriptor >= 0)
		(void)close(*descriptor);
}
#define DESCRIPTOR_CLEANUP __attribute__((cleanup(descriptor_cleanup)))

/* Appends the whole file (also of /proc and pipes) to out; more than `limit` bytes is ERROR_EXHAUSTED. */
int file_read(const char *path, size_t limit, struct buffer *out, struct error *err);
/* Writes to a temporary file beside it, fsyncs, renames: readers see the old bytes or the new ones. Mode is exact (no umask). */
int file_write_atomic(const char *path, const void *bytes, size_t length, mode_t mode, struct error *err);
/* Plain write for /proc and /sys: opens O_WRONLY, one write(2). */
int file_write_once(const char *path, const char *text, struct error *err);
bool file_exists(const char *path);
/* mkdir -p; an existing folder keeps its mode. */
int file_make_directories(const char *path, mode_t mode, struct error *err);
/* rm -rf that never follows symbolic links and never crosses a mount point; absent is fine. */
int file_remove_tree(const char *path, struct error *err);
/* All of it, over short writes and EINTR. */
int file_write_all(int descriptor, const void *bytes, size_t length, struct error *err);
/* Takes an exclusive flock on the file (made when absent); returns the descriptor to hold, or -1. wait = false: ERROR_EXISTS when taken. */
int file_lock(const char *path, bool wait, struct error *err);
