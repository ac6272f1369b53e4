/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: segments of one folder, written by a thread of its own. Everything that was appended while one fdatasync ran goes into the next
 * write, so the number of syncs does not grow with the number of writers. A failed write or sync ends the process: what the disk then holds
 * is not known, and only a restart reads it again.
 *
 * Segment NAME is "%016x.log" of its first sequence; it starts with an 8-byte magic. Segments that home has taken over are renamed and written over,
 * which spares the file system from allocating while somebody waits.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "store/commit.h"

struct log_file;

enum { LOG_SEGMENT_BYTES = 16 * 1024 * 1024, LOG_SEGMENTS_SPARE = 2 };

/* What is written and durable now: whole frames without segment checksums, as encoded payloads each after its 4-byte length. */
struct log_batch {
	struct log_batch *next;
	struct buffer payloads;
	uint64_t first_sequence, last_sequence;
	uint64_t last_id;
};

struct log_options {
	const char *directory;
	size_t segment_bytes; /* 0: LOG_SEGMENT_BYTES */
	/* On the log's thread after the sync; takes ownership of the batch (log_batch_free()). */
	void (*durable)(void *argument, struct log_batch *batch);
	/* On the log's thread when a write or sync failed; must not return to normal work. */
	void (*failed)(void *argument, const struct error *err);
	void *argument;
	uint64_t next_sequence; /* first sequence to be written: a new segment starts here */
};

struct log_file *log_file_start(const struct log_options *options, struct error *err);
void log_file_stop(struct log_file *log); /* writes what was appended, joins, frees */
/* Engine thread. Returns the sequence. The bytes are copied. */
uint64_t log_file_append(struct log_file *log, const struct commit *commit);
/* Segments whose records are all <= sequence are not needed any more. Any thread. */
void log_file_trim(struct log_file *log, uint64_t sequence);
void log_batch_free(struct log_batch *batch);

/*
 * Reads all segments in order and calls visit() for every good record with a sequence > after. `lost` false: it ended at the clean end of the last
 * segment or in a batch that was never finished. `lost` true: records that had been durable are missing, because good records of a later batch
 * or a mark follow, or a segment is not there; changes that were acknowledged are gone.
 */
struct log_scan {
	uint64_t after;
	int (*visit)(void *argument, const struct commit *commit, uint64_t sequence, struct error *err);
	void *argument;
	uint64_t last_sequence; /* result: of the last good record, or `after` */
	bool lost;              /* result */
	char detail[160];       /* result: where, when lost */
};
int log_scan(const char *directory, struct log_scan *scan, struct error *err);
