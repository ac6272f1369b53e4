/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http2_connection.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "net/http2_internal.h"

static void pump(struct http2_connection *connection, bool readable);

/* The first cause counts. */
static void end_with(struct http2_connection *connection, const struct error *err)
{
	if (connection->ended)
		return;
	connection->ended = true;
	if (err == NULL || err->class == ERROR_NONE)
		return;
	connection->error = malloc(sizeof(*err));
	if (connection->error == NULL)
		abort();
	*connection->error = *err;
}

static const char *diagnosis(const struct http2_connection *connection)
{
	return connection->diagnosis != NULL ? connection->diagnosis : "";
}

static uint64_t next_due(const struct http2_connection *connection)
{
	const struct http2_options *options = &connection->options;
	uint64_t due = UINT64_MAX, idle;

	if (options->ping_idle_ms > 0)
		due = connection->ping_sent_ms ? connection->ping_sent_ms + options->ping_answer_ms
		                               : connection->last_read_ms + options->ping_idle_ms;
	if (options->idle_close_ms > 0 && connection->stream_count == 0 && !connection->draining) {
		idle = connection->idle_since_ms + options->idle_close_ms;
		due = idle < due ? idle : due;
	}
	return due;
}

/* The timer only ever moves earlier here; when it fires too early it is set again. So reading costs no timer call. */
static void rearm(struct http2_connection *connection)
{
	uint64_t due = next_due(connection);

	if (connection->ended || due >= connection->armed_ms)
		return;
	connection->armed_ms = due;
	loop_timer_arm(connection->timer, clock_until(due) + 1);
}

void http2_connection_kick(struct http2_connection *connection)
{
	if (connection->pumping) {
		connection->again = true;
		return;
	}
	if (connection->kicked)
		return;
	connection->kicked = true;
	connection->armed_ms = 0;
	loop_timer_soon(connection->timer);
}

/* Others have their turn first. */
static void kick_later(struct http2_connection *connection)
{
	connection->kicked = true;
	connection->armed_ms = 0;
	loop_timer_arm(connection->timer, 0);
}

static void keep_alive(struct http2_connection *connection)
{
	const struct http2_options *options = &connection->options;
	uint64_t now = clock_monotonic_ms();
	struct error err;

	if (options->ping_idle_ms > 0 && connection->ping_sent_ms != 0 && now >= connection->ping_sent_ms + options->ping_answer_ms) {
		error_set(&err, ERROR_TRANSIENT, "connection to %s is silent: no answer to PING within %u ms", connection->peer,
		          options->ping_answer_ms);
		end_with(connection, &err);
		return;
	}
	if (options->ping_idle_ms > 0 && connection->ping_sent_ms == 0 && now >= connection->last_read_ms + options->ping_idle_ms) {
		connection->ping_sent_ms = now;
		(void)nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, NULL);
	}
	if (options->idle_close_ms > 0 && connection->stream_count == 0 && now >= connection->idle_since_ms + options->idle_close_ms)
		http2_connection_drain(connection);
}

static void on_timer(void *argument)
{
	struct http2_connection *connection = argument;

	connection->kicked = false;
	connection->armed_ms = UINT64_MAX;
	if (!connection->ended)
		keep_alive(connection);
	pump(connection, connection->unread);
}

static void on_ready(int descriptor, unsigned events, void *argument)
{
	pump(argument, (events & LOOP_READ) != 0 || ((struct http2_connection *)argument)->unread);
}

struct http2_connection *http2_connection_new(const struct http2_options *options, struct transport *transport,
                                              const struct http2_connection_events *events, void *argument)
{
	struct http2_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL)
		abort();
	connection->options = *options;
	if (connection->options.maximum_streams == 0)
		connection->options.maximum_streams = HTTP2_MAXIMUM_STREAMS;
	if (connection->options.maximum_header == 0)
		connection->options.maximum_header = HTTP_MAXIMUM_HEADER_BYTES;
	connection->peer = string_dup(options->peer);
	connection->events = events;
	connection->argument = argument;
	connection->transport = transport;
	connection->last_read_ms = connection->idle_since_ms = clock_monotonic_ms();
	connection->session = http2_session_new(connection);
	connection->timer = loop_timer_new(options->loop, on_timer, connection);
	connection->watch = loop_watch_new(options->loop, transport_descriptor(transport), on_ready, connection);
	loop_watch_set(connection->watch, LOOP_READ);
	connection->unread = true; /* perhaps taken from the socket together with the end of the handshake */
	http2_connection_kick(connection);
	return connection;
}

