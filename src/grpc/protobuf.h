/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers, the wire format only (protobuf.dev/programming-guides/encoding): a writer that appends to a buffer and a bounded
 * reader over borrowed bytes. Messages are written field by field by hand-made functions; default values are left out, as proto3 does.
 *
 *   struct protobuf_reader reader = protobuf_reader_of(bytes, length);
 *   struct protobuf_field field;
 *   while (protobuf_next(&reader, &field))
 *           switch (field.number) { case 1: name = field.bytes; ... }
 *   if (reader.corrupt) ...
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum protobuf_wire { PROTOBUF_VARINT = 0, PROTOBUF_FIXED64 = 1, PROTOBUF_BYTES = 2, PROTOBUF_FIXED32 = 5 };

struct protobuf_reader {
	const uint8_t *at, *end;
	bool corrupt; /* a field was cut short, too long, or of a forbidden kind; reading stops there */
};

struct protobuf_field {
	uint32_t number;
	enum protobuf_wire wire;
	uint64_t value;       /* varint, fixed32, fixed64 */
	const uint8_t *bytes; /* length-delimited: borrowed from the input */
	size_t length;
};

struct protobuf_reader protobuf_reader_of(const void *bytes, size_t length);
/* The next field, or false at the end (then look at reader->corrupt). */
bool protobuf_next(struct protobuf_reader *reader, struct protobuf_field *field);
/* Copy of a bytes field as a string (free()); NULL when it holds a NUL or is no bytes field. */
char *protobuf_field_string(const struct protobuf_field *field);

enum { PROTOBUF_VARINT_MAXIMUM = 10 }; /* bytes of the longest */

/* Writes into room for PROTOBUF_VARINT_MAXIMUM bytes; where the next byte belongs. */
static inline char *protobuf_place_varint(char *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (char)(value | 0x80);
	*at++ = (char)value;
	return at;
}

void protobuf_put_varint(struct buffer *out, uint64_t value);                                   /* bare, no tag */
void protobuf_put_unsigned(struct buffer *out, uint32_t number, uint64_t value);                /* nothing for 0 */
void protobuf_put_signed(struct buffer *out, uint32_t number, int64_t value);                   /* int32, int64, enum; nothing for 0 */
void protobuf_put_boolean(struct buffer *out, uint32_t number, bool value);                     /* nothing for false */
void protobuf_put_bytes(struct buffer *out, uint32_t number, const void *bytes, size_t length); /* nothing for length 0 */
void protobuf_put_string(struct buffer *out, uint32_t number, const char *text);                /* nothing for NULL and "" */
void protobuf_put_message(struct buffer *out, uint32_t number, const struct buffer *message);   /* also when empty: presence counts */
