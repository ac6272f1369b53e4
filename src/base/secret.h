/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for text that must not outlive its use: keys, tokens, passwords. */
#pragma once

#include <stddef.h>

void secret_zero(void *bytes, size_t length);
void secret_free(char *text); /* zeroes strlen(text) bytes, then free(); NULL is fine */

static inline void secret_cleanup(char **text)
{
	secret_free(*text);
}
#define SECRET_CLEANUP __attribute__((cleanup(secret_cleanup)))
