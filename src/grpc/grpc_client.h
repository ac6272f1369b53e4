/* SPDX-License-Identifier: Apache-2.0 */
/* Unary gRPC calls over an HTTP/2 client (grpc/grpc: doc/PROTOCOL-HTTP2.md). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "grpc/grpc_status.h"
#include "io/cancel.h"
#include "net/http_client.h"

enum {
	GRPC_FRAME_HEADER = 5,                   /* compressed flag, four bytes of length */
	GRPC_MAXIMUM_MESSAGE = 64 * 1024 * 1024, /* default limit of a response message */
	GRPC_CALL_TIMEOUT_MS = 15 * 1000,
};

struct grpc_request {
	const char *method;  /* "/etcdserverpb.KV/Range" */
	const void *message; /* encoded request */
	size_t message_length;
	unsigned timeout_ms;       /* 0: GRPC_CALL_TIMEOUT_MS; sent as grpc-timeout, shortened by the token's deadline */
	size_t response_limit;     /* 0: GRPC_MAXIMUM_MESSAGE */
	const char *authorization; /* token, or NULL */
};

/* Appends the response message to response. Blocking; any thread but the loop's. Errors: grpc_status.h and net/http_client.h. */
int grpc_client_call(struct http_client *client, const struct grpc_request *call, struct buffer *response, struct cancel *cancel,
                     struct error *err);

/*
 * The one message of a unary body. 0: *message borrows from body. ERROR_CORRUPT: cut short, compressed, or more than one message;
 * ERROR_EXHAUSTED above the limit. Exposed for tests and fuzzing.
 */
int grpc_frame_parse(const void *body, size_t length, size_t limit, const uint8_t **message, size_t *message_length, struct error *err);
/* Appends the frame header and the message. */
void grpc_frame_write(struct buffer *out, const void *message, size_t length);
