/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer. Zero-initialise (`struct buffer b = { 0 }`), free with buffer_free() or BUFFER_CLEANUP. The bytes are
 * always followed by a NUL that length does not count, so text can be used as a string. Growth aborts when memory ends; callers
 * that append bytes from outside set `limit` first: appending beyond it fails and sets `overflow` (and nothing is appended).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *data;
	size_t length;
	size_t capacity;
	size_t limit;  /* 0 = none */
	bool overflow; /* an append was refused */
};

bool buffer_append(struct buffer *buffer, const void *bytes, size_t length);
bool buffer_append_string(struct buffer *buffer, const char *text);
bool buffer_append_char(struct buffer *buffer, char character);
bool buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
/* Room for `length` more bytes (plus the NUL); NULL when the limit forbids it. The caller adds to length itself. */
char *buffer_reserve(struct buffer *buffer, size_t length);
void buffer_consume(struct buffer *buffer, size_t length); /* drops bytes at the front */
void buffer_clear(struct buffer *buffer);                  /* keeps the memory */
void buffer_free(struct buffer *buffer);
void buffer_free_secret(struct buffer *buffer); /* zeroes first */
/* The text, owned by the caller (free()); the buffer is empty afterwards. Never NULL. */
char *buffer_take(struct buffer *buffer);

#define BUFFER_CLEANUP __attribute__((cleanup(buffer_free)))
#define BUFFER_SECRET_CLEANUP __attribute__((cleanup(buffer_free_secret)))
