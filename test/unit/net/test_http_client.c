/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "h2_test_server.h"
#include "io/loop.h"
#include "net/http_client.h"

/* No resolver has to be asked to know that this cannot be: labels have 63 characters at most. */
#define TOO_LONG_LABEL "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.invalid"

enum { PATIENCE_MS = 30000 }; /* what should answer gets time also on a busy machine */

struct fixture {
	struct loop *loop;
	struct h2_test_server *server;
	struct http_client *client;
};

static struct http_client *client_new(struct fixture *fixture, struct http_client_options options)
{
	struct http_client *client;
	struct error err;

	options.loop = fixture->loop;
	options.host = options.host ? options.host : "127.0.0.1";
	options.port = options.port ? options.port : h2_test_server_port(fixture->server);
	client = http_client_new(&options, &err);
	assert_non_null(client);
	return client;
}

static int setup_with(void **state, struct h2_test_options server, struct http_client_options options)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err;

	fixture->loop = loop_start("test", &err);
	fixture->server = h2_test_server_start(&server);
	fixture->client = client_new(fixture, options);
	*state = fixture;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, (struct h2_test_options){ 0 }, (struct http_client_options){ 0 });
}

static int setup_few_streams(void **state)
{
	return setup_with(state, (struct h2_test_options){ .maximum_streams = 2 },
	                  (struct http_client_options){ .maximum_connections = 3 });
}

static int setup_impatient(void **state)
{
	return setup_with(state, (struct h2_test_options){ 0 },
	                  (struct http_client_options){ .ping_idle_ms = 100, .ping_answer_ms = 1500, .idle_close_ms = 300 });
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	http_client_free(fixture->client);
	h2_test_server_stop(fixture->server);
	loop_stop(fixture->loop);
	free(fixture);
	return 0;
}

static int request(struct fixture *fixture, struct http_request wanted, struct http_response *response, struct error *err)
{
	if (wanted.timeout_ms == 0)
		wanted.timeout_ms = PATIENCE_MS;
	return http_client_request(fixture->client, &wanted, response, NULL, err);
}

static void expect_ok(struct fixture *fixture, const char *path)
{
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct error err = { 0 };

	if (request(fixture, (struct http_request){ .path = path }, &response, &err) != 0)
		fail_msg("%s: %s", path, err.message);
	assert_int_equal(response.status, 200);
	assert_string_equal(response.body.data, "hello");
}

static void expect_error(struct fixture *fixture, const char *path, unsigned timeout_ms, enum error_class class, const char *text)
{
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct error err = { 0 };

	assert_int_equal(request(fixture, (struct http_request){ .path = path, .timeout_ms = timeout_ms }, &response, &err), -1);
	if (strstr(err.message, text) == NULL || err.class != class)
		fail_msg("%s gave %s: %s", path, error_class_name(err.class), err.message);
}

static void answers_and_reuses_the_connection(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 20; i++)
		expect_ok(fixture, "/ok");
	assert_int_equal(h2_test_server_connections(fixture->server), 1);
	assert_int_equal(h2_test_server_requests(fixture->server), 20);
}

static void gives_headers_status_and_trailers(void **state)
{
	struct fixture *fixture = *state;
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_response missing HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_response trailed HTTP_RESPONSE_CLEANUP = { 0 };
	struct error err;

	assert_int_equal(request(fixture, (struct http_request){ .path = "/ok" }, &response, &err), 0);
	assert_string_equal(http_headers_get(&response.headers, "content-type"), "text/plain");
	assert_null(http_headers_get(&response.headers, "x-end"));
	assert_int_equal(request(fixture, (struct http_request){ .path = "/status?n=404" }, &missing, &err), 0);
	assert_int_equal(missing.status, 404);
	assert_int_equal(missing.body.length, 0);
	assert_int_equal(request(fixture, (struct http_request){ .path = "/trailers" }, &trailed, &err), 0);
	assert_string_equal(trailed.body.data, "body");
	assert_string_equal(http_headers_get(&trailed.trailers, "x-end"), "yes");
}

