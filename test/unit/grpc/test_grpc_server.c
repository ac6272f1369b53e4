/* SPDX-License-Identifier: Apache-2.0 */
/* The server against a client that controls every frame, and against our own client. Methods are named for what they do. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "grpc/grpc_server.h"
#include "grpc/grpc_status.h"
#include "io/cancel.h"
#include "raw_client.h"

enum { MAXIMUM_MESSAGE = 4 * 1024 * 1024, FLOOD = 8 * 1024 * 1024, FLOOD_MESSAGE = 32 * 1024 };

struct fixture {
	struct loop *loop;
	struct grpc_server *server;
	atomic_uint begun, ended, drained, half_closed;
	atomic_size_t highest_queue;
	struct grpc_call *held; /* on the loop */
	uint16_t port;
};

static struct fixture *fixture_of(void **state)
{
	return *state;
}

static void begin(struct grpc_call *call, struct fixture *fixture)
{
	if (grpc_call_data(call) == NULL)
		atomic_fetch_add(&fixture->begun, 1);
	grpc_call_set_data(call, fixture);
}

static void started(struct grpc_call *call, void *argument)
{
	begin(call, argument);
	grpc_call_begin(call);
}

static void ended(struct grpc_call *call, void *argument)
{
	struct fixture *fixture = argument;

	assert_ptr_equal(grpc_call_data(call), fixture);
	atomic_fetch_add(&fixture->ended, 1);
	if (fixture->held == call)
		fixture->held = NULL;
}

static void echo(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	begin(call, argument);
	grpc_call_send(call, bytes, length);
	grpc_call_finish(call, GRPC_OK, NULL);
}

static void deny(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	begin(call, argument);
	grpc_call_finish(call, GRPC_FAILED_PRECONDITION,
	                 "b\xc3\xa4"
	                 "d 100%\n");
}

static void stall(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	begin(call, argument);
}

static void describe(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	const struct grpc_identity *identity = grpc_call_identity(call);
	const char *token = grpc_call_metadata(call, "token");
	uint64_t deadline = grpc_call_deadline(call);
	struct buffer text = { 0 };

	begin(call, argument);
	(void)buffer_printf(&text, "%d %s %s %s", identity->verified, identity->common_name, token ? token : "-",
	                    deadline == UINT64_MAX         ? "never"
	                    : clock_until(deadline) > 1000 ? "later"
	                                                   : "soon");
	grpc_call_send_buffer(call, &text);
	grpc_call_finish(call, GRPC_OK, NULL);
}

static void chat(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	grpc_call_send_begin(call, length);
	grpc_call_send_part(call, bytes, length / 2);
	grpc_call_send_part(call, bytes + length / 2, length - length / 2);
}

static void chat_half_closed(struct grpc_call *call, void *argument)
{
	atomic_fetch_add(&((struct fixture *)argument)->half_closed, 1);
	grpc_call_finish(call, GRPC_OK, NULL);
}

/* The first message is echoed and holds back the others. */
static void hold(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	chat(call, bytes, length, argument);
	((struct fixture *)argument)->held = call;
	grpc_call_hold(call, true);
}

struct flood {
	struct fixture *fixture;
	size_t left;
};

static void pour(struct grpc_call *call)
{
	static const char message[FLOOD_MESSAGE] = { 'x' };
	struct flood *flood = grpc_call_data(call);
	size_t queued;

	while (flood->left > 0 && grpc_call_queued(call) < GRPC_CALL_QUEUE) {
		grpc_call_send(call, message, sizeof(message));
		flood->left -= sizeof(message);
		queued = grpc_call_queued(call);
		if (queued > atomic_load(&flood->fixture->highest_queue))
			atomic_store(&flood->fixture->highest_queue, queued);
	}
	if (flood->left == 0)
		grpc_call_finish(call, GRPC_OK, NULL);
}

static void flood(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct flood *data = calloc(1, sizeof(*data));

	data->fixture = argument;
	data->left = FLOOD;
	grpc_call_set_data(call, data);
	pour(call);
}

