/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON on jansson (64-bit integers exact, all members kept). A json_t belongs to one thread at a time: share bytes, not trees.
 * Paths are dot-separated member names with optional [index] ("spec.template.spec.containers[0].name"); member names that hold
 * dots (labels, annotations) are read with json_object_get on their parent.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { JSON_MAXIMUM_DEPTH = 100, JSON_MAXIMUM_BYTES = 64 * 1024 * 1024 };

static inline void json_cleanup(json_t **value)
{
	json_decref(*value);
}
#define JSON_CLEANUP __attribute__((cleanup(json_cleanup)))

/* Strict parse of one document; duplicate keys are refused. New reference, or NULL with *err (ERROR_CORRUPT). */
json_t *json_parse(const char *text, size_t length, struct error *err);
/* Compact text, members in insertion order (free(); secret_free() when it holds secrets). Never NULL. */
char *json_text(const json_t *value);
/* Compact text with sorted members: equal values give equal bytes. */
char *json_canonical(const json_t *value);

/* Borrowed reference to what the path names, or NULL. */
json_t *json_at(const json_t *value, const char *path);
const char *json_string_at(const json_t *value, const char *path); /* NULL when absent or no string */
const char *json_string_or(const json_t *value, const char *path, const char *fallback);
int64_t json_integer_or(const json_t *value, const char *path, int64_t fallback);
bool json_boolean_or(const json_t *value, const char *path, bool fallback);
/* The object at the path, created with its parents when missing. Borrowed. Only member names in the path. */
json_t *json_ensure_object(json_t *value, const char *path);
/* Sets a member, creating parents ("a.b.c"); steals the reference. */
void json_put(json_t *value, const char *path, json_t *member);
/* Sets only when text is not NULL. */
void json_put_string(json_t *value, const char *path, const char *text);

/* New string value; text that is not UTF-8 is a bug and aborts. */
json_t *json_string_new(const char *text);
json_t *json_string_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* json_pack() that aborts on a wrong format instead of giving NULL. */
json_t *json_build(const char *format, ...);

/*
 * True when every member of `wanted` is in `live` with an equal value: objects recursively, arrays element by element and of the same
 * length. `live` may hold more members. Integers and reals compare by value.
 */
bool json_is_subset(const json_t *wanted, const json_t *live);
/* Removes empty strings, empty objects, empty arrays and null, recursively (what Go's omitempty leaves out). */
void json_prune_empty(json_t *value);
