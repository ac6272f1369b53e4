/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/protobuf.h"

#include <string.h>

#include "base/strings.h"

struct protobuf_reader protobuf_reader_of(const void *bytes, size_t length)
{
	return (struct protobuf_reader){ .at = bytes, .end = length > 0 ? (const uint8_t *)bytes + length : bytes };
}

static bool corrupt(struct protobuf_reader *reader)
{
	reader->corrupt = true;
	reader->at = reader->end;
	return false;
}

static bool read_varint(struct protobuf_reader *reader, uint64_t *value)
{
	uint64_t result = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte;

		if (reader->at == reader->end)
			return corrupt(reader);
		byte = *reader->at++;
		if (shift == 63 && byte > 1)
			return corrupt(reader); /* more than 64 bits */
		result |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = result;
			return true;
		}
	}
	return corrupt(reader);
}

static bool read_fixed(struct protobuf_reader *reader, size_t size, uint64_t *value)
{
	if ((size_t)(reader->end - reader->at) < size)
		return corrupt(reader);
	*value = 0;
	for (size_t i = 0; i < size; i++)
		*value |= (uint64_t)reader->at[i] << (8 * i);
	reader->at += size;
	return true;
}

bool protobuf_next(struct protobuf_reader *reader, struct protobuf_field *field)
{
	uint64_t tag, length;

	if (reader->corrupt || reader->at == reader->end)
		return false;
	*field = (struct protobuf_field){ 0 };
	if (!read_varint(reader, &tag))
		return false;
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return corrupt(reader);
	field->number = (uint32_t)(tag >> 3);
	field->wire = (enum protobuf_wire)(tag & 7);
	switch (field->wire) {
	case PROTOBUF_VARINT:
		return read_varint(reader, &field->value);
	case PROTOBUF_FIXED64:
		return read_fixed(reader, 8, &field->value);
	case PROTOBUF_FIXED32:
		return read_fixed(reader, 4, &field->value);
	case PROTOBUF_BYTES:
		if (!read_varint(reader, &length))
			return false;
		if (length > (uint64_t)(reader->end - reader->at))
			return corrupt(reader);
		field->bytes = reader->at;
		field->length = (size_t)length;
		reader->at += length;
		return true;
	default:
		return corrupt(reader); /* groups are gone since proto3 */
	}
}

char *protobuf_field_string(const struct protobuf_field *field)
{
	if (field->wire != PROTOBUF_BYTES || (field->length > 0 && memchr(field->bytes, '\0', field->length) != NULL))
		return NULL;
	return string_ndup(field->length > 0 ? (const char *)field->bytes : "", field->length);
}

void protobuf_put_varint(struct buffer *out, uint64_t value)
{
	char bytes[PROTOBUF_VARINT_MAXIMUM];

	(void)buffer_append(out, bytes, (size_t)(protobuf_place_varint(bytes, value) - bytes));
}

static void put_tag(struct buffer *out, uint32_t number, enum protobuf_wire wire)
{
	protobuf_put_varint(out, (uint64_t)number << 3 | wire);
}

void protobuf_put_unsigned(struct buffer *out, uint32_t number, uint64_t value)
{
	if (value == 0)
		return;
	put_tag(out, number, PROTOBUF_VARINT);
	protobuf_put_varint(out, value);
}

void protobuf_put_signed(struct buffer *out, uint32_t number, int64_t value)
{
	protobuf_put_unsigned(out, number, (uint64_t)value);
}

void protobuf_put_boolean(struct buffer *out, uint32_t number, bool value)
{
	protobuf_put_unsigned(out, number, value ? 1 : 0);
}

void protobuf_put_bytes(struct buffer *out, uint32_t number, const void *bytes, size_t length)
{
	if (length == 0)
		return;
	put_tag(out, number, PROTOBUF_BYTES);
	protobuf_put_varint(out, length);
	(void)buffer_append(out, bytes, length);
}

void protobuf_put_string(struct buffer *out, uint32_t number, const char *text)
{
	if (text != NULL)
		protobuf_put_bytes(out, number, text, strlen(text));
}

void protobuf_put_message(struct buffer *out, uint32_t number, const struct buffer *message)
{
	put_tag(out, number, PROTOBUF_BYTES);
	protobuf_put_varint(out, message->length);
	if (message->length > 0)
		(void)buffer_append(out, message->data, message->length);
}
