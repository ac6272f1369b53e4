/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict parser of an HTTP/1.1 request header (RFC 9112): GET, HEAD and, where bodies are taken, POST with a Content-Length; origin form,
 * exact line ends, no folding. What a lenient parser would guess about is refused. Private to net/; no memory, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/http_server.h"

struct http1_request {
	bool head, post; /* else GET */
	bool keep_alive;
	size_t body_length;                     /* of a POST */
	char path[HTTP_SERVER_MAXIMUM_HEADER];  /* percent-decoded */
	char query[HTTP_SERVER_MAXIMUM_HEADER]; /* raw */
};

/* The length of the header in bytes with its empty line, or 0 when it is not complete yet. */
size_t http1_header_length(const char *bytes, size_t length);
/*
 * 0, or the status to refuse with: 400, 405, 411, 413, 414, 417, 431, 501, 505. `length` is http1_header_length(); maximum_body 0: POST is
 * not allowed.
 */
int http1_request_parse(const char *bytes, size_t length, size_t maximum_body, struct http1_request *request);
/* The reason phrase. */
const char *http1_status_text(int status);
