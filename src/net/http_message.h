/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP requests and responses are made of, whatever the version on the wire. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

enum {
	HTTP_MAXIMUM_HEADER_BYTES = 64 * 1024, /* names and values of one header block, also of trailers */
	HTTP_MAXIMUM_HEADER_FIELDS = 200,
};

/*
 * A header field to send. HTTP/2 wants lower-case names. Sensitive values are never put into a compression table and are zeroed after use.
 */
struct http_header {
	const char *name, *value;
	bool sensitive;
};

/* Header fields received, in order, in one block of memory. Zero-initialise; http_headers_free(). Names are lower-case. */
struct http_headers {
	struct buffer text; /* private: "name" NUL "value" NUL ... */
	unsigned count;
};

/* First value with that lower-case name, or NULL. Borrowed. */
const char *http_headers_get(const struct http_headers *headers, const char *name);
/* Walks: size_t at = 0; while (http_headers_next(h, &at, &name, &value)) ... */
bool http_headers_next(const struct http_headers *headers, size_t *position, const char **name, const char **value);
/* False when a limit above is reached or a NUL is inside; nothing is added then. The name is lower-cased. */
bool http_headers_add(struct http_headers *headers, const char *name, size_t name_length, const char *value, size_t value_length);
/* Replaces what `to` holds. */
void http_headers_copy(struct http_headers *to, const struct http_headers *from);
void http_headers_free(struct http_headers *headers);
