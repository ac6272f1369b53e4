/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file of bounded size: when it grows past its limit it becomes NAME.1 (replacing an older one) and a new one begins, so that a
 * log never takes more than about twice the limit. Belongs to one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct log_file {
	int fd; /* -1 = closed */
	uint64_t size;
	uint64_t limit; /* bytes */
	char path[512];
};

/* Appends to an existing file. The file is 0600. */
int log_file_open(struct log_file *log, const char *path, uint64_t limit, struct error *err);
/* A failed write loses the text: a full disk must not stop the process that logs. */
void log_file_write(struct log_file *log, const void *bytes, size_t length);
void log_file_close(struct log_file *log);

/* The last `lines` lines of a log (its predecessor is not looked at), at most 64 KiB of text; free(). "" when there is none. */
char *log_file_tail(const char *path, unsigned lines);