static void flood_drained(struct grpc_call *call, void *argument)
{
	atomic_fetch_add(&((struct fixture *)argument)->drained, 1);
	pour(call);
}

static void flood_ended(struct grpc_call *call, void *argument)
{
	free(grpc_call_data(call));
	atomic_fetch_add(&((struct fixture *)argument)->ended, 1);
}

static int plain(const char *path, const char *query, struct buffer *body, const char **content_type, void *argument)
{
	if (strcmp(path, "/version") != 0)
		return 404;
	*content_type = "application/json";
	(void)buffer_printf(body, "{\"query\":\"%s\"}", query);
	return 200;
}

static const struct grpc_method methods[] = {
	{ .path = "/test.Unary/Echo", .message = echo, .ended = ended },
	{ .path = "/test.Unary/Fail", .message = deny, .ended = ended },
	{ .path = "/test.Unary/Stall", .message = stall, .ended = ended },
	{ .path = "/test.Unary/Describe", .message = describe, .ended = ended },
	{ .path = "/test.Stream/Chat",
	  .message = chat,
	  .started = started,
	  .half_closed = chat_half_closed,
	  .ended = ended,
	  .streaming = true },
	{ .path = "/test.Stream/Hold",
	  .message = hold,
	  .started = started,
	  .half_closed = chat_half_closed,
	  .ended = ended,
	  .streaming = true },
	{ .path = "/test.Stream/Flood", .message = flood, .drained = flood_drained, .ended = flood_ended },
};

static struct fixture *fixture_new(struct grpc_server_options options)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct grpc_method mine[ARRAY_LENGTH(methods)];
	struct error err;

	(void)signal(SIGPIPE, SIG_IGN);
	memcpy(mine, methods, sizeof(methods));
	for (size_t i = 0; i < ARRAY_LENGTH(mine); i++)
		mine[i].argument = fixture;
	fixture->loop = loop_start("test", &err);
	options.loop = fixture->loop;
	options.methods = mine;
	options.method_count = ARRAY_LENGTH(mine);
	options.maximum_message = MAXIMUM_MESSAGE;
	options.http = plain;
	fixture->server = grpc_server_new(&options);
	assert_int_equal(grpc_server_listen(fixture->server, "127.0.0.1:0", NULL, &err), 0);
	fixture->port = grpc_server_port(fixture->server);
	return fixture;
}

/* Whatever a test did: every call that was begun has ended, once. */
static void fixture_free(struct fixture *fixture)
{
	grpc_server_free(fixture->server, 0);
	assert_int_equal(atomic_load(&fixture->begun), atomic_load(&fixture->ended));
	loop_stop(fixture->loop);
	free(fixture);
}

