/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC status codes (grpc.io/docs/guides/status-codes) and what they mean for us. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "net/http_message.h"

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
};

const char *grpc_status_name(int status); /* "NOT_FOUND"; "UNKNOWN" for strange numbers */
/*
 * UNAVAILABLE, ABORTED, UNKNOWN, INTERNAL: TRANSIENT. DEADLINE_EXCEEDED: TIMEOUT. CANCELLED: TRANSIENT (the server gave up, not we).
 * ALREADY_EXISTS: EXISTS. PERMISSION_DENIED, UNAUTHENTICATED: FORBIDDEN. INVALID_ARGUMENT, OUT_OF_RANGE, UNIMPLEMENTED,
 * FAILED_PRECONDITION: INVALID. RESOURCE_EXHAUSTED: EXHAUSTED. DATA_LOSS: CORRUPT.
 */
enum error_class grpc_status_class(int status);
/*
 * The outcome in a header block: 0 for grpc-status 0; -1 with error.status = the gRPC code, error.reason = its name and the decoded
 * grpc-message. Without grpc-status it is ERROR_CORRUPT.
 */
int grpc_status_check(const struct http_headers *trailers, struct error *err);
/* Appends the percent-decoded grpc-message; wrong escapes are kept as they are. */
void grpc_message_decode(const char *text, struct buffer *out);
/* Appends the text percent-encoded for grpc-message: what is outside 0x20-0x7E, and '%'. */
void grpc_message_encode(const char *text, struct buffer *out);
/* "100m" and the like: at most eight digits and one of H M S m u n. Milliseconds, rounded up; false for anything else. */
bool grpc_timeout_parse(const char *text, uint64_t *milliseconds);
