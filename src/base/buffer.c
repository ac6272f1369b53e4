/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *buffer_reserve(struct buffer *buffer, size_t length)
{
	size_t wanted, capacity;

	if (length > SIZE_MAX / 4 || buffer->length > SIZE_MAX / 4)
		abort();
	if (buffer->limit != 0 && length > buffer->limit - (buffer->length < buffer->limit ? buffer->length : buffer->limit)) {
		buffer->overflow = true;
		return NULL;
	}
	wanted = buffer->length + length + 1;
	if (wanted > buffer->capacity) {
		capacity = buffer->capacity ? buffer->capacity : 64;
		while (capacity < wanted)
			capacity *= 2;
		buffer->data = realloc(buffer->data, capacity);
		if (buffer->data == NULL)
			abort();
		buffer->capacity = capacity;
	}
	return buffer->data + buffer->length;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
	char *place = buffer_reserve(buffer, length);

	if (place == NULL)
		return false;
	if (length > 0)
		memcpy(place, bytes, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
	return true;
}

bool buffer_append_string(struct buffer *buffer, const char *text)
{
	return buffer_append(buffer, text, strlen(text));
}

bool buffer_append_char(struct buffer *buffer, char character)
{
	return buffer_append(buffer, &character, 1);
}

bool buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments)
{
	va_list again;
	char *place;
	int length;

	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		abort();
	place = buffer_reserve(buffer, (size_t)length);
	if (place == NULL)
		return false;
	(void)vsnprintf(place, (size_t)length + 1, format, arguments);
	buffer->length += (size_t)length;
	return true;
}

bool buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	bool fits;

	va_start(arguments, format);
	fits = buffer_vprintf(buffer, format, arguments);
	va_end(arguments);
	return fits;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
	if (length >= buffer->length) {
		buffer_clear(buffer);
		return;
	}
	memmove(buffer->data, buffer->data + length, buffer->length - length + 1);
	buffer->length -= length;
}

void buffer_clear(struct buffer *buffer)
{
	buffer->length = 0;
	buffer->overflow = false;
	if (buffer->data != NULL)
		buffer->data[0] = '\0';
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ .limit = buffer->limit };
}

void buffer_free_secret(struct buffer *buffer)
{
	if (buffer->data != NULL)
		explicit_bzero(buffer->data, buffer->capacity);
	buffer_free(buffer);
}

char *buffer_take(struct buffer *buffer)
{
	char *text = buffer->data;

	if (text == NULL) {
		text = calloc(1, 1);
		if (text == NULL)
			abort();
	}
	*buffer = (struct buffer){ .limit = buffer->limit };
	return text;
}
