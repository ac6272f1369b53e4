/* SPDX-License-Identifier: Apache-2.0 */
/* Long answers whose values are lent to the connection: the same bytes as when they are encoded whole, and every value is given back once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "etcd/answer_parts.h"
#include "grpc/grpc_status.h"
#include "raw_client.h"

enum { LARGE = 3 * 1024 * 1024 };

static const size_t lengths[] = { 0, 1, ANSWER_PARTS_VALUE - 1, ANSWER_PARTS_VALUE, 1024, 20000, 70000, 0, 600, LARGE };

struct fixture {
	struct loop *loop;
	struct grpc_server *server;
	struct key_value items[ARRAY_LENGTH(lengths)];
	struct range_result result;
	size_t count; /* of the items: in the answer */
};

static const struct etcd_header header = { .cluster_id = 7, .member_id = 1, .revision = 300, .raft_term = 2 };

static void serve(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct fixture *fixture = argument;
	struct answer_parts *answer = answer_parts_new(fixture->count, 0);

	etcd_encode_header(answer_parts_text(answer), &header);
	for (size_t i = 0; i < fixture->count; i++)
		answer_parts_element(answer, 2, &fixture->items[i]);
	etcd_encode_range_end(answer_parts_text(answer), &fixture->result);
	answer_parts_send(answer, call);
	grpc_call_finish(call, GRPC_OK, NULL);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct grpc_method method = { .path = "/test.KV/Range", .message = serve, .argument = fixture };
	struct grpc_server_options options = { .methods = &method, .method_count = 1 };
	struct error err;

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		char *value = malloc(lengths[i] + 1);

		memset(value, (int)('a' + i), lengths[i] + 1);
		fixture->items[i] = (struct key_value){ .key = BYTES(i % 2 ? "/registry/a" : "b"),
			                                .create_revision = (int64_t)i,
			                                .mod_revision = INT64_MAX - (int64_t)i,
			                                .version = 1 + 200 * (int64_t)i,
			                                .lease = i % 3 ? -5 : 0,
			                                .value = blob_new(value, lengths[i]) };
		free(value);
	}
	fixture->count = ARRAY_LENGTH(lengths);
	fixture->result = (struct range_result){ .items = fixture->items, .count = fixture->count, .more = true, .total = 1000 };
	options.loop = fixture->loop = loop_start("test", &err);
	fixture->server = grpc_server_new(&options);
	assert_int_equal(grpc_server_listen(fixture->server, "127.0.0.1:0", NULL, &err), 0);
	*state = fixture;
	return 0;
}

/* Also after connections that broke off: nobody holds a value any more. */
static int teardown(void **state)
{
	struct fixture *fixture = *state;

	grpc_server_free(fixture->server, 0);
	loop_stop(fixture->loop);
	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		assert_int_equal(fixture->items[i].value->references, 1);
		blob_unref(fixture->items[i].value);
	}
	free(fixture);
	return 0;
}

static struct raw_stream *ask(struct raw_client *client)
{
	struct raw_stream *stream = raw_open(client, "/test.KV/Range", NULL, NULL, NULL);

	raw_send_message(stream, client, "", 0, true);
	return stream;
}

static void parts_are_the_whole(void **state)
{
	struct fixture *fixture = *state;
	struct raw_client *client = raw_connect(grpc_server_port(fixture->server));
	struct buffer whole BUFFER_CLEANUP = { 0 };
	struct raw_stream *streams[3];

	etcd_encode_range(&whole, &header, &fixture->result);
	for (size_t i = 0; i < ARRAY_LENGTH(streams); i++)
		streams[i] = ask(client);
	for (size_t i = 0; i < ARRAY_LENGTH(streams); i++) {
		const char *message;
		size_t length;

		assert_true(raw_run_stream(client, streams[i]));
		message = raw_message(streams[i], 0, &length);
		assert_int_equal(streams[i]->grpc_status, GRPC_OK);
		assert_non_null(message);
		assert_int_equal(length, whole.length);
		assert_memory_equal(message, whole.data, length);
	}
	raw_close(client);
}

static void an_answer_may_have_no_values(void **state)
{
	struct fixture *fixture = *state;
	struct raw_client *client = raw_connect(grpc_server_port(fixture->server));
	struct range_result none = { .more = true, .total = 1000 };
	struct buffer whole BUFFER_CLEANUP = { 0 };
	struct raw_stream *stream;
	const char *message;
	size_t length;

	etcd_encode_range(&whole, &header, &none);
	fixture->count = 0;
	stream = ask(client);
	assert_true(raw_run_stream(client, stream));
	message = raw_message(stream, 0, &length);
	assert_non_null(message);
	assert_int_equal(length, whole.length);
	assert_memory_equal(message, whole.data, length);
	raw_close(client);
}

/* Cut in the middle of a value, by a reset and by a connection that ends. */
static void what_nobody_takes_is_given_back(void **state)
{
	struct fixture *fixture = *state;
	struct raw_client *client = raw_connect_window(grpc_server_port(fixture->server), 1500);
	struct raw_stream *left, *reset;

	client->hold_windows = true;
	left = ask(client);
	reset = ask(client);
	raw_idle(client, 50);
	assert_int_equal(left->body.length, 1500);
	assert_int_equal(reset->body.length, 1500);
	raw_reset(reset, client, 8);
	raw_idle(client, 50);
	raw_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(parts_are_the_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_may_have_no_values, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_takes_is_given_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
