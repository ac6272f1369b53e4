/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "net/http1_request.h"
#include "net/socket.h"
#include "net/transport.h"

enum { ACCEPT_PAUSE_MS = 100, READ_CHUNK = 4096, LINGER_MS = 500, MAXIMUM_PIPELINED = 32 };

/*
 *   READING --header complete--> WRITING --all written--> READING, or closed, or LINGERING after a refusal: what the client still sends
 *      |                            ^                      is thrown away for a moment, since a close with unread bytes would be a
 *      +-- of a POST: body --> SERVING (not read from)     reset that eats our answer
 * One timer: the header's time from its first byte, the idle time before it, the time of one response, the linger.
 */
struct exchange {
	struct http_server_exchange public;
	struct connection *connection; /* NULL: gone */
	struct loop *loop;
	struct http_server_response response;
	char *path, *query;
	size_t body_length;
};

struct connection {
	LIST_ENTRY(connection) link;
	struct http_server *server;
	struct transport *transport;
	struct loop_watch *watch;
	struct loop_timer *timer;
	struct buffer input, output;
	struct exchange *exchange; /* its body is being read, or it is being served */
	unsigned requests;
	bool serving, writing, close_after, header_begun, refused, lingering;
};

struct http_server {
	struct http_server_options options;
	int listener;
	uint16_t port;
	struct loop_watch *watch;
	struct loop_timer *pause; /* out of descriptors: accept again a little later */
	LIST_HEAD(, connection) connections;
	unsigned connection_count;
};

static void run(struct connection *connection);

static void exchange_free(struct exchange *exchange)
{
	buffer_free(&exchange->public.body);
	buffer_free(&exchange->response.body);
	free(exchange->path);
	free(exchange->query);
	free(exchange);
}

static void connection_close(struct connection *connection)
{
	if (connection->serving)
		connection->exchange->connection = NULL;
	else if (connection->exchange != NULL)
		exchange_free(connection->exchange);
	LIST_REMOVE(connection, link);
	connection->server->connection_count--;
	loop_watch_free(connection->watch);
	loop_timer_free(connection->timer);
	transport_free(connection->transport);
	buffer_free(&connection->input);
	buffer_free(&connection->output);
	free(connection);
}

static void put_response(struct connection *connection, int status, const char *type, const struct buffer *body, bool head)
{
	(void)buffer_printf(&connection->output,
	                    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n%s%s\r\n",
	                    status, http1_status_text(status), type, body->length,
	                    status != 405                      ? ""
	                    : connection->server->options.post ? "Allow: GET, HEAD, POST\r\n"
	                                                       : "Allow: GET, HEAD\r\n",
	                    connection->close_after ? "Connection: close\r\n" : "");
	if (!head && body->length > 0)
		(void)buffer_append(&connection->output, body->data, body->length);
	connection->writing = true;
	loop_timer_arm(connection->timer, connection->server->options.write_timeout_ms);
}

static void refuse(struct connection *connection, int status)
{
	struct buffer body BUFFER_CLEANUP = { 0 };

	connection->close_after = connection->refused = true;
	(void)buffer_printf(&body, "%d %s\n", status, http1_status_text(status));
	put_response(connection, status, "text/plain; charset=utf-8", &body, false);
}

static void answer_on_loop(void *argument)
{
	struct exchange *exchange = argument;
	struct connection *connection = exchange->connection;

	if (connection != NULL) {
		const struct http_server_response *response = &exchange->response;

		connection->exchange = NULL;
		connection->serving = false;
		put_response(connection, response->status ? response->status : 200,
		             response->content_type ? response->content_type : "application/json", &response->body, false);
	}
	exchange_free(exchange);
	if (connection != NULL)
		run(connection);
}

void http_server_answer(struct http_server_exchange *public, struct http_server_response *response)
{
	struct exchange *exchange = (struct exchange *)public; /* its first member */

	exchange->response = *response;
	memset(response, 0, sizeof(*response));
	loop_post(exchange->loop, answer_on_loop, exchange);
}

static void exchange_begin(struct connection *connection, const struct http1_request *request)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (exchange == NULL)
		abort();
	exchange->connection = connection;
	exchange->loop = connection->server->options.loop;
	exchange->path = string_dup(request->path);
	exchange->query = string_dup(request->query);
	exchange->public.path = exchange->path;
	exchange->public.query = exchange->query;
	exchange->body_length = request->body_length;
	connection->exchange = exchange;
	connection->header_begun = true;
	loop_timer_arm(connection->timer, connection->server->options.header_timeout_ms);
}

