/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/etcd_encode.h"

#include <string.h>

#include "grpc/protobuf.h"

enum { TAG_BYTES = 2, WATCH_EVENTS = 11, NUMBERS_MAXIMUM = 5 * (1 + PROTOBUF_VARINT_MAXIMUM) /* of a tag and a number each */ };

static void put_tag(struct buffer *out, uint32_t number)
{
	protobuf_put_varint(out, number << 3 | TAG_BYTES);
}

static size_t varint_size(uint64_t value)
{
	size_t size = 1;

	for (; value >= 0x80; value >>= 7)
		size++;
	return size;
}

static size_t number_size(int64_t value)
{
	return value != 0 ? 1 + varint_size((uint64_t)value) : 0;
}

static size_t bytes_size(size_t length)
{
	return length != 0 ? 1 + varint_size(length) + length : 0;
}

void etcd_encode_header(struct buffer *out, const struct etcd_header *header)
{
	size_t size = number_size((int64_t)header->cluster_id) + number_size((int64_t)header->member_id) + number_size(header->revision) +
	              number_size((int64_t)header->raft_term);

	put_tag(out, 1);
	protobuf_put_varint(out, size);
	protobuf_put_unsigned(out, 1, header->cluster_id);
	protobuf_put_unsigned(out, 2, header->member_id);
	protobuf_put_signed(out, 3, header->revision);
	protobuf_put_unsigned(out, 4, header->raft_term);
}

size_t etcd_key_value_size(const struct key_value *item)
{
	return bytes_size(item->key.length) + number_size(item->create_revision) + number_size(item->mod_revision) +
	       number_size(item->version) + bytes_size(blob_bytes(item->value).length) + number_size(item->lease);
}

static char *place_number(char *at, unsigned number, int64_t value)
{
	if (value == 0)
		return at;
	*at++ = (char)(number << 3);
	return protobuf_place_varint(at, (uint64_t)value);
}

static char *place_length(char *at, unsigned number, size_t length)
{
	if (length == 0)
		return at;
	*at++ = (char)(number << 3 | TAG_BYTES);
	return protobuf_place_varint(at, length);
}

/* Lists are long and made of these: their room is taken once, not byte by byte. */
static void put_before_value(struct buffer *out, const struct key_value *item)
{
	char *start = buffer_reserve(out, item->key.length + NUMBERS_MAXIMUM), *at = start;

	if (start == NULL)
		return;
	at = place_length(at, 1, item->key.length);
	if (item->key.length > 0)
		memcpy(at, item->key.data, item->key.length);
	at += item->key.length;
	at = place_number(at, 2, item->create_revision);
	at = place_number(at, 3, item->mod_revision);
	at = place_number(at, 4, item->version);
	at = place_length(at, 5, blob_bytes(item->value).length);
	*at = '\0';
	out->length += (size_t)(at - start);
}

void etcd_encode_before_value(struct buffer *out, uint32_t number, const struct key_value *item)
{
	put_tag(out, number);
	protobuf_put_varint(out, etcd_key_value_size(item));
	put_before_value(out, item);
}

void etcd_encode_after_value(struct buffer *out, const struct key_value *item)
{
	protobuf_put_signed(out, 6, item->lease);
}

void etcd_encode_key_value(struct buffer *out, const struct key_value *item)
{
	struct bytes value = blob_bytes(item->value);

	put_before_value(out, item);
	(void)buffer_append(out, value.data, value.length);
	etcd_encode_after_value(out, item);
}

void etcd_encode_element(struct buffer *out, uint32_t number, const struct key_value *item)
{
	put_tag(out, number);
	protobuf_put_varint(out, etcd_key_value_size(item));
	etcd_encode_key_value(out, item);
}

void etcd_encode_range(struct buffer *out, const struct etcd_header *header, const struct range_result *result)
{
	size_t size = 64;

	for (size_t i = 0; i < result->count; i++)
		size += etcd_key_value_size(&result->items[i]) + 8;
	(void)buffer_reserve(out, size);
	etcd_encode_header(out, header);
	for (size_t i = 0; i < result->count; i++)
		etcd_encode_element(out, 2, &result->items[i]);
	etcd_encode_range_end(out, result);
}

void etcd_encode_range_end(struct buffer *out, const struct range_result *result)
{
	protobuf_put_boolean(out, 3, result->more);
	protobuf_put_signed(out, 4, result->total);
}

void etcd_encode_put(struct buffer *out, const struct etcd_header *header, const struct operation_result *result)
{
	etcd_encode_header(out, header);
	if (result->has_previous)
		etcd_encode_element(out, 2, &result->previous);
}

void etcd_encode_delete(struct buffer *out, const struct etcd_header *header, const struct operation_result *result)
{
	etcd_encode_header(out, header);
	protobuf_put_signed(out, 2, result->deleted);
	for (size_t i = 0; i < result->range.count; i++)
		etcd_encode_element(out, 3, &result->range.items[i]);
}

/* One answer inside a transaction's: its header tells the revision only. */
static void put_nested(struct buffer *out, const struct operation_result *result)
{
	struct etcd_header header = { .revision = result->revision };
	struct buffer inner BUFFER_CLEANUP = { 0 };
	struct buffer arm BUFFER_CLEANUP = { 0 };
	uint32_t number = 0;

	switch (result->kind) {
	case OPERATION_RANGE:
		number = 1;
		etcd_encode_range(&inner, &header, &result->range);
		break;
	case OPERATION_PUT:
		number = 2;
		etcd_encode_put(&inner, &header, result);
		break;
	case OPERATION_DELETE:
		number = 3;
		etcd_encode_delete(&inner, &header, result);
		break;
	default:
		number = 4;
		etcd_encode_txn(&inner, &header, result);
		break;
	}
	protobuf_put_message(&arm, number, &inner);
	protobuf_put_message(out, 3, &arm);
}

void etcd_encode_txn(struct buffer *out, const struct etcd_header *header, const struct operation_result *result)
{
	etcd_encode_header(out, header);
	protobuf_put_boolean(out, 2, result->succeeded);
	for (uint32_t i = 0; i < result->result_count; i++)
		put_nested(out, &result->results[i]);
}

struct blob *etcd_encode_event(struct space_event *event, bool previous)
{
	struct blob **kept = previous ? &event->encoded_with_previous : &event->encoded;
	struct key_value item = {
		.key = space_event_key(event),
		.create_revision = event->create_revision,
		.mod_revision = event->mod_revision,
		.version = event->version,
		.lease = event->lease,
		.value = event->value,
	};
	struct buffer out BUFFER_CLEANUP = { 0 };
	struct buffer element BUFFER_CLEANUP = { 0 };

	if (*kept != NULL)
		return *kept;
	protobuf_put_signed(&out, 1, event->deleted ? 1 : 0);
	etcd_encode_element(&out, 2, &item);
	if (previous && event->previous_version != 0 && (event->previous_value != NULL || event->previous_length == 0)) {
		item.create_revision = event->previous_create_revision;
		item.mod_revision = event->previous_mod_revision;
		item.version = event->previous_version;
		item.lease = event->previous_lease;
		item.value = event->previous_value;
		etcd_encode_element(&out, 3, &item);
	}
	protobuf_put_message(&element, WATCH_EVENTS, &out);
	*kept = blob_new(element.data, element.length);
	return *kept;
}
