/* SPDX-License-Identifier: Apache-2.0 */
/* Strings, numbers in text, names: the small checks everybody needs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"

static inline void free_cleanup(void *pointer)
{
	free(*(void **)pointer);
}
#define FREE_CLEANUP __attribute__((cleanup(free_cleanup)))

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

bool string_equal(const char *a, const char *b); /* NULL equals only NULL */
bool string_empty(const char *text);             /* NULL or "" */
bool string_has_prefix(const char *text, const char *prefix);
bool string_has_suffix(const char *text, const char *suffix);
char *string_dup(const char *text); /* never NULL for non-NULL input; NULL gives NULL */
char *string_ndup(const char *text, size_t length);
char *string_printf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull)); /* free() */

/* Whole text must be a decimal number within [minimum, maximum]; `what` names the thing in the error. */
int string_to_integer(const char *text, int64_t minimum, int64_t maximum, const char *what, int64_t *result, struct error *err);
/* Go's duration syntax: "300ms", "1.5h", "2h45m"; nanoseconds. "0" is allowed; negative is not. */
int string_to_duration(const char *text, const char *what, uint64_t *nanoseconds, struct error *err);
/* Go's text for a duration of whole seconds: 86400 -> "24h0m0s". The buffer holds 32 bytes at least. */
void duration_to_string(uint64_t seconds, char *text, size_t size);
/* "host:port", "[v6]:port"; host is copied (free()). */
int string_split_host_port(const char *text, const char *what, char **host, uint16_t *port, struct error *err);

bool name_is_dns1123_label(const char *name);
bool name_is_dns1123_subdomain(const char *name);
bool name_is_dns1035_label(const char *name); /* starts with a letter, 63 at most */

/* A growing list of owned strings. Zero-initialise; string_list_free(). */
struct string_list {
	char **items;
	size_t count, capacity;
};
void string_list_add(struct string_list *list, const char *text);
void string_list_take(struct string_list *list, char *text); /* takes ownership of text */
void string_list_printf(struct string_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool string_list_contains(const struct string_list *list, const char *text);
void string_list_sort(struct string_list *list);                                    /* bytewise */
void string_list_unique(struct string_list *list);                                  /* sorted first */
char *string_list_join(const struct string_list *list, const char *separator);      /* free() */
void string_list_split(struct string_list *list, const char *text, char separator); /* adds the parts; empty text adds none */
void string_list_free(struct string_list *list);
#define STRING_LIST_CLEANUP __attribute__((cleanup(string_list_free)))
