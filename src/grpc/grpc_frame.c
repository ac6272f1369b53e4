/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "grpc/grpc_server_internal.h"

enum verdict { INCOMPLETE, COMPLETE, REFUSED };

static void refuse_compressed(struct grpc_call *call)
{
	const char *encoding = grpc_call_metadata(call, "grpc-encoding");
	char text[160];

	if (encoding == NULL || encoding[0] == '\0') {
		grpc_call_abort(call, GRPC_INTERNAL, "grpc: compressed flag set with identity or empty encoding");
		return;
	}
	(void)snprintf(text, sizeof(text), "grpc: Decompressor is not installed for grpc-encoding \"%.60s\"", encoding);
	grpc_call_abort(call, GRPC_UNIMPLEMENTED, text);
}

/* Looks at the frame that starts the bytes; a refusal has been answered. */
static enum verdict look(struct grpc_call *call, const char *bytes, size_t length, size_t *message_length)
{
	const unsigned char *header = (const unsigned char *)bytes;
	size_t limit = call->connection->server->options.maximum_message;
	char text[100];

	if (length < GRPC_HEADER)
		return INCOMPLETE;
	*message_length = (size_t)header[1] << 24 | (size_t)header[2] << 16 | (size_t)header[3] << 8 | header[4];
	if (header[0] != 0) {
		refuse_compressed(call);
		return REFUSED;
	}
	if (*message_length > limit) {
		(void)snprintf(text, sizeof(text), "grpc: received message larger than max (%zu vs. %zu)", *message_length, limit);
		grpc_call_abort(call, GRPC_RESOURCE_EXHAUSTED, text);
		return REFUSED;
	}
	return length - GRPC_HEADER >= *message_length ? COMPLETE : INCOMPLETE;
}

void grpc_call_drop_input(struct grpc_call *call)
{
	call->connection->input -= call->input.length;
	buffer_free_secret(&call->input);
	call->delivered = 0;
}

static void keep(struct grpc_call *call, const char *bytes, size_t length)
{
	struct grpc_connection *connection = call->connection;
	char text[120];
	size_t message_length;

	if (connection->input + length > GRPC_CONNECTION_INPUT) {
		(void)snprintf(text, sizeof(text), "grpc: more than %d bytes of unfinished requests on one connection",
		               GRPC_CONNECTION_INPUT);
		grpc_call_abort(call, GRPC_RESOURCE_EXHAUSTED, text);
		return;
	}
	(void)buffer_append(&call->input, bytes, length);
	connection->input += length;
	/* Room for the rest of a long message in one step, not by doubling. */
	if (call->delivered == 0 && look(call, call->input.data, call->input.length, &message_length) == INCOMPLETE &&
	    call->input.length >= GRPC_HEADER)
		(void)buffer_reserve(&call->input, message_length + GRPC_HEADER - call->input.length);
}

static void give(struct grpc_call *call, const char *bytes, size_t length)
{
	struct grpc_server *server = call->connection->server;

	call->known = true;
	server->statistics.received_bytes += length;
	call->method->message(call, bytes, length, call->method->argument);
}

void grpc_call_deliver(struct grpc_call *call)
{
	struct buffer *input = &call->input;
	size_t length;

	if (call->delivering)
		return;
	call->delivering = true;
	while (!call->held && !call->finished && input->length > call->delivered &&
	       look(call, input->data + call->delivered, input->length - call->delivered, &length) == COMPLETE) {
		const char *message = input->data + call->delivered + GRPC_HEADER;

		call->delivered += GRPC_HEADER + length;
		give(call, message, length);
	}
	call->delivering = false;
	if (call->finished || call->delivered == input->length) {
		grpc_call_drop_input(call);
	} else if (call->delivered > 0) {
		call->connection->input -= call->delivered;
		buffer_consume(input, call->delivered);
		call->delivered = 0;
	}
	if (!call->held && call->owed > 0) {
		http2_stream_consume(call->stream, call->owed);
		call->owed = 0;
	}
	if (call->finished || call->held || !call->client_finished || call->half_closed_told)
		return;
	if (input->length > 0) {
		grpc_call_abort(call, GRPC_INTERNAL, "grpc: the last message is cut short");
		return;
	}
	call->half_closed_told = true;
	if (call->method->half_closed != NULL)
		call->method->half_closed(call, call->method->argument);
}

