/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a commit in the log. A frame is length (4 bytes, little-endian), checksum (4, CRC-32 of the payload seeded with the segment's first
 * sequence, so that what a recycled segment held before is never taken for new), payload. Numbers in the payload are base-128 varints. A record may
 * be as large as its length can say: a delete of everything is one record.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "store/commit.h"

enum { LOG_FRAME_HEADER = 8, LOG_MARK_BYTES = 16 };

/*
 * `batch` is the first sequence of the batch that the record was written with: a batch is written only after the one before it was synced, so
 * a good record proves that everything before its batch was durable, and acknowledged perhaps.
 */
struct log_place {
	uint64_t sequence, batch;
};

/* Appends the payload without a header. */
void log_record_encode(const struct commit *commit, struct log_place place, struct buffer *out);
/* Keys and values borrow from `payload`; the operations are in the arena. ERROR_CORRUPT for anything malformed. */
int log_record_decode(struct bytes payload, struct arena *arena, struct commit *commit, struct log_place *place, struct error *err);
/* The sequence that the payload of a record begins with, 0 when no record begins so: cheap, before a checksum is taken. */
uint64_t log_record_peek(struct bytes payload);
uint32_t log_checksum(uint64_t segment, struct bytes payload);

/*
 * The end of a segment's records: length 0, then, once everything before was durable, a checksum and the last sequence (8 bytes). It tells a batch
 * that was never finished from one that was acknowledged and is damaged. Not synced by itself: after a power cut it may be missing.
 */
void log_mark_encode(uint64_t segment, uint64_t sequence, char mark[LOG_MARK_BYTES]);
/* The sequence, 0 when this is no mark of the segment. */
uint64_t log_mark_decode(uint64_t segment, const char mark[LOG_MARK_BYTES]);
