/* SPDX-License-Identifier: Apache-2.0 */
/* Immutable bytes shared by reference count: a value in the cache, in an event and in an answer is one blob. Engine thread only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/bytes.h"

struct blob {
	uint32_t references;
	uint32_t length;
	char data[];
};

struct blob *blob_new(const void *bytes, size_t length); /* one reference, the caller's */
struct blob *blob_ref(struct blob *blob);                /* NULL gives NULL */
void blob_unref(struct blob *blob);                      /* NULL is fine */

static inline struct bytes blob_bytes(const struct blob *blob)
{
	return blob != NULL ? (struct bytes){ blob->data, blob->length } : (struct bytes){ "", 0 };
}
