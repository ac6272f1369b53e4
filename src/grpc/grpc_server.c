/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "grpc/grpc_server_internal.h"
#include "io/thread.h"

enum { PLAIN_CONNECTIONS = 256, LAST_WORDS_MS = 250 };

static void on_room(struct http2_connection *http2, void *argument)
{
	grpc_connection_serve_waiting(argument);
}

static void connection_close(struct grpc_connection *connection)
{
	struct grpc_server *server = connection->server;

	while (!LIST_EMPTY(&connection->calls))
		grpc_call_end(LIST_FIRST(&connection->calls));
	LIST_REMOVE(connection, link);
	http2_connection_free(connection->http2);
	http2_listener_release(server->listener);
	free(connection->common_name);
	free(connection->peer);
	free(connection);
	THREAD_LOCKED(&server->mutex);
	server->open--;
	pthread_cond_signal(&server->changed);
}

static void on_closed(struct http2_connection *http2, const struct error *err, void *argument)
{
	connection_close(argument);
}

static const struct http2_connection_events connection_events = {
	.on_stream = grpc_connection_open_stream,
	.on_room = on_room,
	.on_closed = on_closed,
};

static void on_http2(struct transport *transport, const char *peer, void *argument)
{
	struct grpc_server *server = argument;
	struct grpc_connection *connection = calloc(1, sizeof(*connection));
	const struct http2_options options = {
		.loop = server->options.loop,
		.server = true,
		.peer = peer,
		.ping_idle_ms = server->options.ping_idle_ms,
		.ping_answer_ms = server->options.ping_answer_ms,
		.maximum_streams = server->options.maximum_streams,
		.maximum_header = GRPC_SERVER_METADATA,
		.ping_minimum_ms = GRPC_SERVER_PING_MINIMUM_MS,
		.stream_queue = GRPC_CALL_QUEUE,
	};

	if (connection == NULL)
		abort();
	connection->server = server;
	connection->peer = string_dup(peer);
	connection->identity.verified = transport_take_identity(transport, &connection->common_name);
	connection->identity.common_name = connection->common_name;
	LIST_INIT(&connection->calls);
	TAILQ_INIT(&connection->waiting);
	LIST_INSERT_HEAD(&server->connections, connection, link);
	connection->http2 = http2_connection_new(&options, transport, &connection_events, connection);
	THREAD_LOCKED(&server->mutex);
	server->open++;
}

static void on_http1(struct transport *transport, const char *peer, void *argument)
{
	http_server_adopt(((struct grpc_server *)argument)->http1, transport);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct grpc_method *)a)->path, ((const struct grpc_method *)b)->path);
}

static unsigned or_default(unsigned value, unsigned fallback)
{
	return value ? value : fallback;
}

static void start_on_loop(void *argument)
{
	struct grpc_server *server = argument;

	grpc_deadlines_init(&server->deadlines, server->options.loop, grpc_call_expired, server);
}

struct grpc_server *grpc_server_new(const struct grpc_server_options *options)
{
	struct grpc_server *server = calloc(1, sizeof(*server));
	struct http2_listener_options listener = {
		.loop = options->loop,
		.maximum_connections = or_default(options->maximum_connections, GRPC_SERVER_CONNECTIONS),
		.handshake_ms = or_default(options->handshake_ms, GRPC_SERVER_HANDSHAKE_MS),
		.on_http2 = on_http2,
		.on_http1 = on_http1,
		.argument = server,
	};
	struct http_server_options plain = {
		.loop = options->loop,
		.handler = grpc_plain_handler,
		.argument = server,
		.maximum_connections = PLAIN_CONNECTIONS,
	};
	struct error err;

	if (server == NULL)
		abort();
	server->options = *options;
	server->options.ping_idle_ms = or_default(options->ping_idle_ms, GRPC_SERVER_PING_IDLE_MS);
	server->options.ping_answer_ms = or_default(options->ping_answer_ms, GRPC_SERVER_PING_ANSWER_MS);
	server->options.maximum_streams = or_default(options->maximum_streams, GRPC_SERVER_STREAMS);
	if (server->options.maximum_message == 0)
		server->options.maximum_message = GRPC_SERVER_MESSAGE;
	server->methods = calloc(options->method_count + 1, sizeof(*server->methods));
	if (server->methods == NULL)
		abort();
	if (options->method_count > 0)
		memcpy(server->methods, options->methods, options->method_count * sizeof(*server->methods));
	qsort(server->methods, options->method_count, sizeof(*server->methods), compare_paths);
	server->method_statistics = calloc(options->method_count + 1, sizeof(*server->method_statistics));
	if (server->method_statistics == NULL)
		abort();
	for (size_t i = 0; i < options->method_count; i++)
		server->method_statistics[i].method = &server->methods[i];
	LIST_INIT(&server->connections);
	pthread_mutex_init(&server->mutex, NULL);
	thread_condition_init(&server->changed);
	loop_call(options->loop, start_on_loop, server);
	server->http1 = http_server_new(&plain, &err); /* without an address nothing can fail */
	server->listener = http2_listener_new(&listener);
	return server;
}

