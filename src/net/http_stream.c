/* SPDX-License-Identifier: Apache-2.0 */
/* One request on its way: waiting, sent, perhaps tried again, answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "net/http_client_internal.h"

enum { RETRY_DELAY_MS = 50 }; /* before the third attempt, doubled for each further one */

static const struct http_headers no_trailers;

enum pool_kind http_stream_kind(const struct http_stream *stream)
{
	return stream->long_lived ? POOL_LONG_LIVED : POOL_REQUESTS;
}

static char *copy_bytes(const void *bytes, size_t length)
{
	char *copy = malloc(length ? length : 1);

	if (copy == NULL)
		abort();
	if (length > 0)
		memcpy(copy, bytes, length);
	return copy;
}

struct http_stream *http_stream_new(struct http_client *client, const struct http_request *request,
                                    const struct http_stream_callbacks *callbacks, void *argument)
{
	struct http_stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL)
		abort();
	http_client_ref(client);
	stream->client = client;
	stream->callbacks = *callbacks;
	stream->argument = argument;
	stream->long_lived = request->long_lived;
	stream->explicit_flow = request->explicit_flow;
	stream->method = string_dup(request->method ? request->method : "GET");
	stream->path = string_dup(request->path ? request->path : "");
	stream->header_count = request->header_count;
	stream->headers = calloc(request->header_count + 1, sizeof(*stream->headers));
	if (stream->headers == NULL)
		abort();
	for (size_t i = 0; i < request->header_count; i++) {
		stream->headers[i].name = string_dup(request->headers[i].name);
		stream->headers[i].value = string_dup(request->headers[i].value);
		stream->headers[i].sensitive = request->headers[i].sensitive;
	}
	stream->body_length = request->body_length;
	stream->body = request->body_length > 0 ? copy_bytes(request->body, request->body_length) : NULL;
	stream->timeout_ms = request->timeout_ms ? request->timeout_ms : HTTP_CLIENT_REQUEST_TIMEOUT_MS;
	stream->started_ns = clock_monotonic_ns();
	stream->deadline_ms = clock_monotonic_ms() + stream->timeout_ms;
	return stream;
}

static void forget_request(struct http_stream *stream)
{
	for (size_t i = 0; i < stream->header_count; i++) {
		free((char *)stream->headers[i].name);
		secret_free((char *)stream->headers[i].value);
	}
	free(stream->headers);
	stream->headers = NULL;
	stream->header_count = 0;
	if (stream->body != NULL)
		secret_zero(stream->body, stream->body_length);
	free(stream->body);
	stream->body = NULL;
	free(stream->method);
	free(stream->path);
	stream->method = stream->path = NULL;
}

static void stream_free(struct http_stream *stream)
{
	forget_request(stream);
	http_client_unref(stream->client);
	free(stream);
}

static bool text_is_clean(const char *text, bool spaces)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f || (!spaces && *text == ' '))
			return false;
	return true;
}

