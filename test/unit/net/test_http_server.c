/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/loop.h"
#include "net/http1_request.h"
#include "net/http_server.h"

struct fixture {
	struct loop *loop;
	struct http_server *server;
};

static void handle(const struct http_server_request *request, struct http_server_response *response, void *argument)
{
	char *value;

	if (strcmp(request->path, "/healthz") == 0) {
		(void)buffer_append_string(&response->body, "ok");
	} else if (strcmp(request->path, "/query") == 0) {
		value = http_query_value(request->query, "name");
		(void)buffer_append_string(&response->body, value ? value : "none");
		free(value);
	} else if (strcmp(request->path, "/large") == 0) {
		response->content_type = "application/json";
		memset(buffer_reserve(&response->body, 3000000), 'x', 3000000);
		response->body.length = 3000000;
	} else {
		response->status = 404;
	}
}

static int setup_with(void **state, unsigned header_timeout_ms, unsigned idle_timeout_ms)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err;
	struct http_server_options options = {
		.address = "127.0.0.1",
		.handler = handle,
		.maximum_connections = 4,
		.header_timeout_ms = header_timeout_ms,
		.idle_timeout_ms = idle_timeout_ms,
	};

	options.loop = fixture->loop = loop_start("test", &err);
	fixture->server = http_server_new(&options, &err);
	assert_non_null(fixture->server);
	*state = fixture;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 0, 0);
}

static int setup_impatient(void **state)
{
	return setup_with(state, 200, 300);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	http_server_free(fixture->server);
	loop_stop(fixture->loop);
	free(fixture);
	return 0;
}

static int dial(struct fixture *fixture)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons(http_server_port(fixture->server)),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int descriptor = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(descriptor, (struct sockaddr *)&to, sizeof(to)), 0);
	return descriptor;
}

static void send_text(int descriptor, const char *text)
{
	assert_int_equal(send(descriptor, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Everything until the server closes, or until `enough` bytes. */
static size_t receive(int descriptor, char *text, size_t size, size_t enough)
{
	size_t length = 0;

	while (length < enough) {
		struct pollfd ready = { .fd = descriptor, .events = POLLIN };
		ssize_t count;

		if (poll(&ready, 1, 30000) <= 0)
			fail_msg("nothing came");
		count = recv(descriptor, text + length, size - 1 - length, 0);
		if (count <= 0)
			break;
		length += (size_t)count;
	}
	text[length] = '\0';
	return length;
}

static void expect(struct fixture *fixture, const char *request, size_t length, const char *start)
{
	int descriptor = dial(fixture);
	char text[16384];

	assert_int_equal(send(descriptor, request, length, MSG_NOSIGNAL), length);
	(void)receive(descriptor, text, sizeof(text), sizeof(text) - 1);
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("%.60s gave %.60s", request, text);
	close(descriptor);
}

static void expect_text(struct fixture *fixture, const char *request, const char *start)
{
	expect(fixture, request, strlen(request), start);
}

static void answers_and_keeps_alive(void **state)
{
	struct fixture *fixture = *state;
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n"
				     "X-Content-Type-Options: nosniff\r\n\r\nok";
	int descriptor = dial(fixture);
	char text[1024];

	for (int i = 0; i < 5; i++) {
		for (size_t j = 0; j < strlen(request); j++)
			assert_int_equal(send(descriptor, request + j, 1, 0), 1);
		assert_int_equal(receive(descriptor, text, sizeof(text), strlen(answer)), strlen(answer));
		assert_string_equal(text, answer);
	}
	send_text(descriptor, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	(void)receive(descriptor, text, sizeof(text), sizeof(text) - 1);
	assert_true(string_has_prefix(text, answer));
	assert_non_null(strstr(text, "HTTP/1.1 404 Not Found"));
	assert_non_null(strstr(text, "Connection: close"));
	close(descriptor);
}

static void head_has_no_body(void **state)
{
	struct fixture *fixture = *state;
	int descriptor = dial(fixture);
	char text[1024];

	send_text(descriptor, "HEAD /healthz HTTP/1.0\r\n\r\n");
	(void)receive(descriptor, text, sizeof(text), sizeof(text) - 1);
	assert_non_null(strstr(text, "Content-Length: 2\r\n"));
	assert_true(string_has_suffix(text, "\r\n\r\n"));
	close(descriptor);
}

static void queries_are_decoded(void **state)
{
	struct fixture *fixture = *state;
	char *value;

	expect_text(fixture, "GET /query?a=1&name=x%20y+z&b HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK");
	value = http_query_value("a=1&name=x%20y+z&b", "name");
	assert_string_equal(value, "x y z");
	free(value);
	value = http_query_value("name=%41", "name");
	assert_string_equal(value, "A");
	free(value);
	assert_null(http_query_value("name=%4", "name"));
	assert_null(http_query_value("names=1&b", "name"));
	value = http_query_value("&&name=", "name");
	assert_string_equal(value, "");
	free(value);
}

static void large_bodies_arrive(void **state)
{
	struct fixture *fixture = *state;
	int descriptor = dial(fixture);
	char *text = malloc(4000000);

	send_text(descriptor, "GET /large HTTP/1.0\r\n\r\n");
	assert_true(receive(descriptor, text, 4000000, 3999999) > 3000000);
	free(text);
	close(descriptor);
}

static void doubtful_requests_are_refused(void **state)
{
	struct fixture *fixture = *state;
	char *huge = malloc(20000);

	expect_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405");
	expect_text(fixture, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505");
	expect_text(fixture, "GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET / HTTP/1.1\nHost: a\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "HTTP/1.1 400");
	expect_text(fixture, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 413");
	expect_text(fixture, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 501");
	expect_text(fixture, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 417");
	expect_text(fixture, "\r\n\r\n", "HTTP/1.1 400");
	expect(fixture, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 28, "HTTP/1.1 400");
	memset(huge, 'a', 20000);
	memcpy(huge, "GET /", 5);
	expect(fixture, huge, 20000, "HTTP/1.1 431");
	free(huge);
}

static void slow_and_idle_clients_are_closed(void **state)
{
	struct fixture *fixture = *state;
	char text[1024];
	int descriptor = dial(fixture);

	expect_text(fixture, "GET /hea", "HTTP/1.1 408");
	assert_int_equal(receive(descriptor, text, sizeof(text), 1), 0);
	close(descriptor);
}

static void connections_are_limited(void **state)
{
	struct fixture *fixture = *state;
	int descriptors[5];
	char text[64];

	for (int i = 0; i < 5; i++)
		descriptors[i] = dial(fixture);
	assert_int_equal(receive(descriptors[4], text, sizeof(text), 1), 0);
	for (int i = 0; i < 5; i++)
		close(descriptors[i]);
}

static void a_taken_port_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct http_server_options options = {
		.loop = fixture->loop, .address = "127.0.0.1", .port = http_server_port(fixture->server), .handler = handle
	};
	struct error err;

	assert_null(http_server_new(&options, &err));
	assert_non_null(strstr(err.message, "Address already in use"));
	options.address = "localhost";
	assert_null(http_server_new(&options, &err));
	assert_int_equal(err.class, ERROR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_and_keeps_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(head_has_no_body, setup, teardown),
		cmocka_unit_test_setup_teardown(queries_are_decoded, setup, teardown),
		cmocka_unit_test_setup_teardown(large_bodies_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(doubtful_requests_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_and_idle_clients_are_closed, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(connections_are_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(a_taken_port_is_named, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