/* The body is there: the handler answers when it likes. Nothing is read meanwhile. */
static void exchange_serve(struct connection *connection)
{
	struct http_server *server = connection->server;
	struct exchange *exchange = connection->exchange;

	(void)buffer_append(&exchange->public.body, connection->input.data, exchange->body_length);
	buffer_consume(&connection->input, exchange->body_length);
	connection->header_begun = false;
	connection->serving = true;
	loop_watch_set(connection->watch, 0);
	loop_timer_arm(connection->timer, server->options.answer_timeout_ms);
	server->options.post(&exchange->public, server->options.argument);
}

static void serve(struct connection *connection, size_t header_length)
{
	struct http_server *server = connection->server;
	struct http1_request *parsed = malloc(sizeof(*parsed));
	struct http_server_response response = { 0 };
	struct http_server_request request;
	int status;

	if (parsed == NULL)
		abort();
	status = http1_request_parse(connection->input.data, header_length, server->options.post != NULL ? server->options.maximum_body : 0,
	                             parsed);
	buffer_consume(&connection->input, header_length);
	connection->header_begun = false;
	if (status != 0) {
		refuse(connection, status);
	} else {
		if (++connection->requests >= HTTP_SERVER_MAXIMUM_REQUESTS || !parsed->keep_alive)
			connection->close_after = true;
		if (parsed->post) {
			exchange_begin(connection, parsed);
			free(parsed);
			return;
		}
		request = (struct http_server_request){ parsed->head ? "HEAD" : "GET", parsed->path, parsed->query };
		server->options.handler(&request, &response, server->options.argument);
		put_response(connection, response.status ? response.status : 200,
		             response.content_type ? response.content_type : "text/plain; charset=utf-8", &response.body, parsed->head);
		buffer_free(&response.body);
	}
	free(parsed);
}

/* True when the connection goes on; false: it waits or is gone. */
static bool write_some(struct connection *connection)
{
	struct error err;
	size_t written;

	while (connection->output.length > 0) {
		switch (transport_write(connection->transport, connection->output.data, connection->output.length, &written, &err)) {
		case TRANSPORT_DONE:
			buffer_consume(&connection->output, written);
			break;
		case TRANSPORT_WANT_READ:
		case TRANSPORT_WANT_WRITE:
			loop_watch_set(connection->watch, LOOP_WRITE);
			return false;
		default:
			connection_close(connection);
			return false;
		}
	}
	if (connection->refused) {
		connection->lingering = true;
		connection->writing = false;
		(void)shutdown(transport_descriptor(connection->transport), SHUT_WR);
		loop_timer_arm(connection->timer, LINGER_MS);
		return true;
	}
	if (connection->close_after) {
		connection_close(connection);
		return false;
	}
	buffer_free(&connection->output);
	connection->writing = false;
	loop_timer_arm(connection->timer, connection->server->options.idle_timeout_ms);
	return true;
}

static bool read_some(struct connection *connection)
{
	char chunk[READ_CHUNK];
	struct error err;
	size_t got;

	switch (transport_read(connection->transport, chunk, sizeof(chunk), &got, &err)) {
	case TRANSPORT_DONE:
		if (!connection->lingering)
			(void)buffer_append(&connection->input, chunk, got);
		return true;
	case TRANSPORT_WANT_READ:
	case TRANSPORT_WANT_WRITE:
		loop_watch_set(connection->watch, LOOP_READ);
		return false;
	default:
		connection_close(connection);
		return false;
	}
}

static void run(struct connection *connection)
{
	size_t header_length;
	unsigned served = 0;

	for (;;) {
		if (connection->lingering) {
			if (!read_some(connection))
				return;
			continue;
		}
		if (connection->writing) {
			if (!write_some(connection))
				return;
			continue;
		}
		if (connection->serving)
			return;
		if (connection->exchange != NULL) {
			if (connection->input.length >= connection->exchange->body_length)
				exchange_serve(connection);
			else if (!read_some(connection))
				return;
			continue;
		}
		if (connection->input.length > 0 && !connection->header_begun) {
			connection->header_begun = true;
			loop_timer_arm(connection->timer, connection->server->options.header_timeout_ms);
		}
		header_length = connection->input.length > 0 ? http1_header_length(connection->input.data, connection->input.length) : 0;
		if (header_length > 0 && ++served > MAXIMUM_PIPELINED)
			refuse(connection, 503);
		else if (header_length > 0)
			serve(connection, header_length);
		else if (connection->input.length > HTTP_SERVER_MAXIMUM_HEADER)
			refuse(connection, 431);
		else if (!read_some(connection))
			return;
	}
}

