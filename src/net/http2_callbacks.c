/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 reports, put into the queue of events; nothing of the owner's is called from here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http2_internal.h"

void http2_queue_event(struct http2_connection *connection, struct http2_event event)
{
	if (connection->queue_length == connection->queue_capacity) {
		connection->queue_capacity = connection->queue_capacity ? connection->queue_capacity * 2 : 16;
		connection->queue = realloc(connection->queue, connection->queue_capacity * sizeof(*connection->queue));
		if (connection->queue == NULL)
			abort();
	}
	connection->queue[connection->queue_length++] = event;
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

		(void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value,
                     size_t value_length, uint8_t flags, void *argument)
{
	struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (stream == NULL || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (http_headers_add(stream->have_headers ? &stream->trailers : &stream->headers, (const char *)name, name_length,
	                     (const char *)value, value_length))
		return 0;
	stream->header_overflow = true;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* nghttp2 resets this stream and goes on */
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
		(void)snprintf(connection->diagnosis, sizeof(connection->diagnosis), "peer said GOAWAY %s %.*s",
		               nghttp2_http2_strerror(goaway->error_code), goaway->opaque_data_len < 80 ? (int)goaway->opaque_data_len : 80,
		               goaway->opaque_data_len > 0 ? (const char *)goaway->opaque_data : "");
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
		http2_queue_event(argument, (struct http2_event){ .type = HTTP2_EVENT_DATA, .stream = stream, .bytes = (const char *)bytes,
		                                                  .length = length });
	return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t id, uint32_t code, void *argument)
{
	queue_close(argument, nghttp2_session_get_stream_user_data(session, id), code);
	return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct http2_stream *stream;

	if (frame->hd.type == NGHTTP2_HEADERS) {
		stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (stream != NULL)
			stream->header_sent = true;
	}
	return 0;
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
	struct http2_connection *connection = argument;

	(void)snprintf(connection->diagnosis, sizeof(connection->diagnosis), "%.*s", length < 150 ? (int)length : 150, text);
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
	if (connection->options.server)
		nghttp2_option_set_no_closed_streams(option, 1);
	return option;
}

static void submit_settings(nghttp2_session *session, const struct http2_options *options)
{
	nghttp2_settings_entry entries[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_MAXIMUM_HEADER_BYTES },
		options->server ? (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->maximum_streams }
				: (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};

	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries, sizeof(entries) / sizeof(entries[0])) != 0 ||
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
	nghttp2_session_callbacks_set_error_callback2(callbacks, on_complaint);
	if ((connection->options.server ? nghttp2_session_server_new2(&session, callbacks, connection, option)
					: nghttp2_session_client_new2(&session, callbacks, connection, option)) != 0)
		abort();
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	submit_settings(session, &connection->options);
	return session;
}
