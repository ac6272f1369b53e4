/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "net/http2_internal.h"

struct http2_stream *http2_stream_new(struct http2_connection *connection, int32_t id)
{
	struct http2_stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL)
		abort();
	stream->connection = connection;
	stream->id = id;
	stream->next = connection->streams;
	if (stream->next != NULL)
		stream->next->previous = stream;
	connection->streams = stream;
	connection->stream_count++;
	return stream;
}

struct http2_stream *http2_stream_find(struct http2_connection *connection, int32_t id)
{
	for (struct http2_stream *stream = connection->streams; stream != NULL; stream = stream->next)
		if (stream->id == id)
			return stream;
	return NULL;
}

void http2_stream_free(struct http2_stream *stream)
{
	struct http2_connection *connection = stream->connection;

	if (stream->previous != NULL)
		stream->previous->next = stream->next;
	else
		connection->streams = stream->next;
	if (stream->next != NULL)
		stream->next->previous = stream->previous;
	if (--connection->stream_count == 0)
		connection->idle_since_ms = clock_monotonic_ms();
	connection->room_changed = true;
	connection->queued -= stream->output.length;
	http_headers_free(&stream->headers);
	http_headers_free(&stream->trailers);
	http_headers_free(&stream->output_trailers);
	http2_output_free(&stream->output);
	free(stream);
}

void http2_stream_conclude(struct http2_stream *stream, const struct error *err, bool unprocessed)
{
	const struct http2_stream_events *events = stream->events;

	stream->events = NULL;
	stream->close_queued = true;
	if (events != NULL)
		events->on_close(stream, err, unprocessed, stream->argument);
	http2_stream_free(stream);
}

/* nghttp2 copies names and values; the flag keeps a sensitive one out of both compression tables (RFC 7541 section 7.1.3). */
static void header_vector(nghttp2_nv *vector, const struct http_header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		vector[i] = (nghttp2_nv){
			.name = (uint8_t *)headers[i].name,
			.namelen = strlen(headers[i].name),
			.value = (uint8_t *)headers[i].value,
			.valuelen = strlen(headers[i].value),
			.flags = headers[i].sensitive || strcmp(headers[i].name, "authorization") == 0 ? NGHTTP2_NV_FLAG_NO_INDEX
			                                                                               : NGHTTP2_NV_FLAG_NONE,
		};
}

struct http2_stream *http2_stream_open(struct http2_connection *connection, const struct http_header *headers, size_t count, bool end,
                                       const struct http2_stream_events *events, void *argument)
{
	struct http2_stream *stream = http2_stream_new(connection, 0);
	nghttp2_data_provider provider = { .source.ptr = stream, .read_callback = http2_stream_read };
	nghttp2_nv vector[HTTP_MAXIMUM_HEADER_FIELDS] UNINITIALIZED;

	stream->events = events;
	stream->argument = argument;
	stream->output_end = end;
	if (count <= ARRAY_LENGTH(vector) && !connection->ended) {
		header_vector(vector, headers, count);
		stream->id = nghttp2_submit_request(connection->session, NULL, vector, count, end ? NULL : &provider, stream);
	}
	if (stream->id <= 0) { /* no stream identifiers left, or the connection is over: it may be tried on another one */
		stream->close_queued = true;
		http2_queue_event(connection,
		                  (struct http2_event){ .type = HTTP2_EVENT_CLOSE, .stream = stream, .code = NGHTTP2_REFUSED_STREAM });
	}
	http2_connection_kick(connection);
	return stream;
}

void http2_stream_listen(struct http2_stream *stream, const struct http2_stream_events *events, void *argument)
{
	stream->events = events;
	stream->argument = argument;
}

void http2_stream_respond(struct http2_stream *stream, const struct http_header *headers, size_t count, bool end)
{
	struct http2_connection *connection = stream->connection;
	nghttp2_data_provider provider = { .source.ptr = stream, .read_callback = http2_stream_read };
	nghttp2_nv vector[HTTP2_ANSWER_FIELDS];

	if (connection->ended || stream->close_queued || count > ARRAY_LENGTH(vector))
		return;
	header_vector(vector, headers, count);
	stream->output_end = end;
	(void)nghttp2_submit_response(connection->session, stream->id, vector, count, end ? NULL : &provider);
	http2_connection_kick(connection);
}

bool http2_stream_is_finished(const struct http2_stream *stream)
{
	return stream->finished;
}

const struct http_headers *http2_stream_headers(const struct http2_stream *stream)
{
	return &stream->headers;
}