void http2_connection_free(struct http2_connection *connection)
{
	if (connection == NULL)
		return;
	if (connection->pumping) {
		for (struct http2_stream *stream = connection->streams; stream != NULL; stream = stream->next)
			stream->events = NULL;
		connection->ended = connection->concluded = connection->free_wanted = true;
		return;
	}
	while (connection->streams != NULL)
		http2_stream_free(connection->streams);
	nghttp2_session_del(connection->session);
	http2_memory_free(&connection->memory);
	loop_watch_free(connection->watch);
	loop_timer_free(connection->timer);
	transport_free(connection->transport);
	buffer_free_secret(&connection->output);
	if (connection->queue_on_heap)
		free(connection->queue);
	free(connection->error);
	free(connection->diagnosis);
	free(connection->peer);
	free(connection);
}

void http2_connection_drain(struct http2_connection *connection)
{
	connection->draining = true;
	if (connection->ended || connection->terminated) {
		/* nothing left to say */
	} else if (connection->stream_count == 0) {
		connection->terminated = true;
		(void)nghttp2_session_terminate_session(connection->session, NGHTTP2_NO_ERROR);
	} else if (connection->options.server && !connection->notice_sent) {
		connection->notice_sent = true;
		(void)nghttp2_submit_shutdown_notice(connection->session);
		(void)nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, NULL);
	}
	http2_connection_kick(connection);
}

