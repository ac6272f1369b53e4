/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "etcd/admin.h"
#include "etcd/answer_parts.h"
#include "etcd/etcd_int.h"
#include "etcd/kv_auth.h"
#include "etcd/kv_check.h"
#include "etcd/kv_decode.h"
#include "etcd/range_stream.h"

enum { ELEMENT_NUMBERS = 32 }; /* tags, lengths and revisions of an element, about */

/* Long ones leave without a copy of their values. */
static void answer_range(struct grpc_call *call, const struct etcd_header *header, const struct range_result *result)
{
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct answer_parts *parts;
	size_t text = 0, values = 0;

	for (size_t i = 0; i < result->count; i++) {
		text += result->items[i].key.length + ELEMENT_NUMBERS;
		values += blob_bytes(result->items[i].value).length;
	}
	if (text + values < ANSWER_PARTS_WORTH) {
		etcd_encode_range(&answer, header, result);
		etcd_answer(call, &answer);
		return;
	}
	parts = answer_parts_new(result->count, text);
	etcd_encode_header(answer_parts_text(parts), header);
	for (size_t i = 0; i < result->count; i++)
		answer_parts_element(parts, 2, &result->items[i]);
	etcd_encode_range_end(answer_parts_text(parts), result);
	answer_parts_send(parts, call);
	grpc_call_finish(call, 0, NULL);
}

static void serve_range(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct arena *arena ARENA_CLEANUP = arena_new();
	const struct etcd_error *error;
	struct range_request request;
	struct range_result result;
	struct etcd_header header;
	const char *user;

	if (!kv_decode_range(bytes, length, &request)) {
		etcd_refuse(call, &etcd_error_MALFORMED);
		return;
	}
	error = kv_check_range(&request);
	if (error == NULL)
		error = etcd_user(server, call, &user);
	if (error == NULL)
		error = auth_check_range(server->auth, user, request.key, request.range_end);
	if (error == NULL)
		error = etcd_error_of(space_range(server->space, &request, arena, &result));
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	header = etcd_header(server, space_visible_revision(server->space));
	answer_range(call, &header, &result);
}

/* The rest of every change: permissions, quota, the state itself; the answer is held until the change is durable. */
static void serve_change(struct etcd_server *server, struct grpc_call *call, const struct operation *operation, struct arena *arena)
{
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct operation_result result;
	const struct etcd_error *error;
	struct etcd_header header;
	uint64_t sequence = 0;
	int64_t revision = 0;
	const char *user;

	error = etcd_user(server, call, &user);
	if (error == NULL)
		error = kv_auth_check(server->auth, user, operation, server->space);
	if (error == NULL && server->corrupt_alarm && kv_writes(operation))
		error = &etcd_error_CORRUPT;
	if (error == NULL && kv_grows(operation))
		error = etcd_check_growth(server);
	if (error == NULL)
		error = etcd_error_of(space_change(server->space, operation, arena, &result, &revision, &sequence));
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	header = etcd_header(server, operation->kind == OPERATION_TXN ? revision : result.revision);
	if (operation->kind == OPERATION_PUT)
		etcd_encode_put(&answer, &header, &result);
	else if (operation->kind == OPERATION_DELETE)
		etcd_encode_delete(&answer, &header, &result);
	else
		etcd_encode_txn(&answer, &header, &result);
	etcd_answer_when_durable(server, call, sequence, &answer);
}

static bool too_large(const struct etcd_server *server, size_t length)
{
	return length > server->options.maximum_request_bytes;
}

/* A change that is a single operation: `error` is what its form is refused for. */
static void serve_single(struct etcd_server *server, struct grpc_call *call, const struct operation *operation, size_t length,
                         const struct etcd_error *error)
{
	if (error == NULL && too_large(server, length))
		error = &etcd_error_REQUEST_TOO_LARGE;
	if (error != NULL) {
		etcd_refuse(call, error);
	} else {
		struct arena *arena ARENA_CLEANUP = arena_new();

		serve_change(server, call, operation, arena);
	}
}

static void serve_put(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct operation operation = { .kind = OPERATION_PUT };
	bool good = kv_decode_put(bytes, length, &operation.put);

	serve_single(argument, call, &operation, length, good ? kv_check_put(&operation.put) : &etcd_error_MALFORMED);
}

static void serve_delete(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct operation operation = { .kind = OPERATION_DELETE };
	bool good = kv_decode_delete(bytes, length, &operation.delete);

	serve_single(argument, call, &operation, length, good ? kv_check_delete(&operation.delete) : &etcd_error_MALFORMED);
}

static void serve_txn(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct operation operation = { .kind = OPERATION_TXN };
	struct arena *arena ARENA_CLEANUP = arena_new();
	const struct etcd_error *error = NULL;

	if (!kv_decode_txn(bytes, length, arena, &operation.txn))
		error = &etcd_error_MALFORMED;
	if (error == NULL)
		error = kv_check_txn(&operation.txn, server->options.maximum_operations, arena);
	if (error == NULL && too_large(server, length) && kv_writes(&operation))
		error = &etcd_error_REQUEST_TOO_LARGE;
	if (error != NULL)
		etcd_refuse(call, error);
	else
		serve_change(server, call, &operation, arena);
}

static void serve_compact(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	const struct etcd_error *error = NULL;
	struct etcd_header header;
	uint64_t sequence = 0;
	int64_t revision;
	bool physical, answered = false;

	if (!kv_decode_compact(bytes, length, &revision, &physical))
		error = &etcd_error_MALFORMED;
	if (error == NULL)
		error = etcd_require_admin(server, call);
	if (error == NULL && server->corrupt_alarm)
		error = &etcd_error_CORRUPT;
	if (error == NULL)
		error = etcd_error_of(compaction_run(server, call, revision, physical, &sequence, &answered));
	if (error != NULL)
		etcd_refuse(call, error);
	if (error != NULL || answered)
		return;
	header = etcd_header(server, space_visible_revision(server->space));
	etcd_encode_header(&answer, &header);
	etcd_answer_when_durable(server, call, sequence, &answer);
}

static void compact_ended(struct grpc_call *call, void *argument)
{
	admin_call_ended(((struct etcd_server *)argument)->admin, call);
	etcd_held_ended(call, argument);
}

const struct grpc_method etcd_kv_methods[] = {
	{ .path = "/etcdserverpb.KV/Range", .message = serve_range },
	{ .path = "/etcdserverpb.KV/RangeStream",
	  .message = range_stream_serve,
	  .drained = range_stream_drained,
	  .ended = range_stream_ended },
	{ .path = "/etcdserverpb.KV/Put", .message = serve_put, .ended = etcd_held_ended },
	{ .path = "/etcdserverpb.KV/DeleteRange", .message = serve_delete, .ended = etcd_held_ended },
	{ .path = "/etcdserverpb.KV/Txn", .message = serve_txn, .ended = etcd_held_ended },
	{ .path = "/etcdserverpb.KV/Compact", .message = serve_compact, .ended = compact_ended },
};
const size_t etcd_kv_method_count = sizeof(etcd_kv_methods) / sizeof(etcd_kv_methods[0]);
