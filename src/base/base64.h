/* SPDX-License-Identifier: Apache-2.0 */
/* Standard base64 with padding (RFC 4648 section 4), as Kubernetes Secrets use it. */
#pragma once

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

void base64_encode(const void *bytes, size_t length, struct buffer *out); /* appends */
char *base64_encode_new(const void *bytes, size_t length);                /* free(), or secret_free() */
/* Appends the decoded bytes; strict: no white space, right padding. On error nothing is appended. */
int base64_decode(const char *text, size_t length, struct buffer *out, struct error *err);
