/* SPDX-License-Identifier: Apache-2.0 */
/* POST on the HTTP/1.1 server: bodies, limits, answers that come later, from other threads, or never. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/thread.h"
#include "net/http_server.h"

enum { BODY_LIMIT = 100000 };

struct fixture {
	struct loop *loop;
	struct http_server *server;
	struct thread_pool *pool;
	struct http_server_exchange *held; /* of /hold */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
};

static void echo(void *argument)
{
	struct http_server_exchange *exchange = argument;
	struct http_server_response response = { 0 };

	(void)buffer_printf(&response.body, "%s?%s:", exchange->path, exchange->query);
	(void)buffer_append(&response.body, exchange->body.data ? exchange->body.data : "", exchange->body.length);
	http_server_answer(exchange, &response);
}

static void on_post(struct http_server_exchange *exchange, void *argument)
{
	struct fixture *fixture = argument;

	if (strcmp(exchange->path, "/hold") != 0) {
		thread_pool_post(fixture->pool, echo, exchange);
		return;
	}
	THREAD_LOCKED(&fixture->mutex);
	fixture->held = exchange;
	(void)pthread_cond_signal(&fixture->changed);
}

static void on_get(const struct http_server_request *request, struct http_server_response *response, void *argument)
{
	(void)buffer_append_string(&response->body, "got");
}

static int setup_with(void **state, unsigned timeout_ms)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err;

	fixture->loop = loop_start("test", &err);
	fixture->pool = thread_pool_new("test", 2, &err);
	(void)pthread_mutex_init(&fixture->mutex, NULL);
	thread_condition_init(&fixture->changed);
	fixture->server = http_server_new(&(struct http_server_options){ .loop = fixture->loop,
	                                                                 .address = "127.0.0.1",
	                                                                 .handler = on_get,
	                                                                 .post = on_post,
	                                                                 .maximum_body = BODY_LIMIT,
	                                                                 .answer_timeout_ms = timeout_ms,
	                                                                 .header_timeout_ms = timeout_ms,
	                                                                 .argument = fixture },
	                                  &err);
	assert_non_null(fixture->server);
	*state = fixture;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 30000);
}

static int setup_impatient(void **state)
{
	return setup_with(state, 300);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	thread_pool_free(fixture->pool);
	http_server_free(fixture->server);
	loop_stop(fixture->loop);
	(void)pthread_cond_destroy(&fixture->changed);
	(void)pthread_mutex_destroy(&fixture->mutex);
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

/* Until `wanted` is in what came, or the end. */
static void receive(int descriptor, struct buffer *into, const char *wanted)
{
	while (!wanted || !into->data || !strstr(into->data, wanted)) {
		struct pollfd ready = { .fd = descriptor, .events = POLLIN };
		char *at = buffer_reserve(into, 8192);
		ssize_t count;

		if (poll(&ready, 1, 30000) <= 0)
			fail_msg("nothing came");
		count = recv(descriptor, at, 8192, 0);
		if (count <= 0)
			break;
		into->length += (size_t)count;
		into->data[into->length] = '\0';
	}
}

static void send_text(int descriptor, const char *text, size_t length)
{
	assert_int_equal(send(descriptor, text, length, MSG_NOSIGNAL), length);
}

static void a_body_comes_in_pieces_and_the_connection_stays(void **state)
{
	static const char request[] = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
	int descriptor = dial(*state);

	for (int i = 0; i < 3; i++) {
		BUFFER_CLEANUP struct buffer text = { 0 };

		for (size_t at = 0; at < strlen(request); at += i + 1)
			send_text(descriptor, request + at, at + i + 1 > strlen(request) ? strlen(request) - at : (size_t)i + 1);
		receive(descriptor, &text, "/a?b=c:hello");
		assert_true(string_has_prefix(text.data, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"));
	}
	close(descriptor);
}

static void requests_behind_a_body_wait_their_turn(void **state)
{
	static const char requests[] =
		"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
		"GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	BUFFER_CLEANUP struct buffer text = { 0 };
	int descriptor = dial(*state);

	send_text(descriptor, requests, strlen(requests));
	receive(descriptor, &text, NULL);
	const char *first = strstr(text.data, "/1?:a"), *second = strstr(text.data, "/2?:"), *third = strstr(text.data, "got");

	assert_true(first && second && third && first < second && second < third);
	close(descriptor);
}

static void large_bodies_arrive_up_to_the_limit(void **state)
{
	FREE_CLEANUP char *body = malloc(BODY_LIMIT);
	FREE_CLEANUP char *header =
		string_printf("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", BODY_LIMIT);
	BUFFER_CLEANUP struct buffer text = { 0 };
	int descriptor = dial(*state);

	memset(body, 'x', BODY_LIMIT);
	send_text(descriptor, header, strlen(header));
	send_text(descriptor, body, BODY_LIMIT);
	receive(descriptor, &text, NULL);
	assert_true(text.length > BODY_LIMIT);
	close(descriptor);
}

static void doubtful_bodies_are_refused(void **state)
{
	static const struct {
		const char *request, *answer;
	} cases[] = {
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", "HTTP/1.1 413" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999999\r\n\r\n", "HTTP/1.1 413" },
		{ "POST / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 411" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 400" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", "HTTP/1.1 400" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\na", "HTTP/1.1 400" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 501" },
		{ "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 405" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell", "HTTP/1.1 408" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		BUFFER_CLEANUP struct buffer text = { 0 };
		int descriptor = dial(*state);

		send_text(descriptor, cases[i].request, strlen(cases[i].request));
		receive(descriptor, &text, NULL);
		if (!string_has_prefix(text.data, cases[i].answer))
			fail_msg("%s gave %.40s", cases[i].request, text.data);
		close(descriptor);
	}
}

static void hold(struct fixture *fixture, int descriptor)
{
	static const char request[] = "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";

	send_text(descriptor, request, strlen(request));
	THREAD_LOCKED(&fixture->mutex);
	while (!fixture->held)
		(void)thread_condition_wait(&fixture->changed, &fixture->mutex, UINT64_MAX);
}

static void an_answer_that_comes_too_late_hurts_nobody(void **state)
{
	struct fixture *fixture = *state;
	BUFFER_CLEANUP struct buffer text = { 0 };
	int descriptor = dial(fixture);

	hold(fixture, descriptor);
	receive(descriptor, &text, NULL); /* closed after the time for answers */
	assert_int_equal(text.length, 0);
	echo(fixture->held);
	close(descriptor);
}

static void the_server_may_go_before_the_answer(void **state)
{
	struct fixture *fixture = *state;
	int descriptor = dial(fixture);

	hold(fixture, descriptor);
	http_server_free(fixture->server);
	fixture->server = NULL;
	echo(fixture->held);
	close(descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_body_comes_in_pieces_and_the_connection_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_behind_a_body_wait_their_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(large_bodies_arrive_up_to_the_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(doubtful_bodies_are_refused, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(an_answer_that_comes_too_late_hurts_nobody, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(the_server_may_go_before_the_answer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
