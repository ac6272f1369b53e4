/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a database of bolt_format.h from memory (a mapped file). Nothing in it is believed: every page number, count, position and size is
 * checked against the file, a page may be used once, keys must ascend and lie where the branch above says. What is wrong is named by page.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/bytes.h"

struct bolt_file {
	const unsigned char *bytes;
	uint64_t length;
	uint32_t page_size;
	uint64_t root, pages;
	unsigned char *used; /* one bit per page */
};

/* Borrows the bytes. */
int bolt_open(struct bolt_file *file, const void *bytes, uint64_t length, struct error *err);
void bolt_close(struct bolt_file *file);

typedef int (*bolt_function)(void *argument, struct bytes key, struct bytes value, struct error *err);
/* Every key of a top-level bucket in order, once per bucket and open; *found (may be NULL) says whether there is such a bucket. -1 stops. */
int bolt_each(struct bolt_file *file, const char *bucket, bolt_function function, void *argument, bool *found, struct error *err);
