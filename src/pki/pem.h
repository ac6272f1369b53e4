/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How certificates and keys travel between rooms: PEM bytes, as they stand in a Secret. A struct pem_text borrows them; the
 * certificate_pair owns them. Inputs longer than PEM_MAXIMUM_BYTES are refused before any parsing. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/buffer.h"

enum { PEM_MAXIMUM_BYTES = 1024 * 1024, PEM_MAXIMUM_CERTIFICATES = 256 };

struct pem_text {
	const char *bytes; /* need not end with a NUL */
	size_t length;     /* 0: absent */
};

static inline struct pem_text pem_text(const struct buffer *buffer)
{
	return (struct pem_text){ buffer->data, buffer->length };
}
static inline struct pem_text pem_text_string(const char *text)
{
	return (struct pem_text){ text, text ? strlen(text) : 0 };
}
static inline struct pem_text pem_text_bytes(const void *bytes, size_t length)
{
	return (struct pem_text){ bytes, length };
}

/* A certificate with its private key, both PEM. Zero-initialise; free with certificate_pair_free() (zeroes the key). */
struct certificate_pair {
	struct buffer certificate;
	struct buffer key;
};
void certificate_pair_free(struct certificate_pair *pair);
#define CERTIFICATE_PAIR_CLEANUP __attribute__((cleanup(certificate_pair_free)))
