/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http2_output.h"

#include <stdlib.h>
#include <string.h>

struct http2_piece {
	struct http2_piece *next;
	char *bytes;       /* behind the struct, or a buffer's own */
	struct loan *loan; /* instead of bytes */
	size_t at, length, capacity;
	char own[];
};

static void add_piece(struct http2_output *output, struct http2_piece *piece)
{
	piece->next = NULL;
	if (output->last != NULL)
		output->last->next = piece;
	else
		output->first = piece;
	output->last = piece;
}

static struct http2_piece *new_piece(struct http2_output *output, size_t wanted)
{
	size_t size = wanted + sizeof(struct http2_piece);
	struct http2_piece *piece;

	if (size < HTTP2_OUTPUT_SMALLEST)
		size = HTTP2_OUTPUT_SMALLEST;
	if (size > HTTP2_OUTPUT_LARGEST)
		size = HTTP2_OUTPUT_LARGEST;
	piece = malloc(size);
	if (piece == NULL)
		abort();
	piece->bytes = piece->own;
	piece->loan = NULL;
	piece->at = piece->length = 0;
	piece->capacity = size - sizeof(*piece);
	add_piece(output, piece);
	return piece;
}

static void free_piece(struct http2_piece *piece)
{
	if (piece->loan != NULL) {
		piece->loan->release(piece->loan);
	} else {
		explicit_bzero(piece->bytes, piece->length);
		if (piece->bytes != piece->own)
			free(piece->bytes);
	}
	free(piece);
}

void http2_output_expect(struct http2_output *output, size_t length)
{
	output->expected = length;
}

void http2_output_append(struct http2_output *output, const void *bytes, size_t length)
{
	const char *from = bytes;

	while (length > 0) {
		struct http2_piece *piece = output->last;
		size_t part;

		if (piece == NULL || piece->length == piece->capacity)
			piece = new_piece(output, length > output->expected ? length : output->expected);
		part = piece->capacity - piece->length;
		part = part < length ? part : length;
		memcpy(piece->bytes + piece->length, from, part);
		piece->length += part;
		output->length += part;
		output->expected -= part < output->expected ? part : output->expected;
		from += part;
		length -= part;
	}
}

void http2_output_take(struct http2_output *output, struct buffer *bytes)
{
	struct http2_piece *piece;

	if (bytes->length < HTTP2_OUTPUT_WORTH_TAKING) {
		http2_output_append(output, bytes->data, bytes->length);
		buffer_free_secret(bytes);
		return;
	}
	piece = malloc(sizeof(*piece));
	if (piece == NULL)
		abort();
	*piece = (struct http2_piece){ .bytes = bytes->data, .length = bytes->length, .capacity = bytes->length };
	add_piece(output, piece);
	output->length += bytes->length;
	*bytes = (struct buffer){ .limit = bytes->limit };
}

void http2_output_lend(struct http2_output *output, struct loan *loan)
{
	struct http2_piece *piece = malloc(sizeof(*piece));
	size_t length = loan_length(loan);

	if (piece == NULL)
		abort();
	*piece = (struct http2_piece){ .loan = loan, .length = length, .capacity = length };
	add_piece(output, piece);
	output->length += length;
}

static void read_loan(struct loan *loan, char *place, size_t length)
{
	while (length > 0) {
		struct iovec *part = loan->parts;
		size_t taken = part->iov_len < length ? part->iov_len : length;

		if (taken > 0)
			memcpy(place, part->iov_base, taken);
		place += taken;
		length -= taken;
		part->iov_base = (char *)part->iov_base + taken;
		part->iov_len -= taken;
		if (part->iov_len == 0) {
			loan->parts++;
			loan->count--;
		}
	}
}

void http2_output_read(struct http2_output *output, char *place, size_t length)
{
	while (length > 0 && output->first != NULL) {
		struct http2_piece *piece = output->first;
		size_t part = piece->length - piece->at;

		part = part < length ? part : length;
		if (piece->loan != NULL)
			read_loan(piece->loan, place, part);
		else
			memcpy(place, piece->bytes + piece->at, part);
		piece->at += part;
		output->length -= part;
		place += part;
		length -= part;
		if (piece->at < piece->length)
			return;
		output->first = piece->next;
		if (output->first == NULL)
			output->last = NULL;
		free_piece(piece);
	}
}

void http2_output_free(struct http2_output *output)
{
	while (output->first != NULL) {
		struct http2_piece *piece = output->first;

		output->first = piece->next;
		free_piece(piece);
	}
	*output = (struct http2_output){ 0 };
}
