/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Body bytes waiting to be sent on one stream: a list of pieces, so that a long answer is neither moved while it grows nor kept whole until
 * its last byte has left. Pieces are zeroed when they have gone: secrets pass here. Private to net/. Zero-initialise; http2_output_free().
 */
#pragma once

#include <stddef.h>

#include "base/buffer.h"
#include "base/loan.h"

enum {
	HTTP2_OUTPUT_SMALLEST = 512,      /* bytes of a piece */
	HTTP2_OUTPUT_LARGEST = 64 * 1024, /* of one that is made here; buffers taken over may be larger */
	HTTP2_OUTPUT_WORTH_TAKING = 4096, /* shorter buffers are copied */
};

struct http2_piece;

struct http2_output {
	struct http2_piece *first, *last;
	size_t length;
	size_t expected; /* announced and not yet appended */
};

void http2_output_append(struct http2_output *output, const void *bytes, size_t length);
/* So many bytes will be appended: sizes the pieces. */
void http2_output_expect(struct http2_output *output, size_t length);
/* Takes the buffer's bytes; it is empty afterwards. */
void http2_output_take(struct http2_output *output, struct buffer *bytes);
/* Takes the loan; its bytes are copied once, when they go. */
void http2_output_lend(struct http2_output *output, struct loan *loan);
/* Moves the first `length` bytes, at most what is there, to place. */
void http2_output_read(struct http2_output *output, char *place, size_t length);
void http2_output_free(struct http2_output *output);
