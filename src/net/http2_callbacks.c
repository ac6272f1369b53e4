/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 reports, put into the queue of events; nothing of the owner's is called from here. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "net/http2_internal.h"

void http2_queue_event(struct http2_connection *connection, struct http2_event event)
{
	struct http2_event *grown;

	if (connection->queue_length == connection->queue_capacity) {
		connection->queue_capacity = connection->queue_capacity ? connection->queue_capacity * 2 : HTTP2_EVENTS_AT_HAND;
		grown = realloc(connection->queue_on_heap ? connection->queue : NULL, connection->queue_capacity * sizeof(*grown));
		if (grown == NULL)
			abort();
		if (!connection->queue_on_heap && connection->queue_length > 0)
			memcpy(grown, connection->queue, connection->queue_length * sizeof(*grown));
		connection->queue = grown;
		connection->queue_on_heap = true;
	}
	connection->queue[connection->queue_length++] = event;
}

void http2_connection_set_diagnosis(struct http2_connection *connection, const char *format, ...)
{
	char text[160];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	free(connection->diagnosis);
	connection->diagnosis = string_dup(text);
}

static void queue_close(struct http2_connection *connection, struct http2_stream *stream, uint32_t code)
{
	if (stream == NULL || stream->close_queued)
		return;
	stream->close_queued = true;
	http2_queue_event(connection, (struct http2_event){ .type = HTTP2_EVENT_CLOSE, .stream = stream, .code = code });
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct http2_connection *connection = argument;

	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		struct http2_stream *stream = http2_stream_new(connection, frame->hd.stream_id);

		(void)buffer_reserve(&stream->headers.text, HTTP2_HEADER_ROOM);
		(void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value,
                     size_t value_length, uint8_t flags, void *argument)
{
	struct http2_connection *connection = argument;
	struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct http_headers *headers;

	if (stream == NULL || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	headers = stream->have_headers ? &stream->trailers : &stream->headers;
	if (headers->text.length + name_length + value_length + 2 <= connection->options.maximum_header &&
	    http_headers_add(headers, (const char *)name, name_length, (const char *)value, value_length))
		return 0;
	stream->header_overflow = true;
	/* What gRPC clients take for RESOURCE_EXHAUSTED, and grpc-go says too; nghttp2, which goes on, would say INTERNAL_ERROR. */
	(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_FRAME_SIZE_ERROR);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void header_block_complete(struct http2_connection *connection, struct http2_stream *stream)
{
	const char *status;

	if (stream->have_headers)
		return; /* trailers: told with the end of the stream */
	status = http_headers_get(&stream->headers, ":status");
	if (!connection->options.server && status != NULL && status[0] == '1') {
		http_headers_free(&stream->headers); /* informational: the final one is still to come */
		return;
	}
	stream->have_headers = true;
	http2_queue_event(connection, (struct http2_event){ .type = connection->options.server ? HTTP2_EVENT_OPEN : HTTP2_EVENT_HEADERS,
	                                                    .stream = stream });
}

static void goaway_received(struct http2_connection *connection, const nghttp2_goaway *goaway)
{
	connection->goaway = true;
	connection->room_changed = true;
	connection->goaway_code = goaway->error_code;
	if (goaway->error_code != NGHTTP2_NO_ERROR)
		http2_connection_set_diagnosis(connection, "peer said GOAWAY %s %.*s", nghttp2_http2_strerror(goaway->error_code),
		                               goaway->opaque_data_len < 80 ? (int)goaway->opaque_data_len : 80,
		                               goaway->opaque_data_len > 0 ? (const char *)goaway->opaque_data : "");
}

/* After the first GOAWAY of ours has certainly been seen, the second one names the last stream that is served. */
static void settle_drain(struct http2_connection *connection)
{
	if (!connection->draining || connection->terminated)
		return;
	(void)nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(connection->session),
	                            NGHTTP2_NO_ERROR, NULL, 0);
}

/*
 * As grpc-go's enforcement policy: what comes too early is a strike; sending headers or data clears them, so that the PINGs by which a
 * client measures the link while we send are no abuse. Without streams there is nothing to keep alive.
 */
static void ping_received(struct http2_connection *connection)
{
	static const char reason[] = "too_many_pings";
	uint64_t now = clock_monotonic_ms(), since = now - connection->last_ping_ms;

	if (connection->options.ping_minimum_ms == 0 || connection->condemned)
		return;
	if (connection->spoken)
		connection->ping_strikes = 0;
	else if (connection->last_ping_ms != 0 && (since < connection->options.ping_minimum_ms || connection->stream_count == 0))
		connection->ping_strikes++;
	connection->spoken = false;
	connection->last_ping_ms = now;
	if (connection->ping_strikes <= HTTP2_PING_STRIKES)
		return;
	connection->condemned = true;
	http2_connection_set_diagnosis(connection, "too many PINGs");
	(void)nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(connection->session),
	                            NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)reason, sizeof(reason) - 1);
}

