/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "grpc/grpc_server_internal.h"

static void on_data(struct http2_stream *stream, const char *bytes, size_t length, void *argument)
{
	grpc_call_receive(argument, bytes, length);
}

static void on_finish(struct http2_stream *stream, const struct http_headers *trailers, void *argument)
{
	grpc_call_receive_end(argument);
}

static void on_drained(struct http2_stream *stream, void *argument)
{
	struct grpc_call *call = argument;

	if (!call->finished && call->known && call->method->drained != NULL)
		call->method->drained(call, call->method->argument);
}

static void on_close(struct http2_stream *stream, const struct error *err, bool unprocessed, void *argument)
{
	grpc_call_end(argument);
}

static void on_headers(struct http2_stream *stream, const struct http_headers *headers, void *argument);

static const struct http2_stream_events events = {
	.on_headers = on_headers,
	.on_data = on_data,
	.on_finish = on_finish,
	.on_drained = on_drained,
	.on_close = on_close,
};

void grpc_call_open(struct grpc_connection *connection, struct http2_stream *stream)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		abort();
	call->connection = connection;
	call->stream = stream;
	call->deadline.at_ms = UINT64_MAX;
	LIST_INSERT_HEAD(&connection->calls, call, link);
	connection->server->statistics.calls++;
	connection->server->statistics.started_calls++;
	http2_stream_listen(stream, &events, call);
}

static struct grpc_method_statistics *statistics_of(const struct grpc_call *call)
{
	const struct grpc_server *server = call->connection->server;

	return &server->method_statistics[call->method - server->methods];
}

/* True the first time: what follows does not change how the call ended. */
static bool note_end(struct grpc_call *call, int status)
{
	if (call->finished)
		return false;
	call->finished = true;
	if (call->method != NULL)
		statistics_of(call)->handled[status >= 0 && status < GRPC_STATUSES ? status : GRPC_UNKNOWN]++;
	return true;
}

void grpc_call_end(struct grpc_call *call)
{
	struct grpc_connection *connection = call->connection;

	(void)note_end(call, GRPC_CANCELLED);
	if (call->waiting)
		TAILQ_REMOVE(&connection->waiting, call, turn);
	grpc_deadlines_remove(&connection->server->deadlines, &call->deadline);
	if (call->known && call->method->ended != NULL)
		call->method->ended(call, call->method->argument);
	grpc_call_drop_input(call);
	LIST_REMOVE(call, link);
	connection->server->statistics.calls--;
	free(call);
}

/* One header block and nothing else: what gRPC calls Trailers-Only. */
static void answer_headers_only(struct grpc_call *call, const char *http_status, int status, const char *message)
{
	struct buffer encoded BUFFER_CLEANUP = { 0 };
	char number[12];
	struct http_header headers[] = {
		{ ":status", http_status, false },
		{ "content-type", "application/grpc", false },
		{ "grpc-status", number, false },
		{ "grpc-message", "", false },
	};

	(void)snprintf(number, sizeof(number), "%d", status);
	if (message != NULL)
		grpc_message_encode(message, &encoded);
	headers[3].value = encoded.length > 0 ? encoded.data : "";
	call->headers_sent = true;
	http2_stream_respond(call->stream, headers, status == GRPC_OK ? 3 : 4, true);
}

static void answer_trailers(struct grpc_call *call, int status, const char *message)
{
	struct buffer encoded BUFFER_CLEANUP = { 0 };
	char number[12];
	struct http_header trailers[] = { { "grpc-status", number, false }, { "grpc-message", "", false } };

	(void)snprintf(number, sizeof(number), "%d", status);
	if (message != NULL)
		grpc_message_encode(message, &encoded);
	trailers[1].value = encoded.length > 0 ? encoded.data : "";
	http2_stream_send_trailers(call->stream, trailers, status == GRPC_OK ? 1 : 2);
}

static void finish(struct grpc_call *call, const char *http_status, int status, const char *message)
{
	if (!note_end(call, status))
		return;
	if (call->waiting)
		TAILQ_REMOVE(&call->connection->waiting, call, turn);
	call->waiting = false;
	grpc_deadlines_remove(&call->connection->server->deadlines, &call->deadline);
	if (!call->delivering)
		grpc_call_drop_input(call);
	if (call->headers_sent)
		answer_trailers(call, status, message);
	else
		answer_headers_only(call, http_status, status, message);
}

