/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/2 connection on a loop, client or server: nghttp2 for the protocol, a transport for the bytes. It knows nothing of requests,
 * retries or pools.
 *
 * Rule of nghttp2: its receive and send functions must not be entered from its callbacks. Here its callbacks only queue events; one pump
 * (read, dispatch, write) calls the owner's functions when nghttp2 is not on the stack. So every function below may be called from every
 * owner's callback; outside of them the pump runs at the loop's next turn.
 *
 * Loop's thread only. Private to net/ and to the gRPC server.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/loan.h"
#include "io/loop.h"
#include "net/http_message.h"
#include "net/transport.h"

enum {
	HTTP2_STREAM_WINDOW = 512 * 1024,          /* bytes a peer may send ahead on one stream */
	HTTP2_CONNECTION_WINDOW = 8 * 1024 * 1024, /* and on all of one connection */
	HTTP2_READ_CHUNK = 16 * 1024,
	HTTP2_PUMP_BUDGET = 128 * 1024,  /* read in one turn before others have theirs */
	HTTP2_WRITE_BUDGET = 256 * 1024, /* written in one turn */
	HTTP2_RECORD = 16 * 1024,        /* written at once: one TLS record */
	HTTP2_MAXIMUM_STREAMS = 100,
	HTTP2_MAXIMUM_SETTINGS = 32,
	HTTP2_ANSWER_FIELDS = 16, /* header fields of one of our answers, also of its trailers */
	HTTP2_MAXIMUM_QUEUED_ACKS = 1000,
	/*
	 * Server role. Tables of header compression are small: they are paid for by every idle connection and hold what repeats. Resets are a
	 * client's right (a cancelled call, a closed watch), so only a flood of them ends the connection: nghttp2's own limit of 1000 and 33 per
	 * second hits clients that close many watches at once.
	 */
	HTTP2_SERVER_HEADER_TABLE = 1024,
	HTTP2_SERVER_ANSWER_TABLE = 256,
	HTTP2_SERVER_RESET_BURST = 100 * 1000,
	HTTP2_SERVER_RESET_RATE = 10 * 1000, /* per second */
	HTTP2_PING_STRIKES = 2,              /* PINGs that may come too early in a row, as in grpc-go */
};

struct http2_connection;
struct http2_stream;

struct http2_stream_events {
	/* The final header block, pseudo-headers included; informational ones are left out. Borrowed until the stream ends. */
	void (*on_headers)(struct http2_stream *stream, const struct http_headers *headers, void *argument);
	void (*on_data)(struct http2_stream *stream, const char *bytes, size_t length, void *argument);
	/* The peer has sent everything. Trailers may be empty. */
	void (*on_finish)(struct http2_stream *stream, const struct http_headers *trailers, void *argument);
	/* May be NULL: what is queued has fallen to a quarter of options.stream_queue after it had been above it. */
	void (*on_drained)(struct http2_stream *stream, void *argument);
	/*
	 * Last call; the stream is gone when it returns. err is NULL when both sides finished. unprocessed: the peer says, or it is
	 * certain, that it has not begun to work on it.
	 */
	void (*on_close)(struct http2_stream *stream, const struct error *err, bool unprocessed, void *argument);
};

struct http2_connection_events {
	/* The peer opened a stream (server role); set its events with http2_stream_listen(), else it is refused. */
	void (*on_stream)(struct http2_connection *connection, struct http2_stream *stream, void *argument);
	/* A stream ended, settings came, or queued bytes have left: perhaps another stream may be opened or served now. */
	void (*on_room)(struct http2_connection *connection, void *argument);
	/* Last call, after on_close of every stream; the owner frees the connection (inside is fine). err is NULL after an orderly end. */
	void (*on_closed)(struct http2_connection *connection, const struct error *err, void *argument);
};

