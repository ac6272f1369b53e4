/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a database of bolt_format.h from buckets whose keys come in order: pages go to the file as they fill, the trees above them when a bucket
 * ends, so memory is one key per page. The same input gives the same bytes. Blocking; any thread, one at a time.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "store/bytes.h"

struct bolt_writer;

/* The file must be empty; the descriptor stays the caller's. */
struct bolt_writer *bolt_writer_new(int descriptor);
void bolt_writer_free(struct bolt_writer *writer); /* NULL is fine */
/* Buckets one after the other, in any order of names. */
void bolt_writer_begin(struct bolt_writer *writer, const char *bucket);
/* Keys ascending, not empty. */
int bolt_writer_put(struct bolt_writer *writer, struct bytes key, struct bytes value, struct error *err);
int bolt_writer_end(struct bolt_writer *writer, struct error *err);
/* The rest: nothing more can be added. *length is the file's. */
int bolt_writer_finish(struct bolt_writer *writer, uint64_t *length, struct error *err);
