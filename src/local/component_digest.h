/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of files and of bytes, as the hexadecimal text that checksum files use. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "local/component_lock.h"
#include "pki/digest.h"

void component_digest_bytes(const void *bytes, size_t length, char text[COMPONENT_SHA256_SIZE]);
/* *size may be NULL. */
int component_digest_file(const char *path, char text[COMPONENT_SHA256_SIZE], uint64_t *size, struct error *err);
/* 64 hexadecimal digits, any case. */
bool component_digest_is_text(const char *text);

/*
 * Looks one name up in a checksum file as sha256sum writes it ("DIGEST  NAME", "DIGEST *NAME", "./NAME", folders before the name are
 * ignored), or in one that holds a single digest and nothing else (dl.k8s.io). Lines of other shape are passed over, so that signed
 * (clear-text) files work. 0 and the digest, or -1 with ERROR_NOT_FOUND; ERROR_CORRUPT when the name is listed with two digests.
 */
int component_digest_find(const char *text, size_t length, const char *name, char sha256[COMPONENT_SHA256_SIZE], struct error *err);