int grpc_server_listen(struct grpc_server *server, const char *address, struct tls_identity *identity, struct error *err)
{
	return http2_listener_add(server->listener, address, identity, err);
}

void grpc_server_set_identity(struct grpc_server *server, struct tls_identity *identity)
{
	http2_listener_set_identity(server->listener, identity);
}

uint16_t grpc_server_port(const struct grpc_server *server)
{
	return http2_listener_port(server->listener);
}

struct adoption {
	struct grpc_server *server;
	int descriptor;
};

static void adopt_on_loop(void *argument)
{
	const struct adoption *adoption = argument;

	http2_listener_adopt(adoption->server->listener, adoption->descriptor, "adopted");
}

void grpc_server_adopt(struct grpc_server *server, int descriptor)
{
	struct adoption adoption = { server, descriptor };

	loop_call(server->options.loop, adopt_on_loop, &adoption);
}

struct statistics_question {
	struct grpc_server *server;
	struct grpc_statistics answer;
};

static void statistics_on_loop(void *argument)
{
	struct statistics_question *question = argument;
	struct http2_listener_statistics listener = http2_listener_statistics(question->server->listener);

	question->answer = question->server->statistics;
	question->answer.connections = listener.connections;
	question->answer.accepted = listener.accepted;
	question->answer.refused_connections = listener.refused;
	question->answer.failed_handshakes = listener.failed_handshakes;
}

const struct grpc_method_statistics *grpc_server_method_statistics(const struct grpc_server *server, size_t *count)
{
	*count = server->options.method_count;
	return server->method_statistics;
}

struct grpc_statistics grpc_server_statistics(struct grpc_server *server)
{
	struct statistics_question question = { .server = server };

	loop_call(server->options.loop, statistics_on_loop, &question);
	return question.answer;
}

/* Draining may close a connection only at the pump's next turn, so the list stays as it is meanwhile. */
static void drain_on_loop(void *argument)
{
	struct grpc_server *server = argument;
	struct grpc_connection *connection;

	server->closing = true;
	http2_listener_close(server->listener);
	LIST_FOREACH(connection, &server->connections, link)
	http2_connection_drain(connection->http2);
}

static void end_calls_on_loop(void *argument)
{
	struct grpc_server *server = argument;
	struct grpc_connection *connection;
	struct grpc_call *call;

	LIST_FOREACH(connection, &server->connections, link)
	LIST_FOREACH(call, &connection->calls, link)
	grpc_call_abort(call, GRPC_UNAVAILABLE, "server is shutting down");
}

static void close_on_loop(void *argument)
{
	struct grpc_server *server = argument;

	while (!LIST_EMPTY(&server->connections))
		connection_close(LIST_FIRST(&server->connections));
	http2_listener_free(server->listener);
	grpc_deadlines_free(&server->deadlines);
}

static bool wait_until_closed(struct grpc_server *server, unsigned milliseconds)
{
	uint64_t deadline = clock_monotonic_ms() + milliseconds;
	int outcome = 0;

	THREAD_LOCKED(&server->mutex);
	while (server->open > 0 && outcome == 0)
		outcome = thread_condition_wait(&server->changed, &server->mutex, deadline);
	return server->open == 0;
}

void grpc_server_free(struct grpc_server *server, unsigned grace_ms)
{
	if (server == NULL)
		return;
	loop_call(server->options.loop, drain_on_loop, server);
	if (!wait_until_closed(server, grace_ms)) {
		loop_call(server->options.loop, end_calls_on_loop, server);
		(void)wait_until_closed(server, LAST_WORDS_MS);
	}
	loop_call(server->options.loop, close_on_loop, server);
	http_server_free(server->http1);
	pthread_cond_destroy(&server->changed);
	pthread_mutex_destroy(&server->mutex);
	free(server->methods);
	free(server->method_statistics);
	free(server);
}
