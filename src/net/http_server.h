/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small strict HTTP/1.1 server for probes, metrics and webhooks: GET and HEAD, POST where a handler for it is given, keep-alive, nothing
 * else. Unwanted bodies, chunked ones, folded headers, bare line feeds or other doubtful framing are refused and the connection is closed;
 * slow clients get 408; too many connections are closed at accept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/loop.h"
#include "net/tls.h"

enum {
	HTTP_SERVER_MAXIMUM_HEADER = 8 * 1024, /* request line and header fields */
	HTTP_SERVER_MAXIMUM_CONNECTIONS = 64,
	HTTP_SERVER_MAXIMUM_REQUESTS = 1000,       /* per connection, then it is closed */
	HTTP_SERVER_HEADER_TIMEOUT_MS = 10 * 1000, /* from the first byte of a request to its empty line */
	HTTP_SERVER_WRITE_TIMEOUT_MS = 30 * 1000,  /* for one response */
	HTTP_SERVER_IDLE_TIMEOUT_MS = 90 * 1000,   /* between requests */
};

struct http_server_request {
	const char *method; /* "GET" or "HEAD" */
	const char *path;   /* percent-decoded, without the query; starts with '/' */
	const char *query;  /* raw text after '?', "" when none */
};

/* Zero on entry. The handler fills status (0 means 200), content_type (borrowed static text; NULL: text/plain) and appends to body. */
struct http_server_response {
	int status;
	const char *content_type;
	struct buffer body;
};

/* On the loop's thread; must not block. Unknown paths: set status 404. HEAD needs nothing special. */
typedef void (*http_server_handler)(const struct http_server_request *request, struct http_server_response *response, void *argument);

/*
 * A POST whose body has come whole. The handler runs on the loop and must not block; the exchange is answered later, exactly once, from any
 * thread. `body` may be emptied by whoever answers. A client that went away meanwhile is no matter.
 */
struct http_server_exchange {
	const char *path, *query;
	struct buffer body;
};
typedef void (*http_server_post_handler)(struct http_server_exchange *exchange, void *argument);
/* Takes the response's body and the exchange. The loop must still run. */
void http_server_answer(struct http_server_exchange *exchange, struct http_server_response *response);

struct http_server_options {
	struct loop *loop;
	const char *address; /* "0.0.0.0", "::", "127.0.0.1"; NULL: no listener, http_server_adopt() brings connections */
	uint16_t port;       /* 0: any free one, see http_server_port() */
	http_server_handler handler;
	http_server_post_handler post; /* NULL: POST is refused */
	void *argument;
	size_t maximum_body;          /* bytes of a POST's body, with `post` */
	unsigned answer_timeout_ms;   /* no answer to a POST for so long: the connection is closed; 0: write_timeout_ms */
	unsigned maximum_connections; /* 0: the constants above */
	unsigned header_timeout_ms, write_timeout_ms, idle_timeout_ms;
};

struct http_server;

/* Listens and serves. NULL when it cannot bind: "listen on 0.0.0.0:8080: address already in use". Any thread. */
struct http_server *http_server_new(const struct http_server_options *options, struct error *err);
uint16_t http_server_port(const struct http_server *server);
struct transport;
/* Serves a connection that was accepted elsewhere (its handshake is done). Takes the transport. On the loop. */
void http_server_adopt(struct http_server *server, struct transport *transport);
void http_server_free(struct http_server *server); /* closes everything at once. Any thread; NULL is fine */

/* Percent-decoded value of a query parameter (free()), or NULL. */
char *http_query_value(const char *query, const char *name);
