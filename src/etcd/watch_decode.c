/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/watch_decode.h"

#include "grpc/protobuf.h"

enum { FILTER_NO_PUT = 0, FILTER_NO_DELETE = 1 };

static void add_filter(struct watch_create *create, uint64_t filter)
{
	create->no_put |= filter == FILTER_NO_PUT;
	create->no_delete |= filter == FILTER_NO_DELETE;
}

/* Packed or one by one: both are legal for a repeated enum. */
static bool decode_filters(const struct protobuf_field *field, struct watch_create *create)
{
	const uint8_t *at = field->bytes, *end = field->bytes + field->length;

	if (field->wire == PROTOBUF_VARINT) {
		add_filter(create, field->value);
		return true;
	}
	for (; at < end; at++) {
		if (*at & 0x80)
			return false; /* no filter has so large a number */
		add_filter(create, *at);
	}
	return field->wire == PROTOBUF_BYTES;
}

static bool decode_create(const struct protobuf_field *message, struct watch_create *create)
{
	struct protobuf_reader reader = protobuf_reader_of(message->bytes, message->length);
	struct protobuf_field field;

	*create = (struct watch_create){ .key = { "", 0 }, .range_end = { "", 0 } };
	while (protobuf_next(&reader, &field)) {
		if (field.number == 5) {
			if (!decode_filters(&field, create))
				return false;
			continue;
		}
		if (field.number <= 2 ? field.wire != PROTOBUF_BYTES : field.number <= 8 && field.wire != PROTOBUF_VARINT)
			return false;
		switch (field.number) {
		case 1:
			create->key = (struct bytes){ (const char *)field.bytes, field.length };
			break;
		case 2:
			create->range_end = (struct bytes){ (const char *)field.bytes, field.length };
			break;
		case 3:
			create->start_revision = (int64_t)field.value;
			break;
		case 4:
			create->progress_notify = field.value != 0;
			break;
		case 6:
			create->previous = field.value != 0;
			break;
		case 7:
			create->id = (int64_t)field.value;
			break;
		case 8:
			create->fragment = field.value != 0;
			break;
		default:
			break;
		}
	}
	if (create->key.length == 0)
		create->key = (struct bytes){ "\0", 1 };
	return !reader.corrupt;
}

static bool decode_cancel(const struct protobuf_field *message, int64_t *id)
{
	struct protobuf_reader reader = protobuf_reader_of(message->bytes, message->length);
	struct protobuf_field field;

	*id = 0;
	while (protobuf_next(&reader, &field)) {
		if (field.number != 1)
			continue;
		if (field.wire != PROTOBUF_VARINT)
			return false;
		*id = (int64_t)field.value;
	}
	return !reader.corrupt;
}

bool watch_decode(const char *bytes, size_t length, struct watch_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct watch_request){ .kind = WATCH_NOTHING };
	while (protobuf_next(&reader, &field)) {
		if (field.number < 1 || field.number > 3)
			continue;
		if (field.wire != PROTOBUF_BYTES)
			return false;
		request->kind = (enum watch_request_kind)field.number; /* the last arm of the oneof wins */
		if (field.number == 1 && !decode_create(&field, &request->create))
			return false;
		if (field.number == 2 && !decode_cancel(&field, &request->cancel_id))
			return false;
	}
	return !reader.corrupt;
}
