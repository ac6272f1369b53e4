/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the room: objects of one cache resemble each other, so each is held as what it says beside a pattern, a text made of the first
 * few of them. Deflate with that text as preset dictionary: a Secret of a tenant takes 300 bytes instead of 1,700, a Deployment 1,000 of
 * 20,000. Packing costs about 30 microseconds, unpacking 10: little beside parsing the JSON. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { KUBE_PATTERN_SIZE = 16 * 1024 }; /* more is of no use to a window of 32 KiB that also holds the object */

struct kube_pattern;

/* Copies the last KUBE_PATTERN_SIZE bytes of the text. One reference. */
struct kube_pattern *kube_pattern_new(const char *text, size_t length);
struct kube_pattern *kube_pattern_ref(struct kube_pattern *pattern); /* NULL is fine, here and below */
void kube_pattern_unref(struct kube_pattern *pattern);

/* Packs into `out` (of `size` bytes); the packed length, 0 when it does not fit or pattern is NULL. */
size_t kube_pattern_pack(const struct kube_pattern *pattern, const char *text, size_t length, unsigned char *out, size_t size);
/* `length` must be that of the text. False for bytes that were not packed with this pattern. */
bool kube_pattern_unpack(const struct kube_pattern *pattern, const unsigned char *packed, size_t packed_length, char *text, size_t length);
