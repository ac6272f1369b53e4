/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: JSON as API servers send it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * Parses a response. Unlike json_parse() it takes strings with NUL inside: a server stores and sends them (anybody may put one into a
 * ConfigMap), and one such object must not stop a cache. With `secret` the error does not quote the text. New reference, or NULL (CORRUPT).
 */
json_t *kube_json_parse(const char *bytes, size_t length, bool secret, struct error *err);
/* Overwrites every string inside with zeroes, in place: for trees that held secrets and are about to be freed. */
void kube_json_scrub(json_t *value);
static inline void kube_json_scrub_cleanup(json_t **value)
{
	kube_json_scrub(*value);
	json_decref(*value);
}
#define JSON_SCRUB_CLEANUP __attribute__((cleanup(kube_json_scrub_cleanup)))
