/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV.RangeStream: a range in chunks, all of one revision; header, more and count are in the last one only. The next chunk is read when the client
 * has taken most of what was sent, so a large list costs no more memory than a small one.
 */
#include <stdlib.h>

#include "etcd/etcd_int.h"
#include "etcd/kv_check.h"
#include "etcd/kv_decode.h"
#include "etcd/range_stream.h"
#include "grpc/protobuf.h"

enum { FIRST_CHUNK = 10, CHUNK_MAXIMUM = 100000 };

struct range_stream {
	struct etcd_server *server;
	struct buffer key, range_end; /* what is left */
	struct range_request request;
	int64_t header_revision, sent, left; /* left: of the client's limit */
	int64_t chunk;
};

static void send_chunk(struct grpc_call *call, const struct buffer *response)
{
	struct buffer message BUFFER_CLEANUP = { 0 };

	protobuf_put_message(&message, 1, response);
	grpc_call_send(call, message.data, message.length);
}

/* Chunks grow while they are small against the largest request and shrink when they pass it. */
static int64_t next_chunk(int64_t chunk, size_t bytes, size_t limit)
{
	if (bytes > limit)
		return chunk > 1 ? chunk / 2 : 1;
	return bytes * 2 <= limit && chunk * 2 <= CHUNK_MAXIMUM ? chunk * 2 : chunk;
}

static const struct etcd_error *read_chunk(struct range_stream *stream, struct arena *arena, struct range_result *result)
{
	stream->request.key = (struct bytes){ stream->key.data, stream->key.length };
	stream->request.range_end = (struct bytes){ stream->range_end.data, stream->range_end.length };
	stream->request.limit = stream->chunk < stream->left ? stream->chunk : stream->left;
	return etcd_error_of(space_range(stream->server->space, &stream->request, arena, result));
}

static void move_on(struct range_stream *stream, const struct range_result *result)
{
	struct bytes last = result->items[result->count - 1].key;

	buffer_clear(&stream->key);
	(void)buffer_append(&stream->key, last.data, last.length);
	(void)buffer_append_char(&stream->key, '\0');
}

/* True while there is more to send. */
static bool send_next(struct grpc_call *call, struct range_stream *stream)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct buffer response BUFFER_CLEANUP = { 0 };
	const struct etcd_error *error;
	struct range_result result;
	bool done;

	error = read_chunk(stream, arena, &result);
	if (error != NULL) {
		etcd_refuse(call, error);
		return false;
	}
	stream->sent += (int64_t)result.count;
	stream->left -= (int64_t)result.count;
	done = !result.more || stream->left == 0;
	if (done) {
		struct etcd_header header = etcd_header(stream->server, stream->header_revision);

		etcd_encode_header(&response, &header);
	}
	for (size_t i = 0; i < result.count; i++)
		etcd_encode_element(&response, 2, &result.items[i]);
	if (done) {
		protobuf_put_boolean(&response, 3, result.more);
		protobuf_put_signed(&response, 4, stream->sent + result.total - (int64_t)result.count);
	}
	send_chunk(call, &response);
	if (done) {
		grpc_call_finish(call, 0, NULL);
		return false;
	}
	stream->chunk = next_chunk(stream->chunk, response.length, stream->server->options.maximum_request_bytes);
	move_on(stream, &result);
	return true;
}

void range_stream_drained(struct grpc_call *call, void *argument)
{
	struct range_stream *stream = grpc_call_data(call);

	while (stream != NULL && grpc_call_queued(call) <= GRPC_CALL_QUEUE && send_next(call, stream))
		;
}

static void count_only(struct grpc_call *call, struct etcd_server *server, const struct range_request *request)
{
	struct etcd_header header = etcd_header(server, space_visible_revision(server->space));
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct buffer response BUFFER_CLEANUP = { 0 };
	const struct etcd_error *error;
	struct range_result result;

	error = etcd_error_of(space_range(server->space, request, arena, &result));
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	etcd_encode_range(&response, &header, &result);
	send_chunk(call, &response);
	grpc_call_finish(call, 0, NULL);
}

static const struct etcd_error *check(const struct range_request *request)
{
	static const struct etcd_error sorted = { 12, "RangeStream does not support custom sort orders" };
	static const struct etcd_error filters = { 12, "RangeStream does not support revision filters" };
	const struct etcd_error *error = kv_check_range(request);

	if (error != NULL)
		return error;
	if (request->sort_order != SORT_NONE && (request->sort_order != SORT_ASCEND || request->sort_target != SORT_KEY))
		return &sorted;
	if (request->min_mod_revision != 0 || request->max_mod_revision != 0 || request->min_create_revision != 0 ||
	    request->max_create_revision != 0)
		return &filters;
	return NULL;
}

void range_stream_serve(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	const struct etcd_error *error;
	struct range_request request;
	struct range_stream *stream;
	const char *user;

	error = kv_decode_range(bytes, length, &request) ? check(&request) : &etcd_error_MALFORMED;
	if (error == NULL)
		error = etcd_user(server, call, &user);
	if (error == NULL)
		error = auth_check_range(server->auth, user, request.key, request.range_end);
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	if (request.count_only) {
		count_only(call, server, &request);
		return;
	}
	stream = calloc(1, sizeof(*stream));
	if (stream == NULL)
		abort();
	stream->server = server;
	(void)buffer_append(&stream->key, request.key.data, request.key.length);
	(void)buffer_append(&stream->range_end, request.range_end.data, request.range_end.length);
	stream->request = (struct range_request){ .keys_only = request.keys_only, .revision = request.revision };
	stream->header_revision = space_visible_revision(server->space);
	if (stream->request.revision <= 0)
		stream->request.revision = stream->header_revision;
	stream->left = request.limit > 0 ? request.limit : INT64_MAX;
	stream->chunk = FIRST_CHUNK;
	grpc_call_set_data(call, stream);
	range_stream_drained(call, server);
}

void range_stream_ended(struct grpc_call *call, void *argument)
{
	struct range_stream *stream = grpc_call_data(call);

	if (stream == NULL)
		return;
	buffer_free(&stream->key);
	buffer_free(&stream->range_end);
	grpc_call_set_data(call, NULL);
	free(stream);
}
