/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/kv_decode.h"

#include "grpc/protobuf.h"

static struct bytes field_bytes(const struct protobuf_field *field)
{
	return (struct bytes){ (const char *)field->bytes, field->length };
}

static bool is_bytes(const struct protobuf_field *field)
{
	return field->wire == PROTOBUF_BYTES;
}

bool kv_decode_range(const char *bytes, size_t length, struct range_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct range_request){ .key = { "", 0 }, .range_end = { "", 0 } };
	while (protobuf_next(&reader, &field)) {
		if (field.number <= 2 ? !is_bytes(&field) : field.number <= 13 && field.wire != PROTOBUF_VARINT)
			return false;
		switch (field.number) {
		case 1:
			request->key = field_bytes(&field);
			break;
		case 2:
			request->range_end = field_bytes(&field);
			break;
		case 3:
			request->limit = (int64_t)field.value;
			break;
		case 4:
			request->revision = (int64_t)field.value;
			break;
		case 5:
			request->sort_order = (enum sort_order)field.value;
			break;
		case 6:
			request->sort_target = (enum sort_target)field.value;
			break;
		case 8:
			request->keys_only = field.value != 0;
			break;
		case 9:
			request->count_only = field.value != 0;
			break;
		case 10:
			request->min_mod_revision = (int64_t)field.value;
			break;
		case 11:
			request->max_mod_revision = (int64_t)field.value;
			break;
		case 12:
			request->min_create_revision = (int64_t)field.value;
			break;
		case 13:
			request->max_create_revision = (int64_t)field.value;
			break;
		default: /* 7 is `serializable`: every answer here is linearizable */
			break;
		}
	}
	return !reader.corrupt;
}

bool kv_decode_put(const char *bytes, size_t length, struct put_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct put_request){ .key = { "", 0 }, .value = { "", 0 } };
	while (protobuf_next(&reader, &field)) {
		if (field.number <= 2 ? !is_bytes(&field) : field.number <= 6 && field.wire != PROTOBUF_VARINT)
			return false;
		switch (field.number) {
		case 1:
			request->key = field_bytes(&field);
			break;
		case 2:
			request->value = field_bytes(&field);
			break;
		case 3:
			request->lease = (int64_t)field.value;
			break;
		case 4:
			request->previous = field.value != 0;
			break;
		case 5:
			request->ignore_value = field.value != 0;
			break;
		case 6:
			request->ignore_lease = field.value != 0;
			break;
		default:
			break;
		}
	}
	return !reader.corrupt;
}

bool kv_decode_delete(const char *bytes, size_t length, struct delete_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct delete_request){ .key = { "", 0 }, .range_end = { "", 0 } };
	while (protobuf_next(&reader, &field)) {
		if (field.number <= 2 ? !is_bytes(&field) : field.number == 3 && field.wire != PROTOBUF_VARINT)
			return false;
		if (field.number == 1)
			request->key = field_bytes(&field);
		else if (field.number == 2)
			request->range_end = field_bytes(&field);
		else if (field.number == 3)
			request->previous = field.value != 0;
	}
	return !reader.corrupt;
}

bool kv_decode_compact(const char *bytes, size_t length, int64_t *revision, bool *physical)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*revision = 0;
	*physical = false;
	while (protobuf_next(&reader, &field)) {
		if (field.number <= 2 && field.wire != PROTOBUF_VARINT)
			return false;
		if (field.number == 1)
			*revision = (int64_t)field.value;
		else if (field.number == 2)
			*physical = field.value != 0;
	}
	return !reader.corrupt;
}

/* What is compared with is one of five fields, of which the last wins. One that does not belong to the target counts as its zero value. */
static void choose_union(struct compare_request *compare, const struct protobuf_field *chosen)
{
	static const uint32_t fields[] = {
		[COMPARE_VERSION] = 4, [COMPARE_CREATE] = 5, [COMPARE_MOD] = 6, [COMPARE_VALUE] = 7, [COMPARE_LEASE] = 8
	};

	if ((unsigned)compare->target > COMPARE_LEASE || fields[compare->target] != chosen->number)
		return;
	if (compare->target == COMPARE_VALUE)
		compare->value = field_bytes(chosen);
	else
		compare->number = (int64_t)chosen->value;
}