struct http2_options {
	struct loop *loop;
	bool server;
	const char *peer;         /* "host:port", for texts; copied */
	unsigned ping_idle_ms;    /* silent for so long: PING; 0: never */
	unsigned ping_answer_ms;  /* nothing came so long after it: dead */
	unsigned idle_close_ms;   /* without streams for so long: close; 0: never */
	unsigned maximum_streams; /* client: opened by us at once; server: by the peer; 0: HTTP2_MAXIMUM_STREAMS */
	unsigned maximum_header;  /* bytes of a header block received; 0: HTTP_MAXIMUM_HEADER_BYTES */
	unsigned
		ping_minimum_ms; /* server: PINGs that come sooner, or without streams, are abuse: GOAWAY "too_many_pings"; 0: not looked at */
	size_t stream_queue;     /* see on_drained; 0: it is never called */
};

/* Takes the transport, whose handshake is done. Never NULL. */
struct http2_connection *http2_connection_new(const struct http2_options *options, struct transport *transport,
                                              const struct http2_connection_events *events, void *argument);
/* Closes at once; streams still open are dropped without a call. */
void http2_connection_free(struct http2_connection *connection);
/*
 * No new streams; when the last one has ended, an orderly close (on_closed with NULL). Server role: GOAWAY in two steps, so that requests
 * under way when it was sent are still served.
 */
void http2_connection_drain(struct http2_connection *connection);
/* How many streams may be opened now; 0 once draining or after GOAWAY. */
unsigned http2_connection_room(const struct http2_connection *connection);
bool http2_connection_is_leaving(const struct http2_connection *connection); /* the peer has sent GOAWAY */
unsigned http2_connection_streams(const struct http2_connection *connection);
size_t http2_connection_queued(const struct http2_connection *connection); /* of all streams, see http2_stream_queued() */

/*
 * Client role: sends a header block (pseudo-headers first). end: no body follows. Never NULL: what goes wrong comes by on_close. Names
 * and values are copied.
 */
struct http2_stream *http2_stream_open(struct http2_connection *connection, const struct http_header *headers, size_t count, bool end,
                                       const struct http2_stream_events *events, void *argument);
/* Server role: who serves a new stream, and the answer's header block (":status" first; HTTP2_ANSWER_FIELDS at most). */
void http2_stream_listen(struct http2_stream *stream, const struct http2_stream_events *events, void *argument);
void http2_stream_respond(struct http2_stream *stream, const struct http_header *headers, size_t count, bool end);
/* The peer has sent everything; perhaps what it sent is still to be dispatched. */
bool http2_stream_is_finished(const struct http2_stream *stream);
const struct http_headers *http2_stream_headers(const struct http2_stream *stream);

/* Queues body bytes (copied). end: these were the last; not with trailers to come. */
void http2_stream_send(struct http2_stream *stream, const void *bytes, size_t length, bool end);
/* The same without a copy when it is worth it: takes the bytes, the buffer is empty afterwards. */
void http2_stream_send_buffer(struct http2_stream *stream, struct buffer *bytes, bool end);
/* Takes the loan: its bytes leave from where they lie. */
void http2_stream_lend(struct http2_stream *stream, struct loan *loan, bool end);
/* So many bytes follow with http2_stream_send(): memory is taken in fitting pieces. */
void http2_stream_expect(struct http2_stream *stream, size_t length);
/* After the body: the last header block; ends our side. */
void http2_stream_send_trailers(struct http2_stream *stream, const struct http_header *headers, size_t count);
size_t http2_stream_queued(const struct http2_stream *stream); /* body bytes not yet given to the connection */
/*
 * Bytes of on_data that are done with: the peer may send as many more. Bytes not consumed count against the stream's window only, never
 * against the connection's, so a paused stream does not stall its neighbours.
 */
void http2_stream_consume(struct http2_stream *stream, size_t bytes);
/* Lets go: RST_STREAM with the HTTP/2 error code (RFC 9113 section 7; 8 is CANCEL) unless it is over already; no further call. */
void http2_stream_cancel(struct http2_stream *stream, uint32_t code);

enum { HTTP2_NO_ERROR = 0, HTTP2_INTERNAL_ERROR = 2, HTTP2_REFUSED_STREAM = 7, HTTP2_CANCEL = 8, HTTP2_ENHANCE_YOUR_CALM = 11 };
