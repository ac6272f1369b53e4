/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by http2_connection.c (life, pump), http2_callbacks.c (what nghttp2 reports) and http2_stream.c. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "net/http2_connection.h"

enum http2_event_type { HTTP2_EVENT_OPEN, HTTP2_EVENT_HEADERS, HTTP2_EVENT_DATA, HTTP2_EVENT_FINISH, HTTP2_EVENT_CLOSE };

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
	struct http_headers headers, trailers;    /* received */
	struct buffer output;                     /* body to send; secrets pass here */
	size_t output_at;                         /* of it, already given to nghttp2 */
	struct http_headers output_trailers;
	bool have_headers, finished, close_queued, reset_by_peer, header_overflow;
	bool header_sent;                         /* our first header block has left: from then on the peer may have worked on it */
	bool deferred, output_end, output_has_trailers;
};

struct http2_connection {
	struct http2_options options;
	char *peer;
	const struct http2_connection_events *events;
	void *argument;
	nghttp2_session *session;
	struct transport *transport;
	struct loop_watch *watch;
	struct loop_timer *timer;   /* kicks, PING and idle close in one */
	uint64_t armed_ms;          /* when the timer fires; UINT64_MAX: not armed */
	uint64_t last_read_ms, ping_sent_ms, idle_since_ms;
	struct http2_stream *streams;
	unsigned stream_count;
	struct http2_event *queue;
	unsigned queue_length, queue_capacity;
	struct buffer output;       /* serialised frames not yet written */
	bool pumping, again, kicked, draining, terminated, goaway, ended, orderly, concluded, free_wanted, room_changed;
	uint32_t goaway_code;
	struct error error;         /* why it ended; class NONE after an orderly end */
	char diagnosis[160];        /* nghttp2's last complaint about the peer, and GOAWAY's debug text */
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
ssize_t http2_stream_read(nghttp2_session *session, int32_t id, uint8_t *place, size_t size, uint32_t *flags, nghttp2_data_source *source,
                          void *argument);