static bool decode_compare(const struct protobuf_field *message, struct compare_request *compare)
{
	struct protobuf_reader reader = protobuf_reader_of(message->bytes, message->length);
	struct protobuf_field field, chosen = { .number = 0 };

	*compare = (struct compare_request){ .key = { "", 0 }, .range_end = { "", 0 }, .value = { "", 0 } };
	while (protobuf_next(&reader, &field)) {
		bool text = field.number == 3 || field.number == 7 || field.number == 64;

		if (text ? !is_bytes(&field) : field.number <= 8 && field.wire != PROTOBUF_VARINT)
			return false;
		switch (field.number) {
		case 1:
			compare->result = (enum compare_result)field.value;
			break;
		case 2:
			compare->target = (enum compare_target)field.value;
			break;
		case 3:
			compare->key = field_bytes(&field);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
		case 8:
			chosen = field;
			break;
		case 64:
			compare->range_end = field_bytes(&field);
			break;
		default:
			break;
		}
	}
	choose_union(compare, &chosen);
	return !reader.corrupt;
}

struct decoding {
	struct arena *arena;
	unsigned depth, operations;
};

static bool decode_txn(struct decoding *decoding, const void *bytes, size_t length, struct txn_request *request);

static bool decode_operation(struct decoding *decoding, const struct protobuf_field *message, struct operation *operation)
{
	struct protobuf_reader reader = protobuf_reader_of(message->bytes, message->length);
	struct protobuf_field field;

	*operation = (struct operation){ .kind = OPERATION_NONE };
	while (protobuf_next(&reader, &field)) {
		const char *inner = (const char *)field.bytes;
		bool good = true;

		if (field.number >= 1 && field.number <= 4 && !is_bytes(&field))
			return false;
		switch (field.number) { /* the last arm of the oneof wins */
		case 1:
			operation->kind = OPERATION_RANGE;
			good = kv_decode_range(inner, field.length, &operation->range);
			break;
		case 2:
			operation->kind = OPERATION_PUT;
			good = kv_decode_put(inner, field.length, &operation->put);
			break;
		case 3:
			operation->kind = OPERATION_DELETE;
			good = kv_decode_delete(inner, field.length, &operation->delete);
			break;
		case 4:
			operation->kind = OPERATION_TXN;
			good = decode_txn(decoding, field.bytes, field.length, &operation->txn);
			break;
		default:
			break;
		}
		if (!good)
			return false;
	}
	return !reader.corrupt;
}

static bool count_fields(struct decoding *decoding, const void *bytes, size_t length, uint32_t counts[4])
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	while (protobuf_next(&reader, &field)) {
		if (field.number < 1 || field.number > 3)
			continue;
		if (!is_bytes(&field) || ++decoding->operations > KV_OPERATIONS_PARSED_MAXIMUM)
			return false;
		counts[field.number]++;
	}
	return !reader.corrupt;
}

static bool decode_txn(struct decoding *decoding, const void *bytes, size_t length, struct txn_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;
	uint32_t counts[4] = { 0 };
	bool good = true;

	*request = (struct txn_request){ 0 };
	if (++decoding->depth > KV_NESTING_MAXIMUM || !count_fields(decoding, bytes, length, counts))
		return false;
	request->compares = arena_alloc(decoding->arena, counts[1] * sizeof(*request->compares) + 1);
	request->success = arena_alloc(decoding->arena, counts[2] * sizeof(*request->success) + 1);
	request->failure = arena_alloc(decoding->arena, counts[3] * sizeof(*request->failure) + 1);
	while (good && protobuf_next(&reader, &field)) {
		if (field.number == 1)
			good = decode_compare(&field, &request->compares[request->compare_count++]);
		else if (field.number == 2)
			good = decode_operation(decoding, &field, &request->success[request->success_count++]);
		else if (field.number == 3)
			good = decode_operation(decoding, &field, &request->failure[request->failure_count++]);
	}
	decoding->depth--;
	return good && !reader.corrupt;
}

bool kv_decode_txn(const char *bytes, size_t length, struct arena *arena, struct txn_request *request)
{
	struct decoding decoding = { .arena = arena };

	return decode_txn(&decoding, bytes, length, request);
}
