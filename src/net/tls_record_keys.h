/* SPDX-License-Identifier: Apache-2.0 */
/* One direction's key of TLS 1.3: derivation, use, update (RFC 8446 sections 5.2, 5.3, 7.1 to 7.3). Private to net/tls_record*.c. */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TLS_TAG = 16, TLS_NONCE = 12, TLS_HEADER = 5, TLS_RECORD_SECRET = 48 };

struct tls_suite;

struct tls_direction {
	const struct tls_suite *suite;
	EVP_CIPHER_CTX *context; /* holds the key */
	uint64_t sequence;
	uint8_t iv[TLS_NONCE];
	uint8_t secret[TLS_RECORD_SECRET];
};

/* NULL: not a cipher suite of TLS 1.3, by its number on the wire. */
const struct tls_suite *tls_suite_find(uint16_t number);
size_t tls_suite_secret_length(const struct tls_suite *suite);

void tls_direction_init(struct tls_direction *direction, const struct tls_suite *suite, const uint8_t *secret, bool write);
void tls_direction_update(struct tls_direction *direction, bool write); /* the next secret and key */
void tls_direction_free(struct tls_direction *direction);
/* header, then length + 1 encrypted bytes (the last is the type), then the tag, to out; returns how many. */
size_t tls_direction_seal(struct tls_direction *direction, uint8_t type, const uint8_t *bytes, size_t length, uint8_t *out);
/* Decrypts a record's body in place; its length without the tag, or -1 when it is not authentic. */
ssize_t tls_direction_open(struct tls_direction *direction, const uint8_t *header, uint8_t *body, size_t length);