static int on_frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct http2_connection *connection = argument;
	struct http2_stream *stream = frame->hd.stream_id > 0 ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (stream != NULL)
			header_block_complete(connection, stream);
		break;
	case NGHTTP2_RST_STREAM:
		if (stream != NULL)
			stream->reset_by_peer = true;
		break;
	case NGHTTP2_SETTINGS:
		connection->room_changed = true;
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			settle_drain(connection);
		else if (connection->options.server)
			ping_received(connection);
		break;
	case NGHTTP2_GOAWAY:
		goaway_received(connection, &frame->goaway);
		break;
	default:
		break;
	}
	if (stream != NULL && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !stream->finished) {
		stream->finished = true;
		http2_queue_event(connection, (struct http2_event){ .type = HTTP2_EVENT_FINISH, .stream = stream });
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length, void *argument)
{
	struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);

	if (stream != NULL)
		http2_queue_event(
			argument,
			(struct http2_event){ .type = HTTP2_EVENT_DATA, .stream = stream, .bytes = (const char *)bytes, .length = length });
	return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t id, uint32_t code, void *argument)
{
	queue_close(argument, nghttp2_session_get_stream_user_data(session, id), code);
	return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct http2_connection *connection = argument;
	struct http2_stream *stream;

	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	connection->spoken = true;
	stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (stream != NULL && frame->hd.type == NGHTTP2_HEADERS)
		stream->header_sent = true;
	/* The answer is complete; what the client would still send is of no use (RFC 9113 section 8.1). */
	if (stream != NULL && connection->options.server && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !stream->finished)
		(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

/* Frames are cut so that a record is full and no small one follows it. */
static ssize_t on_frame_length(nghttp2_session *session, uint8_t type, int32_t id, int32_t connection_window, int32_t stream_window,
                               uint32_t maximum_frame, void *argument)
{
	const struct http2_gathering *gathering = ((struct http2_connection *)argument)->gathering;
	size_t used = gathering->length % HTTP2_RECORD + HTTP2_FRAME_HEADER;
	ssize_t length = HTTP2_RECORD - HTTP2_FRAME_HEADER;

	if (used + HTTP2_SMALLEST_CUT <= HTTP2_RECORD)
		length = (ssize_t)(HTTP2_RECORD - used);
	if (length > (ssize_t)maximum_frame)
		length = (ssize_t)maximum_frame;
	if (length > connection_window)
		length = connection_window;
	return length > stream_window ? stream_window : length;
}

/* A request that never left: after GOAWAY, or cancelled while it was queued. nghttp2 may know no stream of it. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int code, void *argument)
{
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		queue_close(argument, http2_stream_find(argument, frame->hd.stream_id), NGHTTP2_REFUSED_STREAM);
	return 0;
}

static int on_complaint(nghttp2_session *session, int code, const char *text, size_t length, void *argument)
{
	http2_connection_set_diagnosis(argument, "%.*s", length < 150 ? (int)length : 150, text);
	return 0;
}

static nghttp2_option *session_options(const struct http2_connection *connection)
{
	nghttp2_option *option;

	if (nghttp2_option_new(&option) != 0)
		abort();
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_settings(option, HTTP2_MAXIMUM_SETTINGS);
	nghttp2_option_set_max_outbound_ack(option, HTTP2_MAXIMUM_QUEUED_ACKS);
	nghttp2_option_set_max_send_header_block_length(option, HTTP_MAXIMUM_HEADER_BYTES);
	if (connection->options.server) {
		nghttp2_option_set_no_closed_streams(option, 1);
		nghttp2_option_set_max_deflate_dynamic_table_size(option, HTTP2_SERVER_ANSWER_TABLE);
		nghttp2_option_set_stream_reset_rate_limit(option, HTTP2_SERVER_RESET_BURST, HTTP2_SERVER_RESET_RATE);
	}
	return option;
}

static void submit_settings(nghttp2_session *session, const struct http2_options *options)
{
	nghttp2_settings_entry entries[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options->maximum_header },
		options->server ? (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->maximum_streams }
				: (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, HTTP2_SERVER_HEADER_TABLE }, /* the last: server only */
	};
	size_t count = sizeof(entries) / sizeof(entries[0]) - (options->server ? 0 : 1);

	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries, count) != 0 ||
	    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, HTTP2_CONNECTION_WINDOW) != 0)
		abort();
}

nghttp2_session *http2_session_new(struct http2_connection *connection)
{
	nghttp2_option *option = session_options(connection);
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_received);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_stream_write);
	nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, on_frame_length);
	nghttp2_session_callbacks_set_error_callback2(callbacks, on_complaint);
	http2_memory_init(&connection->memory);
	if ((connection->options.server
	             ? nghttp2_session_server_new3(&session, callbacks, connection, option, &connection->memory.functions)
	             : nghttp2_session_client_new3(&session, callbacks, connection, option, &connection->memory.functions)) != 0)
		abort();
	http2_memory_settle(&connection->memory);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	submit_settings(session, &connection->options);
	return session;
}