static int setup(void **state)
{
	*state = fixture_new((struct grpc_server_options){ 0 });
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static bool counted(atomic_uint *counter, unsigned wanted)
{
	uint64_t end = clock_monotonic_ms() + 5000;

	while (atomic_load(counter) != wanted && clock_monotonic_ms() < end)
		(void)cancel_sleep(NULL, 2, &(struct error){ 0 });
	return atomic_load(counter) == wanted;
}

static void assert_answer(const struct raw_stream *stream, int status, const char *message)
{
	assert_true(stream->closed);
	assert_int_equal(stream->grpc_status, status);
	assert_string_equal(stream->message, message);
}

static struct raw_stream *call_unary(struct raw_client *client, const char *path, const void *message, size_t length)
{
	struct raw_stream *stream = raw_open(client, path, NULL, NULL, NULL);

	raw_send_message(stream, client, message, length, true);
	assert_true(raw_run_stream(client, stream));
	return stream;
}

static void unary_calls_are_answered(void **state)
{
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *stream = call_unary(client, "/test.Unary/Echo", "hello", 5);
	const char *message;
	size_t length;

	assert_answer(stream, GRPC_OK, "");
	assert_int_equal(stream->http_status, 200);
	message = raw_message(stream, 0, &length);
	assert_non_null(message);
	assert_int_equal(length, 5);
	assert_memory_equal(message, "hello", 5);
	assert_null(raw_message(stream, 1, &length));
	stream = call_unary(client, "/test.Unary/Echo", "", 0);
	assert_answer(stream, GRPC_OK, "");
	assert_int_equal(stream->body.length, 5);
	stream = call_unary(client, "/test.Unary/Fail", "x", 1);
	assert_answer(stream, GRPC_FAILED_PRECONDITION, "b%C3%A4d 100%25%0A");
	assert_int_equal(stream->body.length, 0);
	raw_close(client);
}

static void metadata_and_deadlines_are_seen(void **state)
{
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *stream = raw_open(client, "/test.Unary/Describe", "30S", "token", "abc.1");
	size_t length;

	raw_send_message(stream, client, "", 0, true);
	assert_true(raw_run_stream(client, stream));
	assert_memory_equal(raw_message(stream, 0, &length), "0  abc.1 later", strlen("0  abc.1 later"));
	stream = call_unary(client, "/test.Unary/Describe", "", 0);
	assert_memory_equal(raw_message(stream, 0, &length), "0  - never", strlen("0  - never"));
	raw_close(client);
}

static void wrong_calls_are_named(void **state)
{
	static const struct {
		const char *path, *timeout, *name, *value, *bytes;
		size_t length;
		int http_status, status;
		const char *message;
	} rows[] = {
		{ "/test.Unary/Nothing", NULL, NULL, NULL, "\0\0\0\0\0", 5, 200, GRPC_UNIMPLEMENTED,
		  "unknown method Nothing for service test.Unary" },
		{ "/test.Una/Echo", NULL, NULL, NULL, "\0\0\0\0\0", 5, 200, GRPC_UNIMPLEMENTED, "unknown service test.Una" },
		{ "/test", NULL, NULL, NULL, "\0\0\0\0\0", 5, 200, GRPC_UNIMPLEMENTED, "malformed method name: \"/test\"" },
		{ "/test.Unary/Echo", "soon", NULL, NULL, "\0\0\0\0\0", 5, 400, GRPC_INTERNAL, "malformed grpc-timeout: \"soon\"" },
		{ "/test.Unary/Echo", NULL, "grpc-encoding", "gzip", "\1\0\0\0\0", 5, 200, GRPC_UNIMPLEMENTED,
		  "grpc: Decompressor is not installed for grpc-encoding \"gzip\"" },
		{ "/test.Unary/Echo", NULL, NULL, NULL, "\1\0\0\0\0", 5, 200, GRPC_INTERNAL,
		  "grpc: compressed flag set with identity or empty encoding" },
		{ "/test.Unary/Echo", NULL, NULL, NULL, "\0\0\x40\0\1x", 6, 200, GRPC_RESOURCE_EXHAUSTED,
		  "grpc: received message larger than max (4194305 vs. 4194304)" },
		{ "/test.Stream/Chat", NULL, NULL, NULL, "\0\xff\xff\xff\xffx", 6, 200, GRPC_RESOURCE_EXHAUSTED,
		  "grpc: received message larger than max (4294967295 vs. 4194304)" },
		{ "/test.Unary/Echo", NULL, NULL, NULL, "\0\0\0\0\2x", 6, 200, GRPC_INTERNAL, "grpc: the message is cut short" },
		{ "/test.Unary/Echo", NULL, NULL, NULL, "\0\0", 2, 200, GRPC_INTERNAL, "grpc: the message is cut short" },
		{ "/test.Unary/Echo", NULL, NULL, NULL, "", 0, 200, GRPC_INTERNAL, "grpc: the call ended without its message" },
		{ "/test.Unary/Echo", NULL, NULL, NULL, "\0\0\0\0\1x\0\0\0\0\1y", 12, 200, GRPC_INTERNAL,
		  "grpc: more than one message in a call that takes one" },
		{ "/test.Stream/Chat", NULL, NULL, NULL, "\0\0\0\0\2x", 6, 200, GRPC_INTERNAL, "grpc: the last message is cut short" },
		{ "/test.Unary/Stall", "0n", NULL, NULL, "\0\0\0\0\0", 5, 200, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded" },
	};
	struct raw_client *client = raw_connect(fixture_of(state)->port);

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct raw_stream *stream = raw_open(client, rows[i].path, rows[i].timeout, rows[i].name, rows[i].value);

		raw_send(stream, client, rows[i].bytes, rows[i].length, true);
		assert_true(raw_run_stream(client, stream));
		assert_answer(stream, rows[i].status, rows[i].message);
		assert_int_equal(stream->http_status, rows[i].http_status);
	}
	raw_close(client);
}

/* Refused at its first bytes: the rest is not waited for, and the connection goes on. */
static void oversized_is_refused_early(void **state)
{
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *stream = raw_open(client, "/test.Unary/Echo", NULL, NULL, NULL);

	raw_send(stream, client, "\0\x7f\0\0\0abc", 8, false);
	assert_true(raw_run_stream(client, stream));
	assert_answer(stream, GRPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max (2130706432 vs. 4194304)");
	assert_int_equal(stream->code, 0);
	assert_answer(call_unary(client, "/test.Unary/Echo", "x", 1), GRPC_OK, "");
	raw_close(client);
}

static void large_messages_pass_the_windows(void **state)
{
	static char bytes[MAXIMUM_MESSAGE];
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *streams[4];
	const char *message;
	size_t length;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31 + (i >> 12));
	for (unsigned i = 0; i < ARRAY_LENGTH(streams); i++) {
		streams[i] = raw_open(client, i % 2 ? "/test.Stream/Chat" : "/test.Unary/Echo", NULL, NULL, NULL);
		raw_send_message(streams[i], client, bytes, sizeof(bytes) - i, true);
	}
	for (unsigned i = 0; i < ARRAY_LENGTH(streams); i++) {
		assert_true(raw_run_stream(client, streams[i]));
		assert_answer(streams[i], GRPC_OK, "");
		message = raw_message(streams[i], 0, &length);
		assert_int_equal(length, sizeof(bytes) - i);
		assert_memory_equal(message, bytes, length);
	}
	raw_close(client);
}

static bool has_messages(const struct raw_client *client, const void *argument)
{
	const struct raw_stream *stream = argument;
	size_t length;

	return raw_message(stream, 2, &length) != NULL;
}

static bool has_headers(const struct raw_client *client, const void *argument)
{
	return ((const struct raw_stream *)argument)->headers;
}

static void streams_go_both_ways(void **state)
{
	static const char three[] = "\0\0\0\0\3one\0\0\0\0\0\0\0\0\0\5three";
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *stream = raw_open(client, "/test.Stream/Chat", NULL, NULL, NULL);
	size_t length;

	/* Headers come before anything was sent: clients of watches wait for them. */
	assert_true(raw_run(client, has_headers, stream, 5000));
	for (size_t i = 0; i < sizeof(three) - 1; i++) {
		raw_send(stream, client, three + i, 1, false);
		raw_idle(client, 0);
	}
	assert_true(raw_run(client, has_messages, stream, 5000));
	assert_memory_equal(raw_message(stream, 0, &length), "one", 3);
	assert_non_null(raw_message(stream, 1, &length));
	assert_int_equal(length, 0);
	assert_memory_equal(raw_message(stream, 2, &length), "three", 5);
	assert_false(stream->ended);
	raw_send(stream, client, three, sizeof(three) - 1, true);
	assert_true(raw_run_stream(client, stream));
	assert_answer(stream, GRPC_OK, "");
	assert_memory_equal(raw_message(stream, 5, &length), "three", 5);
	assert_int_equal(atomic_load(&fixture_of(state)->half_closed), 1);
	raw_close(client);
}

static void release(void *argument)
{
	struct fixture *fixture = argument;

	if (fixture->held != NULL)
		grpc_call_hold(fixture->held, false);
}

static void held_messages_wait(void **state)
{
	struct fixture *fixture = fixture_of(state);
	struct raw_client *client = raw_connect(fixture->port);
	struct raw_stream *stream = raw_open(client, "/test.Stream/Hold", NULL, NULL, NULL);
	size_t length;

	for (char i = '1'; i <= '3'; i++)
		raw_send_message(stream, client, &i, 1, i == '3');
	raw_idle(client, 100);
	assert_non_null(raw_message(stream, 0, &length));
	assert_null(raw_message(stream, 1, &length));
	loop_call(fixture->loop, release, fixture);
	raw_idle(client, 50);
	assert_non_null(raw_message(stream, 1, &length));
	assert_null(raw_message(stream, 2, &length));
	assert_false(stream->ended);
	loop_call(fixture->loop, release, fixture);
	raw_idle(client, 50);
	assert_non_null(raw_message(stream, 2, &length));
	loop_call(fixture->loop, release, fixture);
	assert_true(raw_run_stream(client, stream));
	assert_answer(stream, GRPC_OK, "");
	raw_close(client);
}

static void a_slow_reader_is_waited_for(void **state)
{
	struct fixture *fixture = fixture_of(state);
	struct raw_client *client = raw_connect(fixture->port);
	struct raw_stream *stream = raw_open(client, "/test.Stream/Flood", NULL, NULL, NULL), *other;
	size_t released = 0;

	client->hold_windows = true;
	raw_send_message(stream, client, "", 0, true);
	raw_idle(client, 200);
	assert_int_equal(stream->body.length, 65535); /* the window of the protocol's default */
	assert_int_equal(atomic_load(&fixture->drained), 0);
	/* A neighbour is not held up. */
	other = call_unary(client, "/test.Unary/Echo", "x", 1);
	assert_answer(other, GRPC_OK, "");
	for (uint64_t end = clock_monotonic_ms() + 20000; !stream->closed && clock_monotonic_ms() < end;) {
		raw_release(client, stream, stream->body.length - released);
		released = stream->body.length;
		raw_idle(client, 1);
	}
	assert_answer(stream, GRPC_OK, "");
	assert_int_equal(stream->body.length, FLOOD + FLOOD / FLOOD_MESSAGE * 5);
	assert_true(atomic_load(&fixture->highest_queue) <= GRPC_CALL_QUEUE + FLOOD_MESSAGE + 5);
	assert_true(atomic_load(&fixture->drained) > 10);
	atomic_fetch_add(&fixture->begun, 1);
	raw_close(client);
}

static bool all_sent(const struct raw_client *client, const void *argument)
{
	for (const struct raw_stream *stream = client->streams; stream != NULL; stream = stream->next)
		if (!stream->closed && stream->sent < stream->sending.length)
			return false;
	return true;
}

/* Each answer is as large as a message may be; together they pass what one connection may have queued. */
static void answers_nobody_takes_hold_back_calls(void **state)
{
	enum { CALLS = GRPC_CONNECTION_QUEUE / MAXIMUM_MESSAGE + 3 };
	static char bytes[MAXIMUM_MESSAGE];
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *streams[CALLS], *last;

	client->hold_windows = true;
	for (unsigned i = 0; i < CALLS; i++) {
		streams[i] = raw_open(client, "/test.Unary/Echo", NULL, NULL, NULL);
		raw_send_message(streams[i], client, bytes, sizeof(bytes), true);
		assert_true(raw_run(client, all_sent, NULL, 20000));
	}
	last = raw_open(client, "/test.Unary/Echo", NULL, NULL, NULL);
	raw_send_message(last, client, "x", 1, true);
	raw_idle(client, 300);
	assert_false(last->headers);
	assert_true(atomic_load(&fixture_of(state)->begun) < CALLS);
	client->hold_windows = false;
	for (unsigned i = 0; i < CALLS; i++)
		raw_release(client, streams[i], streams[i]->body.length);
	assert_true(raw_run_stream(client, last));
	assert_answer(last, GRPC_OK, "");
	for (unsigned i = 0; i < CALLS; i++) {
		assert_true(raw_run_stream(client, streams[i]));
		assert_int_equal(streams[i]->body.length, sizeof(bytes) + 5);
	}
	raw_close(client);
}

static void unfinished_requests_are_limited(void **state)
{
	enum { CALLS = GRPC_CONNECTION_INPUT / MAXIMUM_MESSAGE + 1 };
	static char bytes[MAXIMUM_MESSAGE];
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *streams[CALLS];
	unsigned refused = 0;

	for (unsigned i = 0; i < CALLS; i++) {
		streams[i] = raw_open(client, "/test.Unary/Echo", NULL, NULL, NULL);
		raw_send_message(streams[i], client, bytes, sizeof(bytes), false);
	}
	assert_true(raw_run(client, all_sent, NULL, 20000));
	raw_idle(client, 300);
	for (unsigned i = 0; i < CALLS; i++) {
		if (!streams[i]->closed)
			continue;
		assert_answer(streams[i], GRPC_RESOURCE_EXHAUSTED,
		              "grpc: more than 67108864 bytes of unfinished requests on one connection");
		refused++;
	}
	assert_int_equal(refused, 2); /* each message has five bytes more than its length */
	for (unsigned i = 0; i < CALLS; i++)
		if (!streams[i]->closed)
			raw_send(streams[i], client, "", 0, true);
	for (unsigned i = 0; i < CALLS; i++)
		assert_true(raw_run_stream(client, streams[i]));
	assert_answer(call_unary(client, "/test.Unary/Echo", "x", 1), GRPC_OK, "");
	raw_close(client);
}

static void deadlines_end_calls(void **state)
{
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *unary = raw_open(client, "/test.Unary/Stall", "200m", NULL, NULL);
	struct raw_stream *stream = raw_open(client, "/test.Stream/Chat", "100000u", NULL, NULL);
	struct raw_stream *unfinished = raw_open(client, "/test.Unary/Echo", "50m", NULL, NULL);
	uint64_t begun = clock_monotonic_ms();

	raw_send_message(unary, client, "x", 1, true);
	raw_send(unfinished, client, "\0\0", 2, false);
	assert_true(raw_run_stream(client, unfinished));
	assert_true(raw_run_stream(client, stream));
	assert_true(clock_monotonic_ms() - begun >= 95);
	assert_true(raw_run_stream(client, unary));
	assert_true(clock_monotonic_ms() - begun >= 195);
	assert_answer(unary, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
	assert_answer(stream, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
	assert_answer(unfinished, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
	raw_close(client);
}

static void thousands_of_calls_at_once(void **state)
{
	enum { CALLS = 5000 };
	struct fixture *fixture = fixture_of(state);
	struct raw_client *client = raw_connect(fixture->port);
	static struct raw_stream *streams[CALLS];
	struct raw_stream *echoed;

	for (unsigned i = 0; i < CALLS; i++) {
		streams[i] = raw_open(client, i % 2 ? "/test.Unary/Stall" : "/test.Stream/Chat", NULL, NULL, NULL);
		raw_send_message(streams[i], client, "x", 1, i % 2);
	}
	raw_idle(client, 0);
	assert_true(raw_run(client, has_headers, streams[CALLS - 2], 10000));
	assert_true(counted(&fixture->begun, CALLS));
	assert_int_equal(grpc_server_statistics(fixture->server).calls, CALLS);
	echoed = call_unary(client, "/test.Unary/Echo", "x", 1);
	assert_answer(echoed, GRPC_OK, "");
	/* A client that closes all its watches is no abuse. */
	for (unsigned i = 0; i < CALLS; i++)
		raw_reset(streams[i], client, 8);
	raw_idle(client, 50);
	assert_true(counted(&fixture->ended, CALLS + 1));
	assert_false(client->goaway);
	assert_answer(call_unary(client, "/test.Unary/Echo", "x", 1), GRPC_OK, "");
	raw_close(client);
}

/* Opening, sending, cancelling and hanging up in random order; the fixture's end checks that each call has ended once. */
static void clients_leave_at_any_time(void **state)
{
	static const char *const paths[] = { "/test.Unary/Echo", "/test.Unary/Stall", "/test.Stream/Chat", "/test.Stream/Hold",
		                             "/test.Unary/None" };
	struct fixture *fixture = fixture_of(state);
	uint64_t seed = clock_monotonic_ns() | 1;

	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned round = 0; round < 60; round++) {
		struct raw_client *client = raw_connect(fixture->port);

		for (unsigned step = 0; step < 40; step++) {
			struct raw_stream *stream = client->streams;

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			for (unsigned skip = (seed >> 40) % 4; skip > 0 && stream != NULL && stream->next != NULL; skip--)
				stream = stream->next;
			switch ((seed >> 33) % 6) {
			case 0:
			case 1:
				(void)raw_open(client, paths[(seed >> 50) % ARRAY_LENGTH(paths)], (seed >> 60) % 2 ? "5m" : NULL, NULL,
				               NULL);
				break;
			case 2:
			case 3:
				if (stream != NULL && !stream->send_end)
					raw_send_message(stream, client, "abcdefgh", (seed >> 50) % 9, (seed >> 60) % 2);
				break;
			case 4:
				if (stream != NULL && !stream->closed)
					raw_reset(stream, client, 8);
				break;
			default:
				raw_idle(client, (seed >> 55) % 3);
				break;
			}
		}
		raw_close(client);
	}
}

static bool has_goaway(const struct raw_client *client, const void *argument)
{
	return client->goaway && client->closed;
}

static void too_many_pings_end_the_connection(void **state)
{
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *stream;

	/* While answers flow PINGs measure the link. */
	for (unsigned i = 0; i < 10; i++) {
		raw_ping(client);
		assert_answer(call_unary(client, "/test.Unary/Echo", "x", 1), GRPC_OK, "");
	}
	assert_int_equal(client->pongs, 10);
	assert_false(client->goaway);
	stream = raw_open(client, "/test.Unary/Stall", NULL, NULL, NULL);
	raw_send_message(stream, client, "", 0, true);
	for (unsigned i = 0; i < 6; i++) {
		raw_ping(client);
		raw_idle(client, 10);
	}
	assert_true(raw_run(client, has_goaway, NULL, 5000));
	assert_int_equal(client->goaway_code, 11);
	assert_string_equal(client->goaway_text, "too_many_pings");
	raw_close(client);
}

static void silent_clients_are_asked_and_closed(void **state)
{
	/* Time to answer also for a client whose machine is busy. */
	struct fixture *fixture = fixture_new((struct grpc_server_options){ .ping_idle_ms = 60, .ping_answer_ms = 2000 });
	struct raw_client *client = raw_connect(fixture->port), *silent = raw_connect(fixture->port);
	struct raw_stream *stream = raw_open(silent, "/test.Stream/Chat", NULL, NULL, NULL);

	assert_true(raw_run(silent, has_headers, stream, 5000));
	raw_idle(client, 2500); /* answers PINGs */
	assert_true(client->pings >= 2);
	assert_false(client->closed);
	assert_true(counted(&fixture->ended, 1)); /* the other one did not */
	raw_close(silent);
	raw_close(client);
	fixture_free(fixture);
}

static void plain_http_is_served_beside(void **state)
{
	struct raw_client *client = raw_connect(fixture_of(state)->port);
	struct raw_stream *stream = raw_open_with(client, "GET", "/version?a=b", NULL);

	raw_send(stream, client, "", 0, true);
	assert_true(raw_run_stream(client, stream));
	assert_int_equal(stream->http_status, 200);
	assert_string_equal(stream->body.data, "{\"query\":\"a=b\"}");
	stream = raw_open_with(client, "GET", "/nothing", NULL);
	raw_send(stream, client, "", 0, true);
	assert_true(raw_run_stream(client, stream));
	assert_int_equal(stream->http_status, 404);
	stream = raw_open_with(client, "POST", "/test.Unary/Echo", "text/plain");
	raw_send(stream, client, "", 0, true);
	assert_true(raw_run_stream(client, stream));
	assert_int_equal(stream->http_status, 415);
	stream = raw_open_with(client, "PUT", "/test.Unary/Echo", "application/grpc+proto");
	raw_send(stream, client, "", 0, true);
	assert_true(raw_run_stream(client, stream));
	assert_int_equal(stream->http_status, 405);
	assert_int_equal(stream->grpc_status, GRPC_INTERNAL);
	raw_close(client);
}

struct stop {
	struct grpc_server *server;
	unsigned grace_ms;
	atomic_bool over;
	pthread_t thread;
};

static void *stop_server(void *argument)
{
	struct stop *stop = argument;

	grpc_server_free(stop->server, stop->grace_ms);
	atomic_store(&stop->over, true);
	return NULL;
}

static bool is_closed(const struct raw_client *client, const void *argument)
{
	return client->closed;
}

static void stopping_lets_calls_finish(void **state)
{
	struct fixture *fixture = fixture_new((struct grpc_server_options){ 0 });
	struct raw_client *client = raw_connect(fixture->port), *idle = raw_connect(fixture->port);
	struct raw_stream *first = raw_open(client, "/test.Stream/Chat", NULL, NULL, NULL), *stalled;
	struct stop stop = { .server = fixture->server, .grace_ms = 700 };

	assert_answer(call_unary(idle, "/test.Unary/Echo", "x", 1), GRPC_OK, "");
	stalled = raw_open(client, "/test.Unary/Stall", NULL, NULL, NULL);
	raw_send_message(stalled, client, "", 0, true);
	assert_true(raw_run(client, has_headers, first, 5000));
	assert_int_equal(pthread_create(&stop.thread, NULL, stop_server, &stop), 0);
	raw_idle(client, 200);
	assert_true(client->goaway);
	assert_int_equal(client->goaway_code, 0);
	assert_false(client->closed);
	/* Still served: */
	raw_send_message(first, client, "x", 1, true);
	assert_true(raw_run_stream(client, first));
	assert_answer(first, GRPC_OK, "");
	assert_true(raw_run(idle, is_closed, NULL, 5000));
	assert_true(raw_run_stream(client, stalled));
	assert_answer(stalled, GRPC_UNAVAILABLE, "server is shutting down");
	assert_true(raw_run(client, is_closed, NULL, 5000));
	assert_int_equal(pthread_join(stop.thread, NULL), 0);
	assert_int_equal(atomic_load(&fixture->begun), atomic_load(&fixture->ended));
	raw_close(client);
	raw_close(idle);
	loop_stop(fixture->loop);
	free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unary_calls_are_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(metadata_and_deadlines_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_calls_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(oversized_is_refused_early, setup, teardown),
		cmocka_unit_test_setup_teardown(large_messages_pass_the_windows, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_go_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(held_messages_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_reader_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_nobody_takes_hold_back_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(unfinished_requests_are_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(deadlines_end_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(thousands_of_calls_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(clients_leave_at_any_time, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_pings_end_the_connection, setup, teardown),
		cmocka_unit_test(silent_clients_are_asked_and_closed),
		cmocka_unit_test_setup_teardown(plain_http_is_served_beside, setup, teardown),
		cmocka_unit_test(stopping_lets_calls_finish),
	};

	return cmocka_run_group_tests_name("grpc_server", tests, NULL, NULL);
}