void grpc_call_finish(struct grpc_call *call, int status, const char *message)
{
	finish(call, "200", status, message);
}

void grpc_call_abort(struct grpc_call *call, int status, const char *message)
{
	finish(call, "200", status, message);
}

/* The client has given up as well: what is queued is of no use to it. */
void grpc_call_expired(struct grpc_deadline *deadline, void *argument)
{
	struct grpc_call *call = (void *)((char *)deadline - offsetof(struct grpc_call, deadline));

	if (http2_stream_queued(call->stream) == 0) {
		grpc_call_abort(call, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
		return;
	}
	(void)note_end(call, GRPC_DEADLINE_EXCEEDED);
	http2_stream_cancel(call->stream, HTTP2_CANCEL);
	grpc_call_end(call);
}

static int by_path(const void *key, const void *row)
{
	return strcmp(key, ((const struct grpc_method *)row)->path);
}

/* grpc-go's texts: clients and their tests look at them. */
static void answer_unknown(struct grpc_call *call, const char *path)
{
	const struct grpc_server *server = call->connection->server;
	const char *slash = strrchr(path, '/');
	size_t service = slash != NULL ? (size_t)(slash - path) : 0;
	char text[400];

	if (path[0] != '/' || slash == path) {
		(void)snprintf(text, sizeof(text), "malformed method name: \"%.150s\"", path);
		grpc_call_abort(call, GRPC_UNIMPLEMENTED, text);
		return;
	}
	(void)snprintf(text, sizeof(text), "unknown service %.*s", service > 150 ? 150 : (int)(service - 1), path + 1);
	for (size_t i = 0; i < server->options.method_count; i++)
		if (strncmp(server->methods[i].path, path, service + 1) == 0) {
			(void)snprintf(text, sizeof(text), "unknown method %.150s for service %.*s", slash + 1, (int)(service - 1),
			               path + 1);
			break;
		}
	grpc_call_abort(call, GRPC_UNIMPLEMENTED, text);
}

static bool is_grpc(const char *content_type)
{
	static const char wanted[] = "application/grpc";
	size_t length = sizeof(wanted) - 1;

	if (content_type == NULL || strncmp(content_type, wanted, length) != 0)
		return false;
	return content_type[length] == '\0' || content_type[length] == '+' || content_type[length] == ';';
}

/* What the protocol itself needs of a header block; NULL when absent. */
struct call_headers {
	const char *method, *path, *timeout, *encoding;
};

static struct call_headers find_headers(const struct http_headers *headers)
{
	struct call_headers found = { 0 };
	const char *name, *value;
	size_t at = 0;

	while (http_headers_next(headers, &at, &name, &value)) {
		if (strcmp(name, ":method") == 0)
			found.method = value;
		else if (strcmp(name, ":path") == 0)
			found.path = value;
		else if (strcmp(name, "grpc-timeout") == 0)
			found.timeout = value;
		else if (strcmp(name, "grpc-encoding") == 0)
			found.encoding = value;
	}
	return found;
}

/* The deadline and what forbids the call; false: answered. */
static bool read_headers(struct grpc_call *call, const struct call_headers *headers)
{
	char text[160];
	uint64_t milliseconds;

	if (!string_equal(headers->method, "POST")) {
		(void)snprintf(text, sizeof(text), "Received a HEADERS frame with :method \"%.20s\" which should be POST",
		               headers->method ? headers->method : "");
		finish(call, "405", GRPC_INTERNAL, text);
		return false;
	}
	if (headers->timeout != NULL && !grpc_timeout_parse(headers->timeout, &milliseconds)) {
		(void)snprintf(text, sizeof(text), "malformed grpc-timeout: \"%.20s\"", headers->timeout);
		finish(call, "400", GRPC_INTERNAL, text);
		return false;
	}
	if (headers->timeout != NULL)
		call->deadline.at_ms = clock_monotonic_ms() + milliseconds;
	if (headers->encoding != NULL && strcmp(headers->encoding, "identity") != 0) {
		(void)snprintf(text, sizeof(text), "grpc: Decompressor is not installed for grpc-encoding \"%.60s\"", headers->encoding);
		grpc_call_abort(call, GRPC_UNIMPLEMENTED, text);
		return false;
	}
	return true;
}

static void on_headers(struct http2_stream *stream, const struct http_headers *block, void *argument)
{
	struct grpc_call *call = argument;
	struct grpc_server *server = call->connection->server;
	struct call_headers headers = find_headers(block);
	const char *path = headers.path != NULL ? headers.path : "";

	if (!read_headers(call, &headers))
		return;
	call->method = bsearch(path, server->methods, server->options.method_count, sizeof(*server->methods), by_path);
	if (call->method == NULL) {
		answer_unknown(call, path);
		return;
	}
	statistics_of(call)->started++;
	grpc_deadlines_add(&server->deadlines, &call->deadline);
	if (!call->method->streaming)
		return;
	call->known = true;
	if (call->method->started != NULL)
		call->method->started(call, call->method->argument);
}

void grpc_connection_open_stream(struct http2_connection *http2, struct http2_stream *stream, void *argument)
{
	struct grpc_connection *connection = argument;

	if (is_grpc(http_headers_get(http2_stream_headers(stream), "content-type")))
		grpc_call_open(connection, stream);
	else
		grpc_plain_serve(connection->server, stream);
}

void grpc_call_set_data(struct grpc_call *call, void *data)
{
	call->data = data;
}

void *grpc_call_data(const struct grpc_call *call)
{
	return call->data;
}

const struct grpc_identity *grpc_call_identity(const struct grpc_call *call)
{
	return &call->connection->identity;
}

const char *grpc_call_peer(const struct grpc_call *call)
{
	return call->connection->peer;
}

const char *grpc_call_metadata(const struct grpc_call *call, const char *name)
{
	return http_headers_get(http2_stream_headers(call->stream), name);
}

uint64_t grpc_call_deadline(const struct grpc_call *call)
{
	return call->deadline.at_ms;
}

void grpc_call_hold(struct grpc_call *call, bool hold)
{
	call->held = hold;
	if (!hold && !call->finished)
		grpc_call_deliver(call);
}

void grpc_call_begin(struct grpc_call *call)
{
	static const struct http_header headers[] = { { ":status", "200", false }, { "content-type", "application/grpc", false } };

	if (call->headers_sent || call->finished)
		return;
	call->headers_sent = true;
	http2_stream_respond(call->stream, headers, ARRAY_LENGTH(headers), false);
}

void grpc_call_send_begin(struct grpc_call *call, size_t length)
{
	const unsigned char header[GRPC_HEADER] = { 0, (unsigned char)(length >> 24), (unsigned char)(length >> 16),
		                                    (unsigned char)(length >> 8), (unsigned char)length };

	if (call->finished)
		return;
	grpc_call_begin(call);
	call->connection->server->statistics.sent_bytes += length;
	http2_stream_expect(call->stream, length + sizeof(header));
	http2_stream_send(call->stream, header, sizeof(header), false);
}

void grpc_call_send_part(struct grpc_call *call, const void *bytes, size_t length)
{
	if (!call->finished && length > 0)
		http2_stream_send(call->stream, bytes, length, false);
}

void grpc_call_send(struct grpc_call *call, const void *message, size_t length)
{
	grpc_call_send_begin(call, length);
	grpc_call_send_part(call, message, length);
}

void grpc_call_send_buffer(struct grpc_call *call, struct buffer *message)
{
	if (call->finished) {
		buffer_free_secret(message);
		return;
	}
	if (message->length < HTTP2_OUTPUT_WORTH_TAKING) {
		grpc_call_send(call, message->data, message->length);
		buffer_free_secret(message);
		return;
	}
	grpc_call_send_begin(call, message->length);
	http2_stream_expect(call->stream, 0);
	http2_stream_send_buffer(call->stream, message, false);
}

void grpc_call_send_loan(struct grpc_call *call, struct loan *loan)
{
	if (call->finished) {
		loan->release(loan);
		return;
	}
	grpc_call_send_begin(call, loan_length(loan));
	http2_stream_expect(call->stream, 0);
	http2_stream_lend(call->stream, loan, false);
}

size_t grpc_call_queued(const struct grpc_call *call)
{
	return call->finished ? 0 : http2_stream_queued(call->stream);
}