static void on_ready(int descriptor, unsigned events, void *argument)
{
	run(argument);
}

static void on_timer(void *argument)
{
	struct connection *connection = argument;

	if (connection->serving || connection->writing || connection->lingering || !connection->header_begun) {
		connection_close(connection);
		return;
	}
	if (connection->exchange != NULL)
		exchange_free(connection->exchange);
	connection->exchange = NULL;
	refuse(connection, 408);
	run(connection);
}

static struct connection *connection_open(struct http_server *server, struct transport *transport)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL)
		abort();
	connection->server = server;
	connection->transport = transport;
	connection->timer = loop_timer_new(server->options.loop, on_timer, connection);
	connection->watch = loop_watch_new(server->options.loop, transport_descriptor(transport), on_ready, connection);
	LIST_INSERT_HEAD(&server->connections, connection, link);
	server->connection_count++;
	loop_timer_arm(connection->timer, server->options.header_timeout_ms);
	loop_watch_set(connection->watch, LOOP_READ);
	return connection;
}

void http_server_adopt(struct http_server *server, struct transport *transport)
{
	if (server->connection_count >= server->options.maximum_connections)
		transport_free(transport);
	else
		run(connection_open(server, transport)); /* TLS may hold the request already */
}

static void on_acceptable(int listener, unsigned events, void *argument)
{
	struct http_server *server = argument;
	int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (descriptor >= 0 && server->connection_count >= server->options.maximum_connections) {
		(void)close(descriptor);
	} else if (descriptor >= 0) {
		socket_tune(descriptor);
		(void)connection_open(server, transport_plain(descriptor, "client"));
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		loop_watch_set(server->watch, 0);
		loop_timer_arm(server->pause, ACCEPT_PAUSE_MS);
	}
}

static void on_pause_over(void *argument)
{
	loop_watch_set(((struct http_server *)argument)->watch, LOOP_READ);
}

static void start_on_loop(void *argument)
{
	struct http_server *server = argument;

	if (server->listener < 0)
		return;
	server->pause = loop_timer_new(server->options.loop, on_pause_over, server);
	server->watch = loop_watch_new(server->options.loop, server->listener, on_acceptable, server);
	loop_watch_set(server->watch, LOOP_READ);
}

static unsigned or_default(unsigned value, unsigned fallback)
{
	return value ? value : fallback;
}

struct http_server *http_server_new(const struct http_server_options *options, struct error *err)
{
	int listener = options->address != NULL ? socket_listen(options->address, options->port, err) : -1;
	struct http_server *server;

	if (options->address != NULL && listener < 0)
		return NULL;
	server = calloc(1, sizeof(*server));
	if (server == NULL)
		abort();
	server->options = *options;
	server->options.maximum_connections = or_default(options->maximum_connections, HTTP_SERVER_MAXIMUM_CONNECTIONS);
	server->options.header_timeout_ms = or_default(options->header_timeout_ms, HTTP_SERVER_HEADER_TIMEOUT_MS);
	server->options.write_timeout_ms = or_default(options->write_timeout_ms, HTTP_SERVER_WRITE_TIMEOUT_MS);
	server->options.answer_timeout_ms = or_default(options->answer_timeout_ms, server->options.write_timeout_ms);
	server->options.idle_timeout_ms = or_default(options->idle_timeout_ms, HTTP_SERVER_IDLE_TIMEOUT_MS);
	server->listener = listener;
	server->port = listener >= 0 ? socket_local_port(listener) : 0;
	LIST_INIT(&server->connections);
	loop_call(options->loop, start_on_loop, server);
	return server;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

static void stop_on_loop(void *argument)
{
	struct http_server *server = argument;

	while (!LIST_EMPTY(&server->connections))
		connection_close(LIST_FIRST(&server->connections));
	loop_watch_free(server->watch);
	loop_timer_free(server->pause);
}

void http_server_free(struct http_server *server)
{
	if (server == NULL)
		return;
	loop_call(server->options.loop, stop_on_loop, server);
	if (server->listener >= 0)
		(void)close(server->listener);
	free(server);
}
