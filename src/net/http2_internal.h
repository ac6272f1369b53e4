/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by http2_connection.c (life, pump), http2_callbacks.c (what nghttp2 reports) and http2_stream.c. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "net/http2_connection.h"
#include "net/http2_memory.h"
#include "net/http2_output.h"
#include "net/uninitialized.h"

enum http2_event_type {
	HTTP2_EVENT_OPEN,
	HTTP2_EVENT_HEADERS,
	HTTP2_EVENT_DATA,
	HTTP2_EVENT_FINISH,
	HTTP2_EVENT_DRAINED,
	HTTP2_EVENT_CLOSE
};

enum { HTTP2_EVENTS_AT_HAND = 32, HTTP2_FRAME_HEADER = 9, HTTP2_HEADER_ROOM = 500, HTTP2_SMALLEST_CUT = 1024 };

/* Queued by nghttp2's callbacks, dispatched by the pump. bytes point into the pump's read buffer. */
struct http2_event {
	enum http2_event_type type;
	struct http2_stream *stream;
	const char *bytes;
	size_t length;
	uint32_t code; /* CLOSE */
};

struct http2_stream {
	struct http2_connection *connection;
	struct http2_stream *next, *previous;
	int32_t id;
	const struct http2_stream_events *events; /* NULL once nobody listens */
	void *argument;
	struct http_headers headers, trailers; /* received */
	struct http2_output output;            /* body to send */
	struct http_headers output_trailers;
	bool have_headers, finished, close_queued, reset_by_peer, header_overflow;
	bool header_sent; /* our first header block has left: from then on the peer may have worked on it */
	bool deferred, output_end, output_has_trailers;
	bool above_queue; /* owes its owner an on_drained */
};

enum {
	HTTP2_PLAIN_GATHERING = 32 * 1024, /* without TLS there are no records: fewer system calls */
	HTTP2_GATHERED_MAXIMUM = HTTP2_PLAIN_GATHERING + 2 * HTTP2_RECORD,
};

/* What is being written: frames are put together here, on the stack of transmit(). */
struct http2_gathering {
	char *place;
	size_t length, target;
};

struct http2_connection {
	struct http2_options options;
	char *peer;
	const struct http2_connection_events *events;
	void *argument;
	nghttp2_session *session;
	struct http2_memory memory; /* of the session */
	struct transport *transport;
	struct loop_watch *watch;
	struct loop_timer *timer; /* kicks, PING and idle close in one */
	uint64_t armed_ms;        /* when the timer fires; UINT64_MAX: not armed */
	uint64_t last_read_ms, ping_sent_ms, idle_since_ms;
	uint64_t last_ping_ms; /* of the peer's */
	struct http2_stream *streams;
	unsigned stream_count;
	unsigned ping_strikes;
	struct http2_event *queue; /* during a pump: on its stack until it grows */
	unsigned queue_length, queue_capacity;
	size_t queued; /* body bytes of all streams */
	struct http2_gathering *gathering;
	struct buffer output; /* serialised frames that the transport did not take */
	bool pumping, again, unread, queue_on_heap, kicked, draining, terminated, goaway, ended, orderly, concluded, free_wanted,
		room_changed;
	bool notice_sent, condemned; /* draining: first GOAWAY; condemned: closes as soon as what is queued has been said */
	bool spoken;                 /* headers or data were sent since the peer's last PING */
	uint32_t goaway_code;
	struct error *error; /* why it ended; NULL after an orderly end */
	char *diagnosis;     /* nghttp2's last complaint about the peer, or GOAWAY's debug text; NULL: none */
};

nghttp2_session *http2_session_new(struct http2_connection *connection);
/* Runs the pump at the loop's next turn, or makes the one under way go round again. */
void http2_connection_kick(struct http2_connection *connection);
void http2_queue_event(struct http2_connection *connection, struct http2_event event);
struct http2_stream *http2_stream_new(struct http2_connection *connection, int32_t id);
struct http2_stream *http2_stream_find(struct http2_connection *connection, int32_t id);
void http2_stream_free(struct http2_stream *stream);
/* Tells the owner, when there still is one, and frees. */
void http2_stream_conclude(struct http2_stream *stream, const struct error *err, bool unprocessed);
void http2_connection_set_diagnosis(struct http2_connection *connection, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* nghttp2 asks how much of a body to send, then to write it. */
ssize_t http2_stream_read(nghttp2_session *session, int32_t id, uint8_t *place, size_t size, uint32_t *flags, nghttp2_data_source *source,
                          void *argument);
int http2_stream_write(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t length, nghttp2_data_source *source,
                       void *argument);
