/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by http_client.c (options, life), http_pool.c (connections), http_stream.c (one request) and http_request.c (the blocking form).
 * Everything but the reference counts and the immutable strings belongs to the loop's thread.
 */
#pragma once

#include <stdatomic.h>
#include <sys/queue.h>

#include "net/dial.h"
#include "net/http2_connection.h"
#include "net/http_client.h"
#include "net/resolver.h"

enum pool_kind { POOL_REQUESTS, POOL_LONG_LIVED, POOL_KINDS };

TAILQ_HEAD(http_stream_list, http_stream);

struct pool_connection {
	LIST_ENTRY(pool_connection) link;
	struct http_client *client;
	enum pool_kind kind;
	struct dial *dial;              /* while it is being made */
	struct http2_connection *http2; /* afterwards */
	bool retiring;                  /* made with old credentials: finishes what it has */
	struct http_stream_list streams;
};

struct http_client {
	atomic_uint references; /* the owner's and one of every handle not yet closed */
	struct loop *loop;
	char *authority, *server_name, *user_agent, *proxy, *proxy_authorization;
	uint16_t dial_port;
	unsigned connect_timeout_ms, ping_idle_ms, ping_answer_ms, idle_close_ms, maximum_connections;
	void (*observe)(const struct http_observation *observation, void *argument);
	void *observe_argument;
	struct resolver *resolver;
	struct tls_identity *identity;
	LIST_HEAD(, pool_connection) connections;
	struct http_stream_list waiting[POOL_KINDS];
	bool ending;
};

enum http_stream_state { HTTP_STREAM_NEW, HTTP_STREAM_WAITING, HTTP_STREAM_OPEN, HTTP_STREAM_ENDED };

/*
 *   NEW --start (posted)--> WAITING --room--> OPEN --answer, failure--> ENDED --close--> freed
 *                              ^               |
 *                              +--unprocessed--+
 */
struct http_stream {
	TAILQ_ENTRY(http_stream) link; /* in the client's waiting list or in its connection's list */
	struct http_client *client;
	enum http_stream_state state;
	bool closed; /* the owner let go before start ran */
	bool long_lived, explicit_flow, have_headers, observed, doomed;
	struct http_stream_callbacks callbacks;
	void *argument;
	char *method, *path;
	struct http_header *headers; /* copies */
	size_t header_count;
	char *body;
	size_t body_length;
	unsigned timeout_ms, attempts;
	uint64_t started_ns, deadline_ms, retry_at_ms;
	struct loop_timer *timer;
	struct pool_connection *connection;
	struct http2_stream *http2;
	int status;
	struct error last_error; /* why the attempt before was not taken */
};

void http_client_ref(struct http_client *client);
void http_client_unref(struct http_client *client);

/* Gives waiting streams to connections with room and dials when there are too few. */
void http_pool_dispatch(struct http_client *client, enum pool_kind kind);
void http_pool_teardown(struct http_client *client);
void http_pool_retire(struct http_client *client);
/* "connecting to ...": what a waiting stream of that kind waits for. */
void http_pool_describe(struct http_client *client, enum pool_kind kind, char *text, size_t size);

struct http_stream *http_stream_new(struct http_client *client, const struct http_request *request,
                                    const struct http_stream_callbacks *callbacks, void *argument);
void http_stream_submit(struct http_stream *stream);
enum pool_kind http_stream_kind(const struct http_stream *stream);
void http_stream_open_on(struct http_stream *stream, struct pool_connection *connection);
/* Ends it with on_end; the handle stays its owner's and may be gone when this returns. */
void http_stream_end(struct http_stream *stream, const struct http_headers *trailers, const struct error *err);
