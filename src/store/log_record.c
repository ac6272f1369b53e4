/* SPDX-License-Identifier: Apache-2.0 */
#include "store/log_record.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

enum { OPERATION_DELETED = 1 };

static void put_number(struct buffer *out, uint64_t number)
{
	char bytes[10];
	size_t length = 0;

	while (number >= 0x80) {
		bytes[length++] = (char)(number | 0x80);
		number >>= 7;
	}
	bytes[length++] = (char)number;
	(void)buffer_append(out, bytes, length);
}

static void put_bytes(struct buffer *out, struct bytes bytes)
{
	put_number(out, bytes.length);
	(void)buffer_append(out, bytes.data, bytes.length);
}

void log_record_encode(const struct commit *commit, struct log_place place, struct buffer *out)
{
	(void)buffer_append_char(out, (char)commit->kind);
	put_number(out, place.sequence);
	put_number(out, place.sequence - place.batch);
	put_number(out, commit->space);
	put_number(out, (uint64_t)commit->revision);
	put_number(out, (uint64_t)commit->lease);
	put_number(out, (uint64_t)commit->ttl);
	put_number(out, commit->count);
	for (uint32_t i = 0; i < commit->count; i++) {
		const struct commit_operation *operation = &commit->operations[i];

		(void)buffer_append_char(out, operation->deleted ? OPERATION_DELETED : 0);
		put_number(out, operation->id);
		put_bytes(out, operation->key);
		if (operation->deleted)
			continue;
		put_bytes(out, operation->value);
		put_number(out, (uint64_t)operation->lease);
		put_number(out, (uint64_t)operation->create_revision);
		put_number(out, (uint64_t)operation->version);
	}
}

struct cursor {
	const unsigned char *place, *end;
	bool bad;
};

static uint64_t get_number(struct cursor *cursor)
{
	uint64_t number = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (cursor->place == cursor->end)
			break;
		number |= (uint64_t)(*cursor->place & 0x7f) << shift;
		if ((*cursor->place++ & 0x80) == 0)
			return number;
	}
	cursor->bad = true;
	return 0;
}

static unsigned get_byte(struct cursor *cursor)
{
	if (cursor->place == cursor->end) {
		cursor->bad = true;
		return 0;
	}
	return *cursor->place++;
}

static struct bytes get_bytes(struct cursor *cursor)
{
	uint64_t length = get_number(cursor);
	struct bytes bytes = { (const char *)cursor->place, length };

	if (cursor->bad || length > (uint64_t)(cursor->end - cursor->place)) {
		cursor->bad = true;
		return (struct bytes){ "", 0 };
	}
	cursor->place += length;
	return bytes;
}

static void get_operation(struct cursor *cursor, struct commit_operation *operation)
{
	operation->deleted = (get_byte(cursor) & OPERATION_DELETED) != 0;
	operation->id = get_number(cursor);
	operation->key = get_bytes(cursor);
	if (operation->deleted)
		return;
	operation->value = get_bytes(cursor);
	operation->lease = (int64_t)get_number(cursor);
	operation->create_revision = (int64_t)get_number(cursor);
	operation->version = (int64_t)get_number(cursor);
}

int log_record_decode(struct bytes payload, struct arena *arena, struct commit *commit, struct log_place *place, struct error *err)
{
	struct cursor cursor = { (const unsigned char *)payload.data, (const unsigned char *)payload.data + payload.length, false };
	struct commit_operation *operations;
	uint64_t count;

	*commit = (struct commit){ .kind = (enum commit_kind)get_byte(&cursor) };
	place->sequence = get_number(&cursor);
	place->batch = place->sequence - get_number(&cursor);
	commit->space = get_number(&cursor);
	commit->revision = (int64_t)get_number(&cursor);
	commit->lease = (int64_t)get_number(&cursor);
	commit->ttl = (int64_t)get_number(&cursor);
	count = get_number(&cursor);
	/* An operation takes three bytes at least, so a count cannot make us reserve more than the payload is worth. */
	if (cursor.bad || commit->kind < COMMIT_OPERATIONS || commit->kind > COMMIT_JUMP || commit->revision < 0 ||
	    place->batch > place->sequence || count > UINT32_MAX || count > (uint64_t)(cursor.end - cursor.place) / 3)
		return error_set(err, ERROR_CORRUPT, "log record: malformed head");
	operations = arena_alloc(arena, count * sizeof(*operations) + 1);
	for (uint64_t i = 0; i < count && !cursor.bad; i++)
		get_operation(&cursor, &operations[i]);
	if (cursor.bad || cursor.place != cursor.end)
		return error_set(err, ERROR_CORRUPT, "log record %llu: malformed operation", (unsigned long long)place->sequence);
	commit->operations = operations;
	commit->count = (uint32_t)count;
	return 0;
}

uint64_t log_record_peek(struct bytes payload)
{
	struct cursor cursor = { (const unsigned char *)payload.data, (const unsigned char *)payload.data + payload.length, false };
	unsigned kind = get_byte(&cursor);
	uint64_t sequence = get_number(&cursor);

	return cursor.bad || kind < COMMIT_OPERATIONS || kind > COMMIT_JUMP ? 0 : sequence;
}

uint32_t log_checksum(uint64_t segment, struct bytes payload)
{
	unsigned char seed[8];
	uLong sum = crc32(0, NULL, 0);

	for (int i = 0; i < 8; i++)
		seed[i] = (unsigned char)(segment >> (8 * i));
	sum = crc32(sum, seed, sizeof(seed));
	return (uint32_t)crc32_z(sum, (const unsigned char *)payload.data, payload.length);
}

void log_mark_encode(uint64_t segment, uint64_t sequence, char mark[LOG_MARK_BYTES])
{
	uint32_t sum = log_checksum(segment, (struct bytes){ (const char *)&sequence, sizeof(sequence) });

	memset(mark, 0, LOG_FRAME_HEADER - sizeof(sum));
	memcpy(mark + LOG_FRAME_HEADER - sizeof(sum), &sum, sizeof(sum));
	memcpy(mark + LOG_FRAME_HEADER, &sequence, sizeof(sequence));
}

uint64_t log_mark_decode(uint64_t segment, const char mark[LOG_MARK_BYTES])
{
	char expected[LOG_MARK_BYTES];
	uint64_t sequence;

	memcpy(&sequence, mark + LOG_FRAME_HEADER, sizeof(sequence));
	log_mark_encode(segment, sequence, expected);
	return memcmp(mark, expected, sizeof(expected)) == 0 ? sequence : 0;
}