static void sends_bodies_of_all_sizes(void **state)
{
	struct fixture *fixture = *state;
	size_t sizes[] = { 1, 100, 16384, 65535, 65536, 300000, 1500000 };
	struct error err;

	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
		char *body FREE_CLEANUP = malloc(sizes[i]);

		for (size_t j = 0; j < sizes[i]; j++)
			body[j] = (char)(j * 31 % 251);
		if (request(fixture, (struct http_request){ .method = "POST", .path = "/echo", .body = body, .body_length = sizes[i] },
		            &response, &err) != 0)
			fail_msg("%s", err.message);
		assert_int_equal(response.body.length, sizes[i]);
		assert_memory_equal(response.body.data, body, sizes[i]);
	}
}

static void never_indexes_authorization(void **state)
{
	struct fixture *fixture = *state;
	struct http_header headers[] = { { "authorization", "Bearer abc", false }, { "x-plain", "p", false }, { "x-token", "t", true } };
	const char *paths[] = { "/header?n=authorization", "/header?n=x-plain", "/header?n=x-token" };
	const char *wanted[] = { "Bearer abc (never indexed)", "p", "t (never indexed)" };
	struct error err;

	for (int i = 0; i < 3; i++) {
		struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };

		assert_int_equal(
			request(fixture, (struct http_request){ .path = paths[i], .headers = headers, .header_count = 3 }, &response, &err),
			0);
		assert_string_equal(response.body.data, wanted[i]);
	}
}

static void limits_the_body(void **state)
{
	struct fixture *fixture = *state;
	struct http_response small HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_response large HTTP_RESPONSE_CLEANUP = { 0 };
	struct error err;

	assert_int_equal(request(fixture, (struct http_request){ .path = "/big?n=1000", .response_limit = 1000 }, &small, &err), 0);
	assert_int_equal(small.body.length, 1000);
	assert_int_equal(request(fixture, (struct http_request){ .path = "/big?n=5000000", .response_limit = 100000 }, &large, &err), -1);
	assert_int_equal(err.class, ERROR_EXHAUSTED);
	expect_ok(fixture, "/ok");
	assert_int_equal(h2_test_server_connections(fixture->server), 1);
}

static void tries_again_what_was_not_processed(void **state)
{
	struct fixture *fixture = *state;

	expect_ok(fixture, "/refuse?n=3");
	assert_int_equal(h2_test_server_requests(fixture->server), 4);
	assert_int_equal(h2_test_server_connections(fixture->server), 1);
}

static void moves_on_after_goaway(void **state)
{
	struct fixture *fixture = *state;

	expect_ok(fixture, "/ok");
	expect_ok(fixture, "/goaway-refuse?n=2");
	assert_int_equal(h2_test_server_connections(fixture->server), 3);
}

static void gives_up_after_the_attempts(void **state)
{
	expect_error(*state, "/refuse?n=100", 0, ERROR_TRANSIENT, "REFUSED_STREAM");
	assert_int_equal(h2_test_server_requests(((struct fixture *)*state)->server), HTTP_CLIENT_MAXIMUM_ATTEMPTS);
}

static void names_every_failure(void **state)
{
	struct fixture *fixture = *state;

	expect_error(fixture, "/reset", 0, ERROR_TRANSIENT, "INTERNAL_ERROR");
	expect_error(fixture, "/truncate", 0, ERROR_TRANSIENT, "connection closed by 127.0.0.1");
	expect_error(fixture, "/goaway-mid", 0, ERROR_TRANSIENT, "closed by");
	expect_error(fixture, "/close", 0, ERROR_TRANSIENT, "closed by");
	expect_error(fixture, "/huge-header?n=65530", 0, ERROR_EXHAUSTED, "header of more than");
	expect_error(fixture, "/huge-header?n=1000000", 0, ERROR_TRANSIENT, "broke the rules of HTTP/2");
	expect_error(fixture, "/garbage", 0, ERROR_TRANSIENT, "127.0.0.1");
	expect_error(fixture, "/stall", 300, ERROR_TIMEOUT, "no complete answer");
	expect_error(fixture, "/trickle?n=1000", 300, ERROR_TIMEOUT, "no complete answer");
	expect_error(fixture, "no-slash", 0, ERROR_INVALID, "must start with");
	expect_error(fixture, "/with space", 0, ERROR_INVALID, "no spaces");
	expect_ok(fixture, "/ok");
}