static int check_request(const struct http_stream *stream, struct error *err)
{
	if (stream->path[0] != '/' || !text_is_clean(stream->path, false))
		return error_set(err, ERROR_INVALID, "request path \"%.80s\" must start with '/' and hold no spaces", stream->path);
	if (stream->method[0] == '\0' || strspn(stream->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(stream->method))
		return error_set(err, ERROR_INVALID, "request method \"%.20s\"", stream->method);
	for (size_t i = 0; i < stream->header_count; i++) {
		const char *name = stream->headers[i].name, *value = stream->headers[i].value;

		if (name == NULL || value == NULL || name[0] == '\0' ||
		    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(name))
			return error_set(err, ERROR_INVALID, "request header \"%.40s\": lower-case name and a value are needed",
			                 name ? name : "");
		if (!text_is_clean(value, true))
			return error_set(err, ERROR_INVALID, "request header %.40s: control character in its value", name);
	}
	return 0;
}

static void leave_lists(struct http_stream *stream)
{
	if (stream->state == HTTP_STREAM_WAITING)
		TAILQ_REMOVE(&stream->client->waiting[http_stream_kind(stream)], stream, link);
	else if (stream->state == HTTP_STREAM_OPEN)
		TAILQ_REMOVE(&stream->connection->streams, stream, link);
	stream->connection = NULL;
	if (stream->http2 != NULL)
		http2_stream_cancel(stream->http2, HTTP2_CANCEL);
	stream->http2 = NULL;
}

static void observe(struct http_stream *stream, const struct error *err)
{
	struct http_client *client = stream->client;
	struct http_observation observation = {
		.authority = client->authority,
		.method = stream->method,
		.path = stream->path,
		.status = stream->status,
		.duration_ns = clock_monotonic_ns() - stream->started_ns,
		.error = err,
	};

	if (client->observe != NULL && !stream->observed)
		client->observe(&observation, client->observe_argument);
	stream->observed = true;
}

/* What close and end share: afterwards the stream is in no list and nothing will call it. */
static void settle(struct http_stream *stream, const struct error *err)
{
	leave_lists(stream);
	stream->state = HTTP_STREAM_ENDED;
	loop_timer_free(stream->timer);
	stream->timer = NULL;
	observe(stream, err);
	forget_request(stream);
}

void http_stream_end(struct http_stream *stream, const struct http_headers *trailers, const struct error *err)
{
	struct error copy;

	if (err != NULL) {
		copy = *err; /* may live in what settle() frees */
		err = &copy;
	}
	settle(stream, err);
	stream->callbacks.on_end(stream, trailers, err, stream->argument);
}

static void on_deadline(struct http_stream *stream)
{
	char text[300];
	struct error err;

	if (stream->state == HTTP_STREAM_OPEN) {
		error_set(&err, ERROR_TIMEOUT, "no complete answer from %s within %u ms", stream->client->authority, stream->timeout_ms);
	} else {
		http_pool_describe(stream->client, http_stream_kind(stream), text, sizeof(text));
		error_set(&err, ERROR_TIMEOUT, "%s: not done within %u ms", text, stream->timeout_ms);
		if (stream->last_error.class != ERROR_NONE)
			error_wrap(&err, "%s; then", stream->last_error.message);
	}
	http_stream_end(stream, &no_trailers, &err);
}

static void set_timer(struct http_stream *stream)
{
	uint64_t due = stream->deadline_ms;

	if (stream->state == HTTP_STREAM_WAITING && stream->retry_at_ms > clock_monotonic_ms() && stream->retry_at_ms < due)
		due = stream->retry_at_ms;
	if (due == UINT64_MAX)
		loop_timer_disarm(stream->timer);
	else
		loop_timer_arm(stream->timer, clock_until(due) + 1);
}

static void on_timer(void *argument)
{
	struct http_stream *stream = argument;

	if (clock_until(stream->deadline_ms) == 0) {
		on_deadline(stream);
		return;
	}
	set_timer(stream);
	if (stream->state == HTTP_STREAM_WAITING && stream->retry_at_ms <= clock_monotonic_ms())
		http_pool_dispatch(stream->client, http_stream_kind(stream));
}

static void start(void *argument)
{
	struct http_stream *stream = argument;
	struct error err;

	if (stream->closed) {
		stream_free(stream);
		return;
	}
	stream->timer = loop_timer_new(stream->client->loop, on_timer, stream);
	if (stream->client->ending)
		error_set(&err, ERROR_CANCELLED, "the client of %s is closed", stream->client->authority);
	else if (check_request(stream, &err) == 0)
		error_clear(&err);
	if (err.class != ERROR_NONE) {
		http_stream_end(stream, &no_trailers, &err);
		return;
	}
	stream->state = HTTP_STREAM_WAITING;
	TAILQ_INSERT_TAIL(&stream->client->waiting[http_stream_kind(stream)], stream, link);
	set_timer(stream);
	http_pool_dispatch(stream->client, http_stream_kind(stream));
}

void http_stream_submit(struct http_stream *stream)
{
	loop_post(stream->client->loop, start, stream);
}

struct http_stream *http_client_stream(struct http_client *client, const struct http_request *request,
                                       const struct http_stream_callbacks *callbacks, void *argument)
{
	struct http_stream *stream = http_stream_new(client, request, callbacks, argument);

	http_stream_submit(stream);
	return stream;
}

static void close_on_loop(void *argument)
{
	struct http_stream *stream = argument;
	struct error err;

	if (stream->state == HTTP_STREAM_NEW) {
		stream->closed = true; /* start() is still posted and frees it */
		return;
	}
	if (stream->state != HTTP_STREAM_ENDED) {
		error_set(&err, ERROR_CANCELLED, "closed by its owner");
		settle(stream, &err);
	}
	stream_free(stream);
}

void http_stream_close(struct http_stream *stream)
{
	if (stream != NULL)
		loop_call(stream->client->loop, close_on_loop, stream);
}

void http_stream_consume(struct http_stream *stream, size_t bytes)
{
	if (stream->http2 != NULL)
		http2_stream_consume(stream->http2, bytes);
}

static void on_headers(struct http2_stream *http2, const struct http_headers *headers, void *argument)
{
	struct http_stream *stream = argument;
	const char *status = http_headers_get(headers, ":status"); /* nghttp2 has checked that it is there and three digits */

	stream->status = status != NULL ? (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0') : 0;
	stream->have_headers = true;
	if (stream->long_lived) {
		stream->deadline_ms = UINT64_MAX;
		set_timer(stream);
		observe(stream, NULL);
	}
	if (stream->callbacks.on_headers != NULL)
		stream->callbacks.on_headers(stream, stream->status, headers, stream->argument);
}

static void on_data(struct http2_stream *http2, const char *bytes, size_t length, void *argument)
{
	struct http_stream *stream = argument;

	if (!stream->explicit_flow)
		http2_stream_consume(http2, length);
	if (stream->callbacks.on_data != NULL)
		stream->callbacks.on_data(stream, bytes, length, stream->argument);
}

/* The answer is complete; when the server did not want our whole body, the rest is called off. */
static void on_finish(struct http2_stream *http2, const struct http_headers *trailers, void *argument)
{
	http_stream_end(argument, trailers, NULL);
}

static bool try_again(struct http_stream *stream, const struct error *err)
{
	uint64_t delay;

	if (stream->have_headers || stream->attempts >= HTTP_CLIENT_MAXIMUM_ATTEMPTS || stream->client->ending ||
	    err->class != ERROR_TRANSIENT)
		return false;
	delay = stream->attempts < 2 ? 0 : (uint64_t)RETRY_DELAY_MS << (stream->attempts - 2);
	stream->last_error = *err;
	stream->http2 = NULL;
	leave_lists(stream);
	stream->state = HTTP_STREAM_WAITING;
	stream->retry_at_ms = clock_monotonic_ms() + delay;
	TAILQ_INSERT_HEAD(&stream->client->waiting[http_stream_kind(stream)], stream, link);
	set_timer(stream);
	http_pool_dispatch(stream->client, http_stream_kind(stream));
	return true;
}

static void on_close(struct http2_stream *http2, const struct error *err, bool unprocessed, void *argument)
{
	struct http_stream *stream = argument;
	struct error early;

	stream->http2 = NULL;
	if (err == NULL) {
		error_set(&early, ERROR_TRANSIENT, "%s ended the answer early", stream->client->authority);
		err = &early;
	}
	if (unprocessed && try_again(stream, err))
		return;
	http_stream_end(stream, &no_trailers, err);
}

static const struct http2_stream_events stream_events = {
	.on_headers = on_headers,
	.on_data = on_data,
	.on_finish = on_finish,
	.on_close = on_close,
};

void http_stream_open_on(struct http_stream *stream, struct pool_connection *connection)
{
	struct http_client *client = stream->client;
	struct http_header *headers = calloc(stream->header_count + 6, sizeof(*headers));
	size_t count = 0;
	char length[24];

	if (headers == NULL)
		abort();
	headers[count++] = (struct http_header){ ":method", stream->method, false };
	headers[count++] = (struct http_header){ ":scheme", client->identity ? "https" : "http", false };
	headers[count++] = (struct http_header){ ":authority", client->authority, false };
	headers[count++] = (struct http_header){ ":path", stream->path, false };
	headers[count++] = (struct http_header){ "user-agent", client->user_agent, false };
	for (size_t i = 0; i < stream->header_count; i++)
		headers[count++] = stream->headers[i];
	if (stream->body_length > 0) {
		(void)snprintf(length, sizeof(length), "%zu", stream->body_length);
		headers[count++] = (struct http_header){ "content-length", length, false };
	}
	leave_lists(stream);
	stream->state = HTTP_STREAM_OPEN;
	stream->attempts++;
	stream->connection = connection;
	TAILQ_INSERT_TAIL(&connection->streams, stream, link);
	stream->http2 = http2_stream_open(connection->http2, headers, count, stream->body_length == 0, &stream_events, stream);
	if (stream->body_length > 0)
		http2_stream_send(stream->http2, stream->body, stream->body_length, true);
	free(headers);
}
