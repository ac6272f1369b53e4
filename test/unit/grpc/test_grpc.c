/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "grpc/etcd_client.h"
#include "grpc/etcd_internal.h"
#include "grpc/grpc_client.h"
#include "grpc/protobuf.h"
#include "h2_test_server.h"
#include "io/loop.h"

static void protobuf_round_trip(void **state)
{
	struct buffer out BUFFER_CLEANUP = { 0 }, inner BUFFER_CLEANUP = { 0 };
	struct protobuf_reader reader;
	struct protobuf_field field;
	uint64_t values[] = { 1, 127, 128, 300, UINT32_MAX, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		protobuf_put_unsigned(&out, (uint32_t)i + 1, values[i]);
	protobuf_put_signed(&out, 20, -5);
	protobuf_put_unsigned(&out, 21, 0);
	protobuf_put_string(&out, 22, "");
	protobuf_put_string(&out, 100000, "text");
	protobuf_put_message(&out, 23, &inner);
	reader = protobuf_reader_of(out.data, out.length);
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
		assert_true(protobuf_next(&reader, &field));
		assert_int_equal(field.number, i + 1);
		assert_true(field.value == values[i]);
	}
	assert_true(protobuf_next(&reader, &field));
	assert_true((int64_t)field.value == -5);
	assert_true(protobuf_next(&reader, &field));
	assert_int_equal(field.number, 100000);
	assert_int_equal(field.length, 4);
	assert_memory_equal(field.bytes, "text", 4);
	assert_true(protobuf_next(&reader, &field));
	assert_int_equal(field.number, 23);
	assert_int_equal(field.length, 0);
	assert_false(protobuf_next(&reader, &field));
	assert_false(reader.corrupt);
}

static void protobuf_known_bytes(void **state)
{
	struct buffer out BUFFER_CLEANUP = { 0 };
	static const uint8_t wanted[] = { 0x08, 0x96, 0x01, 0x12, 0x07, 't', 'e', 's', 't', 'i', 'n', 'g' }; /* the guide's own examples */

	protobuf_put_unsigned(&out, 1, 150);
	protobuf_put_string(&out, 2, "testing");
	assert_int_equal(out.length, sizeof(wanted));
	assert_memory_equal(out.data, wanted, sizeof(wanted));
}

static void protobuf_refuses_damage(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} bad[] = {
		{ "\x08", 1 },                                              /* no value */
		{ "\x08\x80", 2 },                                          /* cut varint */
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11 },     /* 65 bits */
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 }, /* eleven bytes */
		{ "\x12\x05test", 6 },                                      /* longer than the input */
		{ "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },     /* huge length */
		{ "\x0b", 1 },                                              /* group */
		{ "\x00\x01", 2 },                                          /* field 0 */
		{ "\x0d\x01\x02", 3 },                                      /* cut fixed32 */
		{ "\x09\x01\x02", 3 },                                      /* cut fixed64 */
	};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct protobuf_reader reader = protobuf_reader_of(bad[i].bytes, bad[i].length);
		struct protobuf_field field;

		while (protobuf_next(&reader, &field))
			;
		assert_true(reader.corrupt);
	}
}

