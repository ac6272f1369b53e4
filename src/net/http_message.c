/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_message.h"

#include <string.h>

const char *http_headers_get(const struct http_headers *headers, const char *name)
{
	const char *field, *value;
	size_t at = 0;

	while (http_headers_next(headers, &at, &field, &value))
		if (strcmp(field, name) == 0)
			return value;
	return NULL;
}

bool http_headers_next(const struct http_headers *headers, size_t *position, const char **name, const char **value)
{
	if (*position >= headers->text.length)
		return false;
	*name = headers->text.data + *position;
	*value = *name + strlen(*name) + 1;
	*position += strlen(*name) + strlen(*value) + 2;
	return true;
}

bool http_headers_add(struct http_headers *headers, const char *name, size_t name_length, const char *value, size_t value_length)
{
	char *text;

	if (headers->count >= HTTP_MAXIMUM_HEADER_FIELDS || name_length > HTTP_MAXIMUM_HEADER_BYTES ||
	    value_length > HTTP_MAXIMUM_HEADER_BYTES || headers->text.length + name_length + value_length + 2 > HTTP_MAXIMUM_HEADER_BYTES)
		return false;
	if (memchr(name, '\0', name_length) != NULL || (value_length > 0 && memchr(value, '\0', value_length) != NULL))
		return false;
	text = buffer_reserve(&headers->text, name_length + value_length + 2);
	for (size_t i = 0; i < name_length; i++)
		text[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
	text[name_length] = '\0';
	if (value_length > 0)
		memcpy(text + name_length + 1, value, value_length);
	text[name_length + 1 + value_length] = '\0';
	headers->text.length += name_length + value_length + 2;
	headers->text.data[headers->text.length] = '\0';
	headers->count++;
	return true;
}

void http_headers_copy(struct http_headers *to, const struct http_headers *from)
{
	http_headers_free(to);
	if (from->text.length > 0)
		(void)buffer_append(&to->text, from->text.data, from->text.length);
	to->count = from->count;
}

void http_headers_free(struct http_headers *headers)
{
	buffer_free(&headers->text);
	headers->count = 0;
}