unsigned http2_connection_room(const struct http2_connection *connection)
{
	unsigned limit = connection->options.maximum_streams;
	uint32_t allowed;

	if (connection->ended || connection->draining || connection->goaway ||
	    nghttp2_session_check_request_allowed(connection->session) == 0)
		return 0;
	allowed = nghttp2_session_get_remote_settings(connection->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	if (allowed < limit)
		limit = allowed;
	return connection->stream_count < limit ? limit - connection->stream_count : 0;
}

bool http2_connection_is_leaving(const struct http2_connection *connection)
{
	return connection->goaway;
}

unsigned http2_connection_streams(const struct http2_connection *connection)
{
	return connection->stream_count;
}

size_t http2_connection_queued(const struct http2_connection *connection)
{
	return connection->queued;
}

static void dispatch_data(struct http2_connection *connection, struct http2_stream *stream, const struct http2_event *event)
{
	if (!connection->ended)
		(void)nghttp2_session_consume_connection(connection->session, event->length);
	if (stream->events != NULL && stream->events->on_data != NULL)
		stream->events->on_data(stream, event->bytes, event->length, stream->argument);
	else
		http2_stream_consume(stream, event->length);
}

static void dispatch_close(struct http2_connection *connection, struct http2_stream *stream, uint32_t code)
{
	struct error err = { 0 };
	bool unprocessed = code == NGHTTP2_REFUSED_STREAM;

	if (code == NGHTTP2_NO_ERROR && stream->finished) {
		http2_stream_conclude(stream, NULL, false);
		return;
	}
	if (stream->header_overflow)
		error_set(&err, ERROR_EXHAUSTED, "%s sent a header of more than %u bytes or %d fields", connection->peer,
		          connection->options.maximum_header, HTTP_MAXIMUM_HEADER_FIELDS);
	else if (stream->reset_by_peer)
		error_set(&err, ERROR_TRANSIENT, "stream reset by %s: %s", connection->peer, nghttp2_http2_strerror(code));
	else if (unprocessed)
		error_set(&err, ERROR_TRANSIENT, "%s is going away and did not take the request", connection->peer);
	else
		error_set(&err, ERROR_TRANSIENT, "malformed answer of %s: %s%s%s", connection->peer, nghttp2_http2_strerror(code),
		          connection->diagnosis ? ": " : "", diagnosis(connection));
	http2_stream_conclude(stream, &err, unprocessed);
}

static void dispatch_event(struct http2_connection *connection, const struct http2_event *event)
{
	struct http2_stream *stream = event->stream;
	const struct http2_stream_events *events = stream->events;

	switch (event->type) {
	case HTTP2_EVENT_OPEN:
		if (connection->events->on_stream != NULL)
			connection->events->on_stream(connection, stream, connection->argument);
		if (stream->events == NULL)
			http2_stream_cancel(stream, HTTP2_REFUSED_STREAM);
		else if (stream->events->on_headers != NULL)
			stream->events->on_headers(stream, &stream->headers, stream->argument);
		break;
	case HTTP2_EVENT_HEADERS:
		if (events != NULL && events->on_headers != NULL)
			events->on_headers(stream, &stream->headers, stream->argument);
		break;
	case HTTP2_EVENT_DATA:
		dispatch_data(connection, stream, event);
		break;
	case HTTP2_EVENT_FINISH:
		if (events != NULL && events->on_finish != NULL)
			events->on_finish(stream, &stream->trailers, stream->argument);
		break;
	case HTTP2_EVENT_DRAINED:
		if (events != NULL && events->on_drained != NULL)
			events->on_drained(stream, stream->argument);
		break;
	case HTTP2_EVENT_CLOSE:
		dispatch_close(connection, stream, event->code);
		break;
	}
}

static void dispatch(struct http2_connection *connection)
{
	for (unsigned i = 0; i < connection->queue_length; i++) {
		struct http2_event event = connection->queue[i];

		dispatch_event(connection, &event);
	}
	connection->queue_length = 0;
	if (connection->room_changed && !connection->ended) {
		connection->room_changed = false;
		if (connection->draining)
			http2_connection_drain(connection);
		else if (connection->events->on_room != NULL)
			connection->events->on_room(connection, connection->argument);
	}
}

/* Returns the number of bytes read; 0 when there is nothing now. *more: reading again at once is worth it. */
static size_t receive(struct http2_connection *connection, bool *more)
{
	uint8_t chunk[HTTP2_READ_CHUNK] UNINITIALIZED;
	struct error err;
	size_t got = 0;
	ssize_t taken;

	*more = false;
	switch (transport_read(connection->transport, chunk, sizeof(chunk), &got, &err)) {
	case TRANSPORT_DONE:
		break;
	case TRANSPORT_CLOSED:
		error_set(&err, ERROR_TRANSIENT, "connection closed by %s%s%s", connection->peer, connection->diagnosis ? ": " : "",
		          diagnosis(connection));
		connection->orderly = connection->stream_count == 0;
		end_with(connection, &err);
		return 0;
	case TRANSPORT_FAILED:
		end_with(connection, &err);
		return 0;
	default:
		return 0;
	}
	*more = got == sizeof(chunk) || transport_has_pending(connection->transport);
	connection->last_read_ms = clock_monotonic_ms();
	connection->ping_sent_ms = 0;
	taken = nghttp2_session_mem_recv(connection->session, chunk, got);
	if (taken < 0) {
		error_set(&err, ERROR_TRANSIENT, "HTTP/2 with %s: %s%s%s", connection->peer, nghttp2_strerror((int)taken),
		          connection->diagnosis ? ": " : "", diagnosis(connection));
		end_with(connection, &err);
	}
	dispatch(connection); /* also what came before a failure; events point into chunk */
	return got;
}

/* Serialises what nghttp2 wants to say; bodies come by http2_stream_write(). Both add whole frames. */
static void gather(struct http2_connection *connection, struct http2_gathering *gathering)
{
	const uint8_t *bytes;
	struct error err;
	ssize_t length;
	size_t before;

	connection->gathering = gathering;
	while (gathering->length < gathering->target) {
		before = gathering->length;
		length = nghttp2_session_mem_send(connection->session, &bytes);
		if (length < 0) {
			error_set(&err, ERROR_TRANSIENT, "HTTP/2 with %s: %s", connection->peer, nghttp2_strerror((int)length));
			end_with(connection, &err);
			break;
		}
		if (length == 0 && gathering->length == before)
			break;
		if (gathering->length + (size_t)length > HTTP2_GATHERED_MAXIMUM)
			abort();
		if (length > 0)
			memcpy(gathering->place + gathering->length, bytes, (size_t)length);
		gathering->length += (size_t)length;
	}
	connection->gathering = NULL;
}

/* A peer that refuses us says why before it closes: prefer its alert to our broken pipe. */
static void last_words(struct http2_connection *connection)
{
	uint8_t chunk[1024];
	struct error err;
	size_t got;

	if (connection->error != NULL && connection->error->class == ERROR_TRANSIENT &&
	    transport_read(connection->transport, chunk, sizeof(chunk), &got, &err) == TRANSPORT_FAILED && err.class == ERROR_FORBIDDEN)
		*connection->error = err;
}

/* Gives bytes to the transport; returns how many it took. */
static size_t put(struct http2_connection *connection, const char *bytes, size_t length)
{
	struct error err;
	size_t written, total = 0;

	while (total < length) {
		switch (transport_write(connection->transport, bytes + total, length - total, &written, &err)) {
		case TRANSPORT_DONE:
			total += written;
			break;
		case TRANSPORT_FAILED:
			end_with(connection, &err);
			last_words(connection);
			return total;
		default:
			return total;
		}
	}
	return total;
}

/* Returns the number of bytes written. Stops when the transport is full: then connection->output holds what it did not take. */
static size_t transmit(struct http2_connection *connection)
{
	char place[HTTP2_GATHERED_MAXIMUM] UNINITIALIZED;
	struct http2_gathering gathering = { place, 0, transport_is_tls(connection->transport) ? HTTP2_RECORD : HTTP2_PLAIN_GATHERING };
	size_t taken, total = 0;

	while (!connection->ended && total < HTTP2_WRITE_BUDGET) {
		if (connection->output.length > 0) {
			taken = put(connection, connection->output.data, connection->output.length);
			total += taken;
			if (taken < connection->output.length) {
				buffer_consume(&connection->output, taken);
				return total;
			}
			buffer_free_secret(&connection->output);
		}
		if (!nghttp2_session_want_write(connection->session))
			return total;
		gathering.length = 0;
		gather(connection, &gathering);
		if (gathering.length == 0)
			return total;
		taken = connection->ended ? 0 : put(connection, place, gathering.length);
		total += taken;
		if (!connection->ended && taken < gathering.length)
			(void)buffer_append(&connection->output, place + taken, gathering.length - taken);
		explicit_bzero(place, gathering.length);
		if (connection->output.length > 0)
			return total;
	}
	return total;
}

static void conclude(struct http2_connection *connection)
{
	const struct error *cause = connection->orderly ? NULL : connection->error;
	struct error lost;

	connection->concluded = true;
	loop_watch_set(connection->watch, 0);
	error_set(&lost, ERROR_TRANSIENT, "connection to %s was closed", connection->peer);
	dispatch(connection);
	while (connection->streams != NULL && !connection->free_wanted) {
		struct http2_stream *stream = connection->streams;

		http2_stream_conclude(stream, cause != NULL ? cause : &lost, !stream->header_sent);
	}
	if (!connection->free_wanted)
		connection->events->on_closed(connection, cause, connection->argument);
}

/* nghttp2 has nothing more to do: after GOAWAY of one side, or because it gave up on the peer and has told it so. */
static void session_over(struct http2_connection *connection)
{
	struct error err = { 0 };

	if (connection->goaway && connection->goaway_code != NGHTTP2_NO_ERROR)
		error_set(&err, ERROR_TRANSIENT, "HTTP/2 with %s: %s", connection->peer, diagnosis(connection));
	else if (connection->condemned || (!connection->goaway && !connection->terminated))
		error_set(&err, ERROR_TRANSIENT, "%s broke the rules of HTTP/2%s%s", connection->peer, connection->diagnosis ? ": " : "",
		          diagnosis(connection));
	end_with(connection, &err);
}

static bool is_over(const struct http2_connection *connection)
{
	if (connection->ended || connection->output.length > 0)
		return false;
	return !nghttp2_session_want_write(connection->session) &&
	       (connection->condemned || !nghttp2_session_want_read(connection->session));
}

/* After a round: what is watched for, and when the next one is due. */
static void settle(struct http2_connection *connection, bool readable, bool exhausted)
{
	connection->unread = readable;
	loop_watch_set(connection->watch, LOOP_READ | (connection->output.length > 0 ? LOOP_WRITE : 0u));
	if (exhausted || connection->again)
		kick_later(connection);
	rearm(connection);
}

/* Read, dispatch, write, and again while there is something to do, within the budget of one turn. */
static void pump(struct http2_connection *connection, bool readable)
{
	struct http2_event at_hand[HTTP2_EVENTS_AT_HAND] UNINITIALIZED;
	size_t received = 0, sent = 0;
	bool exhausted;

	if (connection->pumping || connection->concluded)
		return;
	connection->pumping = true;
	if (!connection->queue_on_heap) { /* nothing was queued between two pumps */
		connection->queue = at_hand;
		connection->queue_capacity = HTTP2_EVENTS_AT_HAND;
	}
	do {
		connection->again = false;
		if (readable && !connection->ended)
			received += receive(connection, &readable);
		if (!connection->ended)
			sent += transmit(connection);
		dispatch(connection);
		if (is_over(connection))
			session_over(connection);
		exhausted = received >= HTTP2_PUMP_BUDGET || sent >= HTTP2_WRITE_BUDGET;
	} while (!connection->ended && (connection->again || readable) && !exhausted);
	if (connection->ended && !connection->concluded)
		conclude(connection);
	if (connection->queue_on_heap)
		free(connection->queue);
	connection->queue = NULL;
	connection->queue_on_heap = false;
	connection->queue_length = connection->queue_capacity = 0;
	connection->pumping = false;
	if (connection->free_wanted)
		http2_connection_free(connection);
	else if (!connection->ended)
		settle(connection, readable, exhausted);
}
