/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes. Keys and values are bytes, never text: they may hold NUL, and keys order as memcmp() orders them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct bytes {
	const char *data;
	size_t length;
};

#define BYTES(text) ((struct bytes){ (text), strlen(text) })

static inline int bytes_compare(struct bytes a, struct bytes b)
{
	size_t shorter = a.length < b.length ? a.length : b.length;
	int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}
