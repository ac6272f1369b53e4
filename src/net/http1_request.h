/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict parser of an HTTP/1.1 request header (RFC 9112): GET and HEAD only, origin form, exact line ends, no body, no folding. What a
 * lenient parser would guess about is refused. Private to net/; no memory, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "net/http_server.h"

struct http1_request {
	bool head; /* HEAD, else GET */
	bool keep_alive;
	char path[HTTP_SERVER_MAXIMUM_HEADER];  /* percent-decoded */
	char query[HTTP_SERVER_MAXIMUM_HEADER]; /* raw */
};

/* The length of the header in bytes with its empty line, or 0 when it is not complete yet. */
size_t http1_header_length(const char *bytes, size_t length);
/* 0, or the status to refuse with: 400, 405, 413, 414, 417, 431, 501, 505. `length` is http1_header_length(). */
int http1_request_parse(const char *bytes, size_t length, struct http1_request *request);
/* The reason phrase. */
const char *http1_status_text(int status);
