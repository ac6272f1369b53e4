/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a commit in the log. A frame is length (4 bytes, little-endian), checksum (4, CRC-32 of the payload seeded with the segment's first
 * sequence, so that what a recycled segment held before is never taken for new), payload. Numbers in the payload are base-128 varints.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "store/commit.h"

enum {
	LOG_FRAME_HEADER = 8,
	LOG_PAYLOAD_MAXIMUM =
		64 * 1024 *
		1024, /* a transaction of 128 puts of 1.5 MiB cannot pass the request limit; an ended lease's deletes are small */
	LOG_OPERATIONS_MAXIMUM = 4 * 1024 * 1024,
};

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
