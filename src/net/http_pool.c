/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of a client: made on demand, shared, retired. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "net/http_client_internal.h"

static void connection_remove(struct pool_connection *connection)
{
	LIST_REMOVE(connection, link);
	dial_free(connection->dial);
	http2_connection_free(connection->http2);
	free(connection);
}

/* Ends the streams of one connection; on_end may close handles, never connections. */
static void end_streams(struct pool_connection *connection, const struct error *err)
{
	static const struct http_headers none;
	struct http_stream *stream;

	while ((stream = TAILQ_FIRST(&connection->streams)) != NULL)
		http_stream_end(stream, &none, err);
}

static void on_room(struct http2_connection *http2, void *argument)
{
	struct pool_connection *connection = argument;

	/*
	 * A server that shuts down says GOAWAY and lets streams go on, for a minute in the case of kube-apiserver, whose watches tell nothing
	 * any more by then: begin them anew elsewhere at once.
	 */
	if (connection->kind == POOL_LONG_LIVED && http2_connection_is_leaving(http2)) {
		struct error err;

		error_set(&err, ERROR_TRANSIENT, "%s is going away", connection->client->authority);
		end_streams(connection, &err);
	}
	http_pool_dispatch(connection->client, connection->kind);
}

static void on_closed(struct http2_connection *http2, const struct error *err, void *argument)
{
	struct pool_connection *connection = argument;
	struct http_client *client = connection->client;
	enum pool_kind kind = connection->kind;

	connection_remove(connection);
	http_pool_dispatch(client, kind);
}

static const struct http2_connection_events connection_events = { .on_room = on_room, .on_closed = on_closed };

static bool has_live_connection(const struct http_client *client, enum pool_kind kind)
{
	struct pool_connection *connection;

	LIST_FOREACH(connection, &client->connections, link)
	if (connection->kind == kind && !connection->retiring && connection->http2 != NULL &&
	    (http2_connection_room(connection->http2) > 0 || !TAILQ_EMPTY(&connection->streams)))
		return true;
	return false;
}

/*
 * Those that wait now; what their on_end starts anew is a new story. on_end may also close others that wait, so the list is looked at
 * afresh each time.
 */
static void fail_waiting(struct http_client *client, enum pool_kind kind, const struct error *err)
{
	static const struct http_headers none;
	struct http_stream *stream;

	TAILQ_FOREACH(stream, &client->waiting[kind], link)
	stream->doomed = true;
	do {
		TAILQ_FOREACH(stream, &client->waiting[kind], link)
		if (stream->doomed)
			break;
		if (stream != NULL)
			http_stream_end(stream, &none, err);
	} while (stream != NULL);
}

static void dialed(struct transport *transport, const struct error *err, void *argument)
{
	struct pool_connection *connection = argument;
	struct http_client *client = connection->client;
	enum pool_kind kind = connection->kind;
	struct http2_options options = {
		.loop = client->loop,
		.peer = client->authority,
		.ping_idle_ms = client->ping_idle_ms,
		.ping_answer_ms = client->ping_answer_ms,
		.idle_close_ms = client->idle_close_ms,
		.maximum_streams = HTTP_CLIENT_MAXIMUM_STREAMS,
	};
	struct error cause = { 0 };

	if (err != NULL)
		cause = *err; /* may live in the dial */
	dial_free(connection->dial);
	connection->dial = NULL;
	if (transport != NULL) {
		connection->http2 = http2_connection_new(&options, transport, &connection_events, connection);
		http_pool_dispatch(client, kind);
		return;
	}
	connection_remove(connection);
	if (kind == POOL_REQUESTS && has_live_connection(client, kind))
		return; /* others will have room in time; watches may hold theirs for ever */
	http_client_ref(client);
	fail_waiting(client, kind, &cause);
	if (!client->ending)
		http_pool_dispatch(client, kind);
	http_client_unref(client);
}

static void dial_another(struct http_client *client, enum pool_kind kind)
{
	struct pool_connection *connection = calloc(1, sizeof(*connection));
	struct dial_options options = {
		.loop = client->loop,
		.resolver = client->resolver,
		.port = client->dial_port,
		.authority = client->authority,
		.identity = client->identity,
		.server_name = client->server_name,
		.proxy = client->proxy,
		.proxy_authorization = client->proxy_authorization,
		.timeout_ms = client->connect_timeout_ms,
	};

	if (connection == NULL)
		abort();
	connection->client = client;
	connection->kind = kind;
	TAILQ_INIT(&connection->streams);
	LIST_INSERT_HEAD(&client->connections, connection, link);
	connection->dial = dial_start(&options, dialed, connection);
}

static struct pool_connection *connection_with_room(const struct http_client *client, enum pool_kind kind)
{
	struct pool_connection *connection;

	LIST_FOREACH(connection, &client->connections, link)
	if (connection->kind == kind && !connection->retiring && connection->http2 != NULL && http2_connection_room(connection->http2) > 0)
		return connection;
	return NULL;
}

void http_pool_dispatch(struct http_client *client, enum pool_kind kind)
{
	struct pool_connection *connection;
	struct http_stream *stream, *next;
	uint64_t now = clock_monotonic_ms();
	unsigned ready = 0, dialing = 0, count = 0;

	if (client->ending)
		return;
	for (stream = TAILQ_FIRST(&client->waiting[kind]); stream != NULL; stream = next) {
		next = TAILQ_NEXT(stream, link);
		if (stream->retry_at_ms > now)
			continue;
		connection = connection_with_room(client, kind);
		if (connection != NULL)
			http_stream_open_on(stream, connection);
		else
			ready++;
	}
	LIST_FOREACH(connection, &client->connections, link)
	{
		if (connection->kind != kind || connection->retiring)
			continue;
		count++;
		if (connection->dial != NULL)
			dialing++;
	}
	if (ready > dialing * HTTP_CLIENT_MAXIMUM_STREAMS && count < client->maximum_connections)
		dial_another(client, kind);
}

void http_pool_teardown(struct http_client *client)
{
	struct pool_connection *connection;
	struct error err;

	client->ending = true;
	error_set(&err, ERROR_CANCELLED, "the client of %s is being closed", client->authority);
	for (int kind = 0; kind < POOL_KINDS; kind++)
		fail_waiting(client, kind, &err);
	while ((connection = LIST_FIRST(&client->connections)) != NULL) {
		end_streams(connection, &err);
		connection_remove(connection);
	}
}

void http_pool_retire(struct http_client *client)
{
	struct pool_connection *connection, *next;
	struct error err;

	error_set(&err, ERROR_TRANSIENT, "credentials for %s have changed", client->authority);
	for (connection = LIST_FIRST(&client->connections); connection != NULL; connection = next) {
		next = LIST_NEXT(connection, link);
		if (connection->dial != NULL) {
			connection_remove(connection);
			continue;
		}
		connection->retiring = true;
		if (connection->kind == POOL_LONG_LIVED)
			end_streams(connection, &err);
		http2_connection_drain(connection->http2);
	}
	for (int kind = 0; kind < POOL_KINDS; kind++)
		http_pool_dispatch(client, kind);
}

void http_pool_describe(struct http_client *client, enum pool_kind kind, char *text, size_t size)
{
	struct pool_connection *connection;

	LIST_FOREACH(connection, &client->connections, link)
	{
		if (connection->kind == kind && connection->dial != NULL) {
			dial_describe(connection->dial, text, size);
			return;
		}
	}
	(void)snprintf(text, size, "waiting for a free stream to %s", client->authority);
}
