/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_record_keys.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

struct tls_suite {
	uint16_t number; /* RFC 8446 appendix B.4 */
	const EVP_CIPHER *(*cipher)(void);
	const EVP_MD *(*digest)(void);
	size_t key_length, secret_length;
};

static const struct tls_suite suites[] = {
	{ 0x1301, EVP_aes_128_gcm, EVP_sha256, 16, 32 },
	{ 0x1302, EVP_aes_256_gcm, EVP_sha384, 32, 48 },
	{ 0x1303, EVP_chacha20_poly1305, EVP_sha256, 32, 32 },
};

const struct tls_suite *tls_suite_find(uint16_t number)
{
	for (size_t i = 0; i < ARRAY_LENGTH(suites); i++)
		if (suites[i].number == number)
			return &suites[i];
	return NULL;
}

size_t tls_suite_secret_length(const struct tls_suite *suite)
{
	return suite->secret_length;
}

/* HKDF-Expand-Label with an empty context. No result is longer than the digest, so one round of HMAC is all of HKDF-Expand. */
static void expand(const struct tls_direction *direction, const char *label, uint8_t *out, size_t length)
{
	const struct tls_suite *suite = direction->suite;
	uint8_t information[2 + 1 + 6 + 16 + 1 + 1], digest[EVP_MAX_MD_SIZE];
	size_t label_length = strlen(label), at = 0;
	unsigned digest_length = 0;

	information[at++] = 0;
	information[at++] = (uint8_t)length;
	information[at++] = (uint8_t)(6 + label_length);
	memcpy(information + at, "tls13 ", 6);
	memcpy(information + at + 6, label, label_length);
	at += 6 + label_length;
	information[at++] = 0;
	information[at++] = 1; /* the round */
	if (HMAC(suite->digest(), direction->secret, (int)suite->secret_length, information, at, digest, &digest_length) == NULL ||
	    digest_length < length)
		abort();
	memcpy(out, digest, length);
	OPENSSL_cleanse(digest, sizeof(digest));
}

static void use_secret(struct tls_direction *direction, bool write)
{
	uint8_t key[32];

	expand(direction, "key", key, direction->suite->key_length);
	expand(direction, "iv", direction->iv, sizeof(direction->iv));
	if (EVP_CipherInit_ex(direction->context, direction->suite->cipher(), NULL, key, NULL, write) != 1)
		abort();
	OPENSSL_cleanse(key, sizeof(key));
	direction->sequence = 0;
}

void tls_direction_init(struct tls_direction *direction, const struct tls_suite *suite, const uint8_t *secret, bool write)
{
	direction->suite = suite;
	direction->context = EVP_CIPHER_CTX_new();
	if (direction->context == NULL)
		abort();
	memcpy(direction->secret, secret, suite->secret_length);
	use_secret(direction, write);
}

void tls_direction_update(struct tls_direction *direction, bool write)
{
	uint8_t next[TLS_RECORD_SECRET];

	expand(direction, "traffic upd", next, direction->suite->secret_length);
	memcpy(direction->secret, next, direction->suite->secret_length);
	OPENSSL_cleanse(next, sizeof(next));
	use_secret(direction, write);
}

void tls_direction_free(struct tls_direction *direction)
{
	EVP_CIPHER_CTX_free(direction->context);
	OPENSSL_cleanse(direction, sizeof(*direction));
}

static void next_nonce(struct tls_direction *direction, uint8_t nonce[TLS_NONCE])
{
	memcpy(nonce, direction->iv, TLS_NONCE);
	for (unsigned i = 0; i < 8; i++)
		nonce[TLS_NONCE - 1 - i] ^= (uint8_t)(direction->sequence >> (8 * i));
	direction->sequence++;
}

size_t tls_direction_seal(struct tls_direction *direction, uint8_t type, const uint8_t *bytes, size_t length, uint8_t *out)
{
	size_t body = length + 1 + TLS_TAG;
	const uint8_t header[TLS_HEADER] = { 23, 3, 3, (uint8_t)(body >> 8), (uint8_t)body };
	uint8_t nonce[TLS_NONCE], *at = out + TLS_HEADER;
	EVP_CIPHER_CTX *context = direction->context;
	int done = 0;

	next_nonce(direction, nonce);
	memcpy(out, header, sizeof(header));
	if (EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_EncryptUpdate(context, NULL, &done, header, sizeof(header)) != 1 ||
	    (length > 0 && EVP_EncryptUpdate(context, at, &done, bytes, (int)length) != 1) ||
	    EVP_EncryptUpdate(context, at + length, &done, &type, 1) != 1 || EVP_EncryptFinal_ex(context, at + length + 1, &done) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TLS_TAG, at + length + 1) != 1)
		abort(); /* a cipher that cannot encrypt must not send */
	return sizeof(header) + body;
}

ssize_t tls_direction_open(struct tls_direction *direction, const uint8_t *header, uint8_t *body, size_t length)
{
	EVP_CIPHER_CTX *context = direction->context;
	size_t encrypted = length - TLS_TAG;
	uint8_t nonce[TLS_NONCE];
	int done = 0;

	next_nonce(direction, nonce);
	if (EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) != 1 || EVP_DecryptUpdate(context, NULL, &done, header, TLS_HEADER) != 1 ||
	    EVP_DecryptUpdate(context, body, &done, body, (int)encrypted) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TLS_TAG, body + encrypted) != 1 ||
	    EVP_DecryptFinal_ex(context, body + encrypted, &done) != 1)
		return -1;
	return (ssize_t)encrypted;
}
