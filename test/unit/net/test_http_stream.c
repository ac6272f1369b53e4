/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "h2_test_server.h"
#include "io/loop.h"
#include "io/thread.h"
#include "net/http2_connection.h"
#include "net/http_client.h"

/* What the callbacks saw; they run on the loop, the test looks from outside. */
struct seen {
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	int status;
	size_t bytes;
	unsigned ends;
	struct error error;
	bool ended, close_in_end, close_in_data, restart;
	struct http_client *client;
	struct http_stream *stream;
};

struct fixture {
	struct loop *loop;
	struct h2_test_server *server;
	struct http_client *client;
	struct seen seen;
	unsigned observations;
};

static void observe(const struct http_observation *observation, void *argument)
{
	struct fixture *fixture = argument;

	THREAD_LOCKED(&fixture->seen.mutex);
	fixture->observations++;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct http_client_options options = {
		.host = "127.0.0.1", .observe = observe, .observe_argument = fixture, .ping_idle_ms = 300, .ping_answer_ms = 2000
	};
	struct error err;

	pthread_mutex_init(&fixture->seen.mutex, NULL);
	thread_condition_init(&fixture->seen.condition);
	options.loop = fixture->loop = loop_start("test", &err);
	fixture->server = h2_test_server_start(&(struct h2_test_options){ 0 });
	options.port = h2_test_server_port(fixture->server);
	fixture->client = fixture->seen.client = http_client_new(&options, &err);
	*state = fixture;
	return 0;
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

static void on_headers(struct http_stream *stream, int status, const struct http_headers *headers, void *argument)
{
	struct seen *seen = argument;

	THREAD_LOCKED(&seen->mutex);
	seen->status = status;
	pthread_cond_broadcast(&seen->condition);
}

static void on_data(struct http_stream *stream, const char *bytes, size_t length, void *argument)
{
	struct seen *seen = argument;

	if (seen->close_in_data)
		http_stream_close(stream);
	THREAD_LOCKED(&seen->mutex);
	seen->bytes += length;
	seen->ended = seen->ended || seen->close_in_data;
	pthread_cond_broadcast(&seen->condition);
}

static void on_end(struct http_stream *stream, const struct http_headers *trailers, const struct error *err, void *argument);

static const struct http_stream_callbacks callbacks = { .on_headers = on_headers, .on_data = on_data, .on_end = on_end };

static void on_end(struct http_stream *stream, const struct http_headers *trailers, const struct error *err, void *argument)
{
	struct seen *seen = argument;

	if (seen->close_in_end)
		http_stream_close(stream);
	if (seen->restart) { /* what a watch does: the next one from within the end of the last */
		seen->restart = false;
		seen->stream =
			http_client_stream(seen->client, &(struct http_request){ .path = "/watch", .long_lived = true }, &callbacks, seen);
	}
	THREAD_LOCKED(&seen->mutex);
	if (err != NULL)
		seen->error = *err;
	seen->ends++;
	seen->ended = true;
	pthread_cond_broadcast(&seen->condition);
}

static void wait_bytes(struct seen *seen, size_t bytes)
{
	uint64_t deadline = clock_monotonic_ms() + 30000;

	THREAD_LOCKED(&seen->mutex);
	while (seen->bytes < bytes && !seen->ended && thread_condition_wait(&seen->condition, &seen->mutex, deadline) == 0)
		;
	if (seen->bytes < bytes)
		fail_msg("%zu of %zu bytes came: %s", seen->bytes, bytes, seen->error.message);
}

static void wait_end(struct seen *seen)
{
	uint64_t deadline = clock_monotonic_ms() + 30000;

	THREAD_LOCKED(&seen->mutex);
	while (!seen->ended && thread_condition_wait(&seen->condition, &seen->mutex, deadline) == 0)
		;
	assert_true(seen->ended);
}

static struct http_stream *start(struct fixture *fixture, const char *path)
{
	return http_client_stream(fixture->client, &(struct http_request){ .path = path, .long_lived = true }, &callbacks, &fixture->seen);
}

static void a_watch_has_its_own_connection_and_stays(void **state)
{
	struct fixture *fixture = *state;
	struct http_stream *stream = start(fixture, "/watch");
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct error err;

	wait_bytes(&fixture->seen, 4);
	assert_int_equal(fixture->seen.status, 200);
	assert_int_equal(http_client_request(fixture->client, &(struct http_request){ .path = "/ok" }, &response, NULL, &err), 0);
	assert_int_equal(h2_test_server_connections(fixture->server), 2);
	usleep(2700000); /* longer than PING and its answer */
	assert_false(fixture->seen.ended);
	http_stream_close(stream);
	for (int i = 0; i < 1000 && h2_test_server_cancels(fixture->server) == 0; i++)
		usleep(10000);
	assert_int_equal(h2_test_server_cancels(fixture->server), 1);
	assert_int_equal(fixture->seen.ends, 0);
	assert_int_equal(fixture->observations, 2);
}

static void closes_inside_callbacks(void **state)
{
	struct fixture *fixture = *state;

	fixture->seen.close_in_data = true;
	(void)start(fixture, "/big?n=1000000");
	wait_end(&fixture->seen);
	assert_int_equal(fixture->seen.ends, 0);
	fixture->seen.ended = fixture->seen.close_in_data = false;
	fixture->seen.close_in_end = true;
	(void)start(fixture, "/ok");
	wait_end(&fixture->seen);
	assert_int_equal(fixture->seen.error.class, ERROR_NONE);
}

static void explicit_flow_stops_the_server(void **state)
{
	struct fixture *fixture = *state;
	struct http_request request = { .path = "/flood?n=8000000", .long_lived = true, .explicit_flow = true };
	struct http_stream *stream = http_client_stream(fixture->client, &request, &callbacks, &fixture->seen);
	struct http_stream *other;

	wait_bytes(&fixture->seen, HTTP2_STREAM_WINDOW);
	usleep(100000);
	assert_int_equal(fixture->seen.bytes, HTTP2_STREAM_WINDOW);
	assert_int_equal(h2_test_server_flooded(fixture->server), HTTP2_STREAM_WINDOW);
	/* The neighbour on the same connection is not stalled. */
	other = start(fixture, "/big?n=2000000");
	wait_bytes(&fixture->seen, HTTP2_STREAM_WINDOW + 2000000);
	assert_int_equal(h2_test_server_connections(fixture->server), 1);
	http_stream_close(other);
	http_stream_close(stream);
}

struct consumption {
	struct http_stream *stream;
	size_t bytes;
};

static void consume(void *argument)
{
	struct consumption *consumption = argument;

	http_stream_consume(consumption->stream, consumption->bytes);
}

static void consuming_lets_more_come(void **state)
{
	struct fixture *fixture = *state;
	struct http_request request = { .path = "/flood?n=1500000", .long_lived = true, .explicit_flow = true };
	struct consumption consumption = { .bytes = HTTP2_STREAM_WINDOW };

	consumption.stream = http_client_stream(fixture->client, &request, &callbacks, &fixture->seen);
	wait_bytes(&fixture->seen, HTTP2_STREAM_WINDOW);
	loop_call(fixture->loop, consume, &consumption);
	wait_bytes(&fixture->seen, 2 * HTTP2_STREAM_WINDOW);
	loop_call(fixture->loop, consume, &consumption);
	wait_bytes(&fixture->seen, 1500000);
	http_stream_close(consumption.stream);
}

static void new_credentials_restart_watches(void **state)
{
	struct fixture *fixture = *state;
	struct http_stream *first = start(fixture, "/watch");

	wait_bytes(&fixture->seen, 4);
	fixture->seen.restart = true;
	http_client_set_identity(fixture->client, NULL);
	wait_end(&fixture->seen);
	assert_int_equal(fixture->seen.error.class, ERROR_TRANSIENT);
	fixture->seen.ended = false;
	wait_bytes(&fixture->seen, 8);
	assert_int_equal(h2_test_server_connections(fixture->server), 2);
	http_stream_close(first);
	http_stream_close(fixture->seen.stream);
}

static void freeing_the_client_ends_streams(void **state)
{
	struct fixture *fixture = *state;
	struct http_stream *stream = start(fixture, "/watch"), *again;
	struct http_client_options options = { .loop = fixture->loop, .host = "127.0.0.1", .port = h2_test_server_port(fixture->server) };
	struct error err;

	wait_bytes(&fixture->seen, 4);
	fixture->seen.restart = true; /* and what it starts then ends too */
	http_client_free(fixture->client);
	assert_true(fixture->seen.ended);
	assert_int_equal(fixture->seen.error.class, ERROR_CANCELLED);
	again = fixture->seen.stream;
	for (int i = 0; i < 500 && fixture->seen.ends < 2; i++)
		usleep(10000);
	assert_int_equal(fixture->seen.ends, 2);
	http_stream_close(stream);
	http_stream_close(again);
	fixture->client = http_client_new(&options, &err);
}

static void broken_watches_say_so(void **state)
{
	struct fixture *fixture = *state;
	struct http_stream *stream = start(fixture, "/truncate");

	wait_end(&fixture->seen);
	assert_int_equal(fixture->seen.error.class, ERROR_TRANSIENT);
	assert_int_equal(fixture->seen.bytes, 10);
	http_stream_close(stream);
	fixture->seen.ended = false;
	stream = start(fixture, "/freeze");
	wait_end(&fixture->seen);
	assert_non_null(strstr(fixture->seen.error.message, "silent"));
	http_stream_close(stream);
}

static void closing_at_once_is_fine(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 100; i++)
		http_stream_close(start(fixture, "/watch"));
	assert_int_equal(fixture->seen.ends, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_watch_has_its_own_connection_and_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(closes_inside_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(explicit_flow_stops_the_server, setup, teardown),
		cmocka_unit_test_setup_teardown(consuming_lets_more_come, setup, teardown),
		cmocka_unit_test_setup_teardown(new_credentials_restart_watches, setup, teardown),
		cmocka_unit_test_setup_teardown(freeing_the_client_ends_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_watches_say_so, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_at_once_is_fine, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
