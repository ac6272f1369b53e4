/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one nghttp2 session. A session takes about 26 KB when it is made, 16 KB of it for serialising frames, of which small frames
 * touch the beginning only (bodies are written elsewhere, see http2_stream_write()). What is taken while the session is made is therefore
 * laid out in one mapping whose untouched pages cost nothing: an idle connection holds three pages. Later requests go to malloc(3).
 * Private to net/.
 */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

enum { HTTP2_MEMORY_SIZE = 28 * 1024 }; /* what does not fit goes to malloc(3) */

struct http2_memory {
	char *mapping; /* NULL: malloc(3) for everything */
	size_t used;
	bool settled; /* the session has been made */
	nghttp2_mem functions;
};

/* The address of `memory` must not change until http2_memory_free(), which comes after the session's end. */
void http2_memory_init(struct http2_memory *memory);
void http2_memory_settle(struct http2_memory *memory);
void http2_memory_free(struct http2_memory *memory);
