/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_client.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"

void grpc_frame_write(struct buffer *out, const void *message, size_t length)
{
	const unsigned char header[GRPC_FRAME_HEADER] = { 0, (unsigned char)(length >> 24), (unsigned char)(length >> 16),
		                                          (unsigned char)(length >> 8), (unsigned char)length };

	(void)buffer_append(out, header, sizeof(header));
	if (length > 0)
		(void)buffer_append(out, message, length);
}

int grpc_frame_parse(const void *body, size_t length, size_t limit, const uint8_t **message, size_t *message_length, struct error *err)
{
	const uint8_t *bytes = body;
	size_t size;

	if (length < GRPC_FRAME_HEADER)
		return error_set(err, ERROR_CORRUPT, "gRPC answer holds no message (%zu bytes)", length);
	if (bytes[0] != 0)
		return error_set(err, ERROR_CORRUPT, "gRPC answer is compressed, which was not asked for");
	size = (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | bytes[4];
	if (size > limit)
		return error_set(err, ERROR_EXHAUSTED, "gRPC message of %zu bytes is larger than %zu", size, limit);
	if (length - GRPC_FRAME_HEADER < size)
		return error_set(err, ERROR_CORRUPT, "gRPC message is cut short: %zu bytes of %zu", length - GRPC_FRAME_HEADER, size);
	if (length - GRPC_FRAME_HEADER > size)
		return error_set(err, ERROR_CORRUPT, "gRPC answer holds more than one message");
	*message = bytes + GRPC_FRAME_HEADER;
	*message_length = size;
	return 0;
}

/* gRPC's table for answers that are no gRPC (doc/http-grpc-status-mapping.md), by class. */
static int check_http(const struct http_response *response, struct error *err)
{
	const char *type = http_headers_get(&response->headers, "content-type");
	enum error_class class = ERROR_TRANSIENT;

	if (response->status != 200) {
		if (response->status == 401 || response->status == 403)
			class = ERROR_FORBIDDEN;
		else if (response->status == 404)
			class = ERROR_INVALID;
		error_set(err, class, "HTTP status %d instead of a gRPC answer", response->status);
		err->status = response->status;
		return -1;
	}
	if (type == NULL || !string_has_prefix(type, "application/grpc"))
		return error_set(err, ERROR_CORRUPT, "answer of type \"%.60s\" is no gRPC", type ? type : "");
	return 0;
}

static int take_answer(const struct http_response *response, size_t limit, struct buffer *out, struct error *err)
{
	const uint8_t *message;
	size_t length;
	bool trailers_only = response->trailers.count == 0 && response->body.length == 0;

	if (check_http(response, err) != 0)
		return -1;
	if (grpc_status_check(trailers_only ? &response->headers : &response->trailers, err) != 0)
		return -1;
	if (grpc_frame_parse(response->body.data, response->body.length, limit, &message, &length, err) != 0)
		return -1;
	(void)buffer_append(out, message, length);
	return 0;
}

int grpc_client_call(struct http_client *client, const struct grpc_request *call, struct buffer *response, struct cancel *cancel,
                     struct error *err)
{
	struct http_response answer HTTP_RESPONSE_CLEANUP = { 0 };
	struct buffer body BUFFER_SECRET_CLEANUP = { 0 };
	size_t limit = call->response_limit ? call->response_limit : GRPC_MAXIMUM_MESSAGE;
	unsigned timeout_ms = call->timeout_ms ? call->timeout_ms : GRPC_CALL_TIMEOUT_MS;
	uint64_t left = clock_until(cancel_deadline(cancel));
	char timeout[16];
	struct http_header headers[] = {
		{ "content-type", "application/grpc", false },
		{ "te", "trailers", false },
		{ "grpc-timeout", timeout, false },
		{ "authorization", call->authorization, true },
	};
	struct http_request request = {
		.method = "POST",
		.path = call->method,
		.headers = headers,
		.header_count = call->authorization != NULL ? 4 : 3,
		.response_limit = limit + GRPC_FRAME_HEADER,
	};

	if (left < timeout_ms)
		timeout_ms = left > 0 ? (unsigned)left : 1;
	/* At most eight digits are allowed, 100000 seconds in milliseconds: far more than any call of ours. */
	(void)snprintf(timeout, sizeof(timeout), "%um", timeout_ms < 99999999 ? timeout_ms : 99999999);
	(void)buffer_reserve(&body, call->message_length + GRPC_FRAME_HEADER);
	grpc_frame_write(&body, call->message, call->message_length);
	request.body = body.data;
	request.body_length = body.length;
	request.timeout_ms = timeout_ms;
	if (http_client_request(client, &request, &answer, cancel, err) != 0 || take_answer(&answer, limit, response, err) != 0)
		return error_wrap(err, "%s", call->method);
	return 0;
}