static void serve(struct grpc_call *call, const char *message, size_t length)
{
	if (call->deadline.at_ms <= clock_monotonic_ms())
		grpc_call_abort(call, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
	else
		give(call, message, length);
}

/* Everything has come. */
void grpc_call_serve_unary(struct grpc_call *call)
{
	struct buffer input = call->input;
	size_t length = 0;

	if (input.length == 0) {
		grpc_call_abort(call, GRPC_INTERNAL, "grpc: the call ended without its message");
		return;
	}
	switch (look(call, input.data, input.length, &length)) {
	case INCOMPLETE:
		grpc_call_abort(call, GRPC_INTERNAL, "grpc: the message is cut short");
		break;
	case COMPLETE:
		if (input.length > GRPC_HEADER + length) {
			grpc_call_abort(call, GRPC_INTERNAL, "grpc: more than one message in a call that takes one");
			break;
		}
		/* Out of the call: the answer may end it, and the service borrows the bytes. */
		call->connection->input -= input.length;
		call->input = (struct buffer){ 0 };
		serve(call, input.data + GRPC_HEADER, length);
		buffer_free_secret(&input);
		break;
	case REFUSED:
		break;
	}
}

static void take_turn(struct grpc_call *call)
{
	struct grpc_connection *connection = call->connection;

	if (TAILQ_EMPTY(&connection->waiting) && http2_connection_queued(connection->http2) <= GRPC_CONNECTION_QUEUE) {
		grpc_call_serve_unary(call);
		return;
	}
	call->waiting = true;
	TAILQ_INSERT_TAIL(&connection->waiting, call, turn);
}

void grpc_connection_serve_waiting(struct grpc_connection *connection)
{
	struct grpc_call *call;

	while ((call = TAILQ_FIRST(&connection->waiting)) != NULL && http2_connection_queued(connection->http2) <= GRPC_CONNECTION_QUEUE) {
		TAILQ_REMOVE(&connection->waiting, call, turn);
		call->waiting = false;
		grpc_call_serve_unary(call);
	}
}

/* The usual unary request is in one piece and nothing follows: it is served from where it was read. */
static bool serve_in_place(struct grpc_call *call, const char *bytes, size_t length)
{
	struct grpc_connection *connection = call->connection;
	size_t message_length;

	if (call->method->streaming || call->input.length > 0 || !http2_stream_is_finished(call->stream) ||
	    !TAILQ_EMPTY(&connection->waiting) || http2_connection_queued(connection->http2) > GRPC_CONNECTION_QUEUE)
		return false;
	if (look(call, bytes, length, &message_length) != COMPLETE || length != GRPC_HEADER + message_length)
		return call->finished;
	call->client_finished = true;
	serve(call, bytes + GRPC_HEADER, message_length);
	return true;
}

void grpc_call_receive(struct grpc_call *call, const char *bytes, size_t length)
{
	size_t message_length;

	if (!call->finished && !call->client_finished && length > 0 && !serve_in_place(call, bytes, length)) {
		if (call->method->streaming)
			call->owed += length;
		keep(call, bytes, length);
		if (call->method->streaming) {
			grpc_call_deliver(call);
			return;
		}
		/* What will be refused is refused before it has come. */
		if (!call->finished)
			(void)look(call, call->input.data, call->input.length, &message_length);
	}
	http2_stream_consume(call->stream, length);
}

void grpc_call_receive_end(struct grpc_call *call)
{
	if (call->finished || call->client_finished)
		return;
	call->client_finished = true;
	if (call->method->streaming)
		grpc_call_deliver(call);
	else
		take_turn(call);
}