static void frames_are_strict(void **state)
{
	struct buffer out BUFFER_CLEANUP = { 0 };
	const uint8_t *message;
	size_t length;
	struct error err;

	grpc_frame_write(&out, "abc", 3);
	assert_int_equal(grpc_frame_parse(out.data, out.length, 100, &message, &length, &err), 0);
	assert_int_equal(length, 3);
	assert_memory_equal(message, "abc", 3);
	assert_int_equal(grpc_frame_parse(out.data, out.length, 2, &message, &length, &err), -1);
	assert_int_equal(err.class, ERROR_EXHAUSTED);
	for (size_t cut = 0; cut < out.length; cut++) {
		assert_int_equal(grpc_frame_parse(out.data, cut, 100, &message, &length, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
	}
	grpc_frame_write(&out, "d", 1);
	assert_int_equal(grpc_frame_parse(out.data, out.length, 100, &message, &length, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	out.data[0] = 1;
	assert_int_equal(grpc_frame_parse(out.data, 8, 100, &message, &length, &err), -1);
	assert_non_null(strstr(err.message, "compressed"));
}

static void messages_are_decoded(void **state)
{
	struct buffer out BUFFER_CLEANUP = { 0 };

	grpc_message_decode("a%20b%C3%A9%zz%4", &out);
	assert_string_equal(out.data, "a b\xc3\xa9%zz%4");
}

static void statuses_become_classes(void **state)
{
	struct http_headers trailers = { 0 };
	struct error err = { 0 };

	assert_int_equal(grpc_status_check(&trailers, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	http_headers_add(&trailers, "grpc-status", 11, "5", 1);
	http_headers_add(&trailers, "grpc-message", 12, "no%20such", 9);
	assert_int_equal(grpc_status_check(&trailers, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_int_equal(err.status, 5);
	assert_string_equal(err.reason, "NOT_FOUND");
	assert_string_equal(err.message, "no such");
	http_headers_free(&trailers);
	http_headers_add(&trailers, "grpc-status", 11, "0", 1);
	assert_int_equal(grpc_status_check(&trailers, &err), 0);
	http_headers_free(&trailers);
	http_headers_add(&trailers, "grpc-status", 11, "x", 1);
	assert_int_equal(grpc_status_check(&trailers, &err), -1);
	http_headers_free(&trailers);
	assert_int_equal(grpc_status_class(GRPC_UNAVAILABLE), ERROR_TRANSIENT);
	assert_int_equal(grpc_status_class(GRPC_UNAUTHENTICATED), ERROR_FORBIDDEN);
	assert_int_equal(grpc_status_class(9999), ERROR_TRANSIENT);
}

static void etcd_texts_become_classes(void **state)
{
	assert_int_equal(etcd_error_class("etcdserver: user name already exists", ERROR_INVALID), ERROR_EXISTS);
	assert_int_equal(etcd_error_class("etcdserver: role name not found", ERROR_INVALID), ERROR_NOT_FOUND);
	assert_int_equal(etcd_error_class("etcdserver: permission denied", ERROR_FORBIDDEN), ERROR_FORBIDDEN);
	assert_int_equal(etcd_error_class("etcdserver: request is too large", ERROR_INVALID), ERROR_EXHAUSTED);
	assert_int_equal(etcd_error_class("something else", ERROR_TIMEOUT), ERROR_TIMEOUT);
}

static void prefixes_have_ends(void **state)
{
	char *end = etcd_prefix_end("/a/");

	assert_string_equal(end, "/a0");
	free(end);
	end = etcd_prefix_end("a\xff");
	assert_string_equal(end, "b");
	free(end);
	assert_null(etcd_prefix_end("\xff\xff"));
	assert_null(etcd_prefix_end(""));
}

/* What a member of a cluster says in the tests below. */
static char *answer(const char *path, const char *body, size_t length, size_t *answer_length, int *grpc_status, const char **grpc_message)
{
	static const char status[] = { 0, 0, 0, 0, 9, 0x12, 5, '3', '.', '7', '.', '3', 0x20, 7 };
	char *copy;

	if (string_has_suffix(path, "/UserAdd")) {
		*grpc_status = 9;
		*grpc_message = "etcdserver: user name already exists";
		return NULL;
	}
	if (string_has_suffix(path, "/AuthEnable")) {
		*answer_length = 3; /* a cut frame header */
		return calloc(1, 3);
	}
	*answer_length = sizeof(status);
	copy = malloc(sizeof(status));
	memcpy(copy, status, sizeof(status));
	return copy;
}

static void calls_move_to_the_next_endpoint(void **state)
{
	struct h2_test_server *server = h2_test_server_start(&(struct h2_test_options){ .answer = answer });
	char *endpoint FREE_CLEANUP = string_printf("http://127.0.0.1:%u", h2_test_server_port(server));
	const char *endpoints[] = { "http://127.0.0.1:1", endpoint };
	struct etcd_client_options options = { .endpoints = endpoints, .endpoint_count = 2 };
	struct etcd_status status = { 0 };
	struct etcd_client *client;
	struct error err = { 0 };

	options.loop = loop_start("test", &err);
	client = etcd_client_new(&options, &err);
	assert_non_null(client);
	for (int i = 0; i < 3; i++) {
		if (etcd_client_status(client, &status, NULL, &err) != 0)
			fail_msg("%s", err.message);
		assert_string_equal(status.version, "3.7.3");
		assert_int_equal(status.leader, 7);
	}
	assert_int_equal(h2_test_server_connections(server), 1);
	assert_int_equal(etcd_client_user_add(client, "a", NULL, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_EXISTS);
	assert_non_null(strstr(err.message, "user name already exists"));
	assert_int_equal(etcd_client_user_add(client, "", NULL, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_int_equal(etcd_client_auth_enable(client, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	etcd_status_free(&status);
	etcd_client_free(client);
	loop_stop(options.loop);
	h2_test_server_stop(server);
}

static void endpoints_are_checked(void **state)
{
	const char *bad[] = { "ftp://a:1", "a", "https://a", "http://:0", "127.0.0.1:2379" /* TLS without credentials */ };
	struct error err;
	struct loop *loop = loop_start("test", &err);

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct etcd_client_options options = { .loop = loop, .endpoints = &bad[i], .endpoint_count = 1 };

		assert_null(etcd_client_new(&options, &err));
		assert_int_equal(err.class, ERROR_INVALID);
	}
	assert_null(etcd_client_new(&(struct etcd_client_options){ .loop = loop }, &err));
	loop_stop(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protobuf_round_trip),
		cmocka_unit_test(protobuf_known_bytes),
		cmocka_unit_test(protobuf_refuses_damage),
		cmocka_unit_test(frames_are_strict),
		cmocka_unit_test(messages_are_decoded),
		cmocka_unit_test(statuses_become_classes),
		cmocka_unit_test(etcd_texts_become_classes),
		cmocka_unit_test(prefixes_have_ends),
		cmocka_unit_test(calls_move_to_the_next_endpoint),
		cmocka_unit_test(endpoints_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