static void takes_an_early_answer(void **state)
{
	struct fixture *fixture = *state;
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	char *body FREE_CLEANUP = calloc(1, 1000000);
	struct error err;

	assert_int_equal(request(fixture, (struct http_request){ .method = "POST", .path = "/early", .body = body, .body_length = 1000000 },
	                         &response, &err),
	                 0);
	assert_string_equal(response.body.data, "early");
	expect_ok(fixture, "/ok");
}

static void refused_connections_are_transient(void **state)
{
	struct fixture *fixture = *state;
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_client *client = client_new(fixture, (struct http_client_options){ .port = 1 });
	struct error err;

	assert_int_equal(http_client_request(client, &(struct http_request){ .path = "/ok" }, &response, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_TRANSIENT);
	assert_string_equal(err.message, "connect to 127.0.0.1:1: Connection refused");
	http_client_free(client);
}

static void resolves_names(void **state)
{
	struct fixture *fixture = *state;
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_response failed HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_client *client = client_new(fixture, (struct http_client_options){ .host = "localhost" });
	struct http_client *unknown = client_new(fixture, (struct http_client_options){ .host = TOO_LONG_LABEL });
	struct error err = { 0 };

	if (http_client_request(client, &(struct http_request){ .path = "/ok" }, &response, NULL, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(http_client_request(unknown, &(struct http_request){ .path = "/ok" }, &failed, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_TRANSIENT);
	assert_non_null(strstr(err.message, "resolve x"));
	http_client_free(client);
	http_client_free(unknown);
}

struct parallel {
	struct fixture *fixture;
	const char *path;
	unsigned count, failures;
	pthread_t thread;
};

static void *parallel_thread(void *argument)
{
	struct parallel *parallel = argument;

	for (unsigned i = 0; i < parallel->count; i++) {
		struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
		struct error err;

		if (request(parallel->fixture, (struct http_request){ .path = parallel->path }, &response, &err) != 0 ||
		    response.status != 200) {
			fprintf(stderr, "%s\n", err.message);
			parallel->failures++;
		}
	}
	return NULL;
}

static void run_parallel(struct fixture *fixture, const char *path, unsigned threads, unsigned each)
{
	struct parallel jobs[16];

	for (unsigned i = 0; i < threads; i++) {
		jobs[i] = (struct parallel){ .fixture = fixture, .path = path, .count = each };
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, parallel_thread, &jobs[i]), 0);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(jobs[i].thread, NULL);
		assert_int_equal(jobs[i].failures, 0);
	}
}

static void serves_many_threads(void **state)
{
	struct fixture *fixture = *state;

	run_parallel(fixture, "/big?n=20000", 16, 20);
	assert_int_equal(h2_test_server_connections(fixture->server), 1);
}

static void opens_more_connections_when_streams_run_out(void **state)
{
	struct fixture *fixture = *state;

	run_parallel(fixture, "/trickle?n=5", 12, 2);
	assert_in_range(h2_test_server_connections(fixture->server), 2, 3);
}

struct cancelling {
	struct cancel *cancel;
	pthread_t thread;
};

static void *cancel_soon(void *argument)
{
	usleep(50000);
	cancel_trigger(((struct cancelling *)argument)->cancel);
	return NULL;
}

static void cancels_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct cancelling cancelling = { .cancel = cancel_new(NULL, UINT64_MAX) };
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_response again HTTP_RESPONSE_CLEANUP = { 0 };
	uint64_t started = clock_monotonic_ms();
	struct error err;

	pthread_create(&cancelling.thread, NULL, cancel_soon, &cancelling);
	assert_int_equal(
		http_client_request(fixture->client, &(struct http_request){ .path = "/stall" }, &response, cancelling.cancel, &err), -1);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_in_range(clock_monotonic_ms() - started, 40, PATIENCE_MS / 2);
	pthread_join(cancelling.thread, NULL);
	assert_int_equal(http_client_request(fixture->client, &(struct http_request){ .path = "/ok" }, &again, cancelling.cancel, &err),
	                 -1);
	assert_int_equal(err.class, ERROR_CANCELLED);
	for (int i = 0; i < 1000 && h2_test_server_cancels(fixture->server) == 0; i++)
		usleep(10000);
	assert_int_equal(h2_test_server_cancels(fixture->server), 1);
	cancel_free(cancelling.cancel);
}

static void keeps_the_tokens_deadline(void **state)
{
	struct fixture *fixture = *state;
	struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + 100);
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct error err;

	assert_int_equal(http_client_request(fixture->client, &(struct http_request){ .path = "/stall" }, &response, cancel, &err), -1);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	cancel_free(cancel);
}