static void submit_trailers(nghttp2_session *session, struct http2_stream *stream)
{
	struct http_header headers[HTTP2_ANSWER_FIELDS] = { 0 };
	nghttp2_nv vector[HTTP2_ANSWER_FIELDS];
	size_t at = 0, count = 0;

	while (count < ARRAY_LENGTH(headers) &&
	       http_headers_next(&stream->output_trailers, &at, &headers[count].name, &headers[count].value))
		count++;
	header_vector(vector, headers, count);
	(void)nghttp2_submit_trailer(session, stream->id, vector, count);
}

/*
 * nghttp2 asks how much of the body goes into the next frame. Submitting from here is allowed; sending is not. The bytes are written by
 * http2_stream_write(), which nghttp2 calls at once.
 */
ssize_t http2_stream_read(nghttp2_session *session, int32_t id, uint8_t *place, size_t size, uint32_t *flags, nghttp2_data_source *source,
                          void *argument)
{
	struct http2_stream *stream = source->ptr;
	size_t length = stream->output.length;

	if (length == 0 && !stream->output_end) {
		stream->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (length > size)
		return (ssize_t)size;
	if (stream->output_end)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (stream->output_end && stream->output_has_trailers) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		submit_trailers(session, stream);
	}
	return (ssize_t)length;
}

int http2_stream_write(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t length, nghttp2_data_source *source,
                       void *argument)
{
	struct http2_stream *stream = source->ptr;
	struct http2_connection *connection = stream->connection;
	struct http2_gathering *gathering = connection->gathering;

	memcpy(gathering->place + gathering->length, header, HTTP2_FRAME_HEADER);
	http2_output_read(&stream->output, gathering->place + gathering->length + HTTP2_FRAME_HEADER, length);
	gathering->length += HTTP2_FRAME_HEADER + length;
	connection->queued -= length;
	connection->room_changed = true;
	if (stream->above_queue && stream->output.length <= connection->options.stream_queue / 4) {
		stream->above_queue = false;
		http2_queue_event(connection, (struct http2_event){ .type = HTTP2_EVENT_DRAINED, .stream = stream });
	}
	return gathering->length >= gathering->target ? NGHTTP2_ERR_PAUSE : 0; /* done, and no further frame now */
}

static void resume(struct http2_stream *stream)
{
	if (stream->deferred && !stream->connection->ended && !stream->close_queued) {
		stream->deferred = false;
		(void)nghttp2_session_resume_data(stream->connection->session, stream->id);
	}
	http2_connection_kick(stream->connection);
}

static void queued(struct http2_stream *stream, size_t length, bool end)
{
	struct http2_connection *connection = stream->connection;

	connection->queued += length;
	if (connection->options.stream_queue > 0 && stream->output.length > connection->options.stream_queue)
		stream->above_queue = true;
	stream->output_end = stream->output_end || end;
	resume(stream);
}

void http2_stream_send(struct http2_stream *stream, const void *bytes, size_t length, bool end)
{
	http2_output_append(&stream->output, bytes, length);
	queued(stream, length, end);
}

void http2_stream_send_buffer(struct http2_stream *stream, struct buffer *bytes, bool end)
{
	size_t length = bytes->length;

	http2_output_take(&stream->output, bytes);
	queued(stream, length, end);
}

void http2_stream_lend(struct http2_stream *stream, struct loan *loan, bool end)
{
	size_t length = loan_length(loan);

	http2_output_lend(&stream->output, loan);
	queued(stream, length, end);
}

void http2_stream_expect(struct http2_stream *stream, size_t length)
{
	http2_output_expect(&stream->output, length);
}

void http2_stream_send_trailers(struct http2_stream *stream, const struct http_header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)http_headers_add(&stream->output_trailers, headers[i].name, strlen(headers[i].name), headers[i].value,
		                       strlen(headers[i].value));
	stream->output_has_trailers = true;
	stream->output_end = true;
	resume(stream);
}

size_t http2_stream_queued(const struct http2_stream *stream)
{
	return stream->output.length;
}

void http2_stream_consume(struct http2_stream *stream, size_t bytes)
{
	if (stream->connection->ended || stream->close_queued)
		return;
	(void)nghttp2_session_consume_stream(stream->connection->session, stream->id, bytes);
	http2_connection_kick(stream->connection);
}

void http2_stream_cancel(struct http2_stream *stream, uint32_t code)
{
	stream->events = NULL;
	if (stream->close_queued || stream->connection->ended)
		return;
	(void)nghttp2_submit_rst_stream(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id, code);
	http2_connection_kick(stream->connection);
}
