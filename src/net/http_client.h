/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/2 client for one authority (an API server, an etcd member): a pool of connections on an io loop. Requests share connections;
 * another one is opened when all allowed streams are taken; long-lived streams (watches) have connections of their own, so that bursts
 * of requests do not stall them. A connection without streams is closed after a minute; one that stays silent for 30 s is asked with a
 * PING and ended 15 s later when it does not answer.
 *
 * What the server certainly did not process (RST_STREAM REFUSED_STREAM, GOAWAY below the stream, a connection that never came up) is
 * tried again on another connection within the request's deadline, for any method. Everything else ends with a typed error:
 *   ERROR_TRANSIENT  connection refused, lost or reset; GOAWAY before the answer was complete; ALPN did not give h2
 *                    (long-lived streams end at the GOAWAY, so that they are begun anew on another connection)
 *   ERROR_TIMEOUT    the deadline passed (the message says in which phase: resolving, connecting, waiting for ...)
 *   ERROR_FORBIDDEN  the TLS handshake failed for a certificate: see net/tls.h for error.reason
 *   ERROR_CANCELLED  the token was triggered or the client is being freed
 *   ERROR_EXHAUSTED  the response is larger than its limit
 *   ERROR_INVALID    the request or the proxy address cannot be used
 * An HTTP status of 4xx or 5xx is not an error here: the caller reads response->status.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/cancel.h"
#include "io/loop.h"
#include "net/http_message.h"
#include "net/tls.h"

enum {
	HTTP_CLIENT_REQUEST_TIMEOUT_MS = 30 * 1000,
	HTTP_CLIENT_CONNECT_TIMEOUT_MS = 10 * 1000,
	HTTP_CLIENT_PING_IDLE_MS = 30 * 1000,
	HTTP_CLIENT_PING_ANSWER_MS = 15 * 1000,
	HTTP_CLIENT_IDLE_CLOSE_MS = 60 * 1000,
	HTTP_CLIENT_MAXIMUM_CONNECTIONS = 8,             /* of each kind: requests, long-lived */
	HTTP_CLIENT_MAXIMUM_STREAMS = 100,               /* per connection, also when the server would allow more */
	HTTP_CLIENT_MAXIMUM_ATTEMPTS = 4,                /* of one request, see above */
	HTTP_CLIENT_MAXIMUM_RESPONSE = 64 * 1024 * 1024, /* default limit of a response body */
};

/* One finished request, for metrics. Called on the loop's thread. status is 0 when there was no answer. */
struct http_observation {
	const char *authority, *method, *path;
	int status;
	uint64_t duration_ns;      /* from submission to the last byte (long-lived streams: to the header) */
	const struct error *error; /* NULL when an answer came */
};

/* Everything is copied. Zero and NULL mean the default. */
struct http_client_options {
	struct loop *loop;             /* needed; must outlive the client */
	const char *host;              /* needed: name or IP (no brackets) */
	uint16_t port;                 /* needed */
	const char *connect_address;   /* IP to dial; host is then for names only. NULL: host, resolved when it is no IP */
	uint16_t connect_port;         /* 0: port */
	const char *server_name;       /* name or IP the certificate must hold, also SNI; NULL: host */
	struct tls_identity *identity; /* a reference is taken. NULL: plaintext HTTP/2 with prior knowledge (tests) */
	const char *proxy_url;  /* "http://[user:password@]host:port": CONNECT through it. Whether it applies (NO_PROXY) is the caller's */
	const char *user_agent; /* NULL: "kamaji/VERSION" */
	unsigned connect_timeout_ms, ping_idle_ms, ping_answer_ms, idle_close_ms;
	unsigned maximum_connections;
	void (*observe)(const struct http_observation *observation, void *argument); /* may be NULL */
	void *observe_argument;
};

struct http_client;

/* Connects to nothing yet. NULL with ERROR_INVALID for options that cannot work. Any thread. */
struct http_client *http_client_new(const struct http_client_options *options, struct error *err);
/*
 * Ends everything under way (ERROR_CANCELLED; on_end of streams is called), closes the connections, waits. Any thread but the loop's.
 * Streams must still be closed by their owners, before or after.
 */
void http_client_free(struct http_client *client);
/*
 * New credentials. Requests under way finish on their old connections; long-lived streams end with ERROR_TRANSIENT so that they are made
 * again with the new ones. Takes a reference. Any thread.
 */
void http_client_set_identity(struct http_client *client, struct tls_identity *identity);
/* "host:port" as sent in :authority; lives as long as the client. */
const char *http_client_authority(const struct http_client *client);

struct http_request {
	const char *method;                /* NULL: GET */
	const char *path;                  /* with the query, percent-encoded; starts with '/' */
	const struct http_header *headers; /* beside user-agent; no pseudo-headers; "authorization" is always treated as sensitive */
	size_t header_count;
	const void *body;
	size_t body_length;
	unsigned timeout_ms;   /* for the whole request with its retries; 0: 30 s, for long-lived streams none */
	size_t response_limit; /* bytes of body; 0: HTTP_CLIENT_MAXIMUM_RESPONSE; not applied to streams */
	/* Streams only: */
	bool long_lived;    /* a watch: dedicated connection, timeout_ms counts until the header only (0: 30 s) */
	bool explicit_flow; /* data counts as consumed only by http_stream_consume() */
};

/* Zero-initialise; http_response_free() at the end, also after an error. */
struct http_response {
	int status;
	struct http_headers headers;
	struct http_headers trailers;
	struct buffer body;
};

/*
 * Sends and waits for the whole answer. 0: response is filled. Any thread but the loop's. Ends at the nearest of timeout_ms and the
 * token's deadline, and at once when the token is triggered (the server sees RST_STREAM CANCEL). The body buffer may be handed over by
 * buffer_take().
 */
int http_client_request(struct http_client *client, const struct http_request *request, struct http_response *response,
                        struct cancel *cancel, struct error *err);
void http_response_free(struct http_response *response); /* zeroes the body: it may hold secrets */
#define HTTP_RESPONSE_CLEANUP __attribute__((cleanup(http_response_free)))

struct http_stream;

/* All on the loop's thread, never from inside http_client_stream() itself. Any may be NULL but on_end. */
struct http_stream_callbacks {
	void (*on_headers)(struct http_stream *stream, int status, const struct http_headers *headers, void *argument);
	void (*on_data)(struct http_stream *stream, const char *bytes, size_t length, void *argument);
	/* The last call. err is NULL when the answer was complete. trailers may be empty, never NULL. */
	void (*on_end)(struct http_stream *stream, const struct http_headers *trailers, const struct error *err, void *argument);
};

/* Starts a request whose answer comes in pieces. Any thread; everything is copied. Failures come through on_end. Never NULL. */
struct http_stream *http_client_stream(struct http_client *client, const struct http_request *request,
                                       const struct http_stream_callbacks *callbacks, void *argument);
/*
 * The owner's last word, needed exactly once for every stream, before or after on_end and before http_client_free() returns or after:
 * cancels what is still under way (RST_STREAM CANCEL), frees the handle. No callback runs after it has returned. On the loop's thread
 * (also inside the stream's own callbacks) it is immediate; on other threads it waits for the loop.
 */
void http_stream_close(struct http_stream *stream);
/* explicit_flow: gives the server credit for that many bytes of what on_data delivered. Loop's thread. A stream holds 512 KiB at most. */
void http_stream_consume(struct http_stream *stream, size_t bytes);