static void notices_a_silent_connection(void **state)
{
	struct fixture *fixture = *state;
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	uint64_t started = clock_monotonic_ms();
	struct error err;

	assert_int_equal(request(fixture, (struct http_request){ .path = "/freeze" }, &response, &err), -1);
	assert_int_equal(err.class, ERROR_TRANSIENT);
	assert_non_null(strstr(err.message, "silent"));
	assert_in_range(clock_monotonic_ms() - started, 150, PATIENCE_MS / 2);
	expect_ok(fixture, "/ok");
}

static void pings_keep_a_quiet_stream_alive_and_idle_ones_close(void **state)
{
	struct fixture *fixture = *state;
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct error err;

	assert_int_equal(request(fixture, (struct http_request){ .path = "/stall", .timeout_ms = 3000 }, &response, &err), -1);
	assert_int_equal(err.class, ERROR_TIMEOUT); /* not "silent": the server answered every PING */
	assert_int_equal(h2_test_server_open(fixture->server), 1);
	for (int i = 0; i < 1000 && h2_test_server_open(fixture->server) > 0; i++)
		usleep(10000);
	assert_int_equal(h2_test_server_open(fixture->server), 0);
	expect_ok(fixture, "/ok");
	assert_int_equal(h2_test_server_connections(fixture->server), 2);
}

static void refuses_the_loops_thread_request(void *argument)
{
	struct fixture *fixture = argument;
	struct http_response response = { 0 };
	struct error err;

	assert_int_equal(http_client_request(fixture->client, &(struct http_request){ .path = "/ok" }, &response, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_BUG);
}

static void refuses_the_loops_thread(void **state)
{
	struct fixture *fixture = *state;

	loop_call(fixture->loop, refuses_the_loops_thread_request, fixture);
}

static void refuses_wrong_options(void **state)
{
	struct fixture *fixture = *state;
	struct http_client_options options = { .loop = fixture->loop, .host = "a.example", .port = 443, .proxy_url = "https://proxy:1" };
	struct error err;

	assert_null(http_client_new(&options, &err));
	assert_int_equal(err.class, ERROR_INVALID);
	options.proxy_url = "http://proxy";
	assert_null(http_client_new(&options, &err));
	options.proxy_url = NULL;
	options.connect_address = "not-an-ip";
	assert_null(http_client_new(&options, &err));
	options.connect_address = NULL;
	options.port = 0;
	assert_null(http_client_new(&options, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_and_reuses_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(gives_headers_status_and_trailers, setup, teardown),
		cmocka_unit_test_setup_teardown(sends_bodies_of_all_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(never_indexes_authorization, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_the_body, setup, teardown),
		cmocka_unit_test_setup_teardown(tries_again_what_was_not_processed, setup, teardown),
		cmocka_unit_test_setup_teardown(moves_on_after_goaway, setup, teardown),
		cmocka_unit_test_setup_teardown(gives_up_after_the_attempts, setup, teardown),
		cmocka_unit_test_setup_teardown(names_every_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_an_early_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_connections_are_transient, setup, teardown),
		cmocka_unit_test_setup_teardown(resolves_names, setup, teardown),
		cmocka_unit_test_setup_teardown(serves_many_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(opens_more_connections_when_streams_run_out, setup_few_streams, teardown),
		cmocka_unit_test_setup_teardown(cancels_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_the_tokens_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(notices_a_silent_connection, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(pings_keep_a_quiet_stream_alive_and_idle_ones_close, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(refuses_the_loops_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_wrong_options, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
