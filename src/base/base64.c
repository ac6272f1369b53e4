/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <stdint.h>
#include <stdlib.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t length, struct buffer *out)
{
	const unsigned char *in = bytes;
	char *place = buffer_reserve(out, (length + 2) / 3 * 4);
	char *start = place;

	if (place == NULL)
		return;
	for (size_t i = 0; i < length; i += 3) {
		uint32_t group = (uint32_t)in[i] << 16;

		if (i + 1 < length)
			group |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < length)
			group |= in[i + 2];
		*place++ = alphabet[group >> 18];
		*place++ = alphabet[group >> 12 & 63];
		*place++ = i + 1 < length ? alphabet[group >> 6 & 63] : '=';
		*place++ = i + 2 < length ? alphabet[group & 63] : '=';
	}
	out->length += (size_t)(place - start);
	out->data[out->length] = '\0';
}

char *base64_encode_new(const void *bytes, size_t length)
{
	struct buffer out = { 0 };

	base64_encode(bytes, length, &out);
	return buffer_take(&out);
}

static int value_of(char character)
{
	if (character >= 'A' && character <= 'Z')
		return character - 'A';
	if (character >= 'a' && character <= 'z')
		return character - 'a' + 26;
	if (character >= '0' && character <= '9')
		return character - '0' + 52;
	if (character == '+')
		return 62;
	return character == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t length, struct buffer *out, struct error *err)
{
	size_t padding = 0, before = out->length, produced = 0;
	char *place;

	if (length == 0)
		return buffer_append(out, "", 0) ? 0 : error_set(err, ERROR_EXHAUSTED, "base64 text is too long");
	if (length % 4 != 0)
		return error_set(err, ERROR_INVALID, "base64 text has a length of %zu, which is no multiple of 4", length);
	if (text[length - 1] == '=')
		padding = text[length - 2] == '=' ? 2 : 1;
	place = buffer_reserve(out, length / 4 * 3);
	if (place == NULL)
		return error_set(err, ERROR_EXHAUSTED, "base64 text of %zu bytes is too long", length);
	for (size_t i = 0; i < length; i += 4) {
		uint32_t group = 0;
		size_t digits = i + 4 == length ? 4 - padding : 4;

		for (size_t j = 0; j < 4; j++) {
			int value = j < digits ? value_of(text[i + j]) : 0;

			if (value < 0) {
				out->data[before] = '\0';
				return error_set(err, ERROR_INVALID, "base64 text has an invalid character at offset %zu", i + j);
			}
			group = group << 6 | (uint32_t)value;
		}
		place[produced++] = (char)(group >> 16);
		if (digits > 2)
			place[produced++] = (char)(group >> 8 & 0xff);
		if (digits > 3)
			place[produced++] = (char)(group & 0xff);
	}
	out->length += produced;
	out->data[out->length] = '\0';
	return 0;
}
