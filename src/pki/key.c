/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "pki/openssl_int.h"

enum { RSA_MINIMUM_BITS = 1024, RSA_MAXIMUM_BITS = 16384 };

static const struct {
	const char *name;  /* kubeadm's */
	const char *group; /* EC */
	unsigned bits;     /* RSA */
} algorithms[] = {
	[KEY_ECDSA_P256] = { "ECDSA-P256", "P-256", 0 }, [KEY_ECDSA_P384] = { "ECDSA-P384", "P-384", 0 },
	[KEY_RSA_2048] = { "RSA-2048", NULL, 2048 },     [KEY_RSA_3072] = { "RSA-3072", NULL, 3072 },
	[KEY_RSA_4096] = { "RSA-4096", NULL, 4096 },
};

int key_algorithm_parse(const char *text, const char *what, enum key_algorithm *algorithm, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
		if (string_equal(text, algorithms[i].name)) {
			*algorithm = (enum key_algorithm)i;
			return 0;
		}
	}
	return error_set(err, ERROR_INVALID, "%s: \"%s\" is no key algorithm; use ECDSA-P256, ECDSA-P384, RSA-2048, RSA-3072 or RSA-4096",
	                 what, text ? text : "");
}

const char *key_algorithm_name(enum key_algorithm algorithm)
{
	return algorithms[algorithm].name;
}

bool key_algorithm_is_rsa(enum key_algorithm algorithm)
{
	return algorithms[algorithm].group == NULL;
}

static struct key *key_wrap(EVP_PKEY *handle, bool has_private)
{
	struct key *key = malloc(sizeof(*key));

	if (key == NULL)
		abort();
	*key = (struct key){ .handle = handle, .has_private = has_private };
	return key;
}

void key_free(struct key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->handle); /* zeroes the private numbers */
	free(key);
}

static struct metric_family generation_cpu = { .name = "kamaji_key_generation_cpu_seconds_total",
	                                       .help = "CPU time used for making private keys.",
	                                       .type = METRIC_COUNTER };

int key_generate(enum key_algorithm algorithm, struct key **key, struct error *err)
{
	uint64_t begin = clock_thread_cpu_ns();
	EVP_PKEY *handle;

	ERR_clear_error();
	if (algorithms[algorithm].group != NULL)
		handle = EVP_PKEY_Q_keygen(NULL, NULL, "EC", algorithms[algorithm].group);
	else
		handle = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)algorithms[algorithm].bits);
	metric_add(&generation_cpu, NULL, (double)(clock_thread_cpu_ns() - begin) / 1e9);
	if (handle == NULL)
		return openssl_error(err, ERROR_SYSTEM, "a key cannot be generated");
	*key = key_wrap(handle, true);
	return 0;
}

/* "P-256" and so on; NULL for curves that Go's crypto/x509 does not read either. */
static const char *curve_of(const EVP_PKEY *handle)
{
	char name[64];

	if (EVP_PKEY_get_group_name(handle, name, sizeof(name), NULL) != 1)
		return NULL;
	if (strcmp(name, "prime256v1") == 0 || strcmp(name, "P-256") == 0)
		return "ECDSA P-256";
	if (strcmp(name, "secp384r1") == 0 || strcmp(name, "P-384") == 0)
		return "ECDSA P-384";
	if (strcmp(name, "secp521r1") == 0 || strcmp(name, "P-521") == 0)
		return "ECDSA P-521";
	return NULL;
}

static int check_kind(const EVP_PKEY *handle, struct error *err)
{
	int bits = EVP_PKEY_get_bits(handle);

	if (EVP_PKEY_is_a(handle, "RSA")) {
		if (bits < RSA_MINIMUM_BITS || bits > RSA_MAXIMUM_BITS)
			return error_set(err, ERROR_CORRUPT, "an RSA key of %d bits is not supported (%d to %d)", bits, RSA_MINIMUM_BITS,
			                 RSA_MAXIMUM_BITS);
		return 0;
	}
	if (!EVP_PKEY_is_a(handle, "EC"))
		return error_set(err, ERROR_CORRUPT, "only RSA and EC keys are supported");
	if (curve_of(handle) == NULL)
		return error_set(err, ERROR_CORRUPT, "only the curves P-256, P-384 and P-521 are supported");
	return 0;
}

/* n = p q and e d = 1 modulo p - 1 and q - 1: what a damaged or mixed key fails, without proving primes again (that takes 50 ms). */
static bool rsa_is_consistent(const EVP_PKEY *handle)
{
	BIGNUM *n = NULL, *e = NULL, *d = NULL, *p = NULL, *q = NULL;
	BIGNUM *product = BN_new(), *rest = BN_new();
	BN_CTX *context = BN_CTX_new();
	bool good = product != NULL && rest != NULL && context != NULL && EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
	            EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
	            EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_RSA_D, &d) == 1 &&
	            EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_RSA_FACTOR1, &p) == 1 &&
	            EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_RSA_FACTOR2, &q) == 1;

	good = good && !BN_is_zero(d) && BN_num_bits(p) > 1 && BN_num_bits(q) > 1;
	good = good && BN_mul(product, p, q, context) == 1 && BN_cmp(product, n) == 0;
	good = good && BN_sub_word(p, 1) == 1 && BN_sub_word(q, 1) == 1;
	good = good && BN_mod_mul(rest, d, e, p, context) == 1 && BN_is_one(rest);
	good = good && BN_mod_mul(rest, d, e, q, context) == 1 && BN_is_one(rest);
	BN_free(n);
	BN_free(e);
	BN_clear_free(d);
	BN_clear_free(p);
	BN_clear_free(q);
	BN_clear_free(product);
	BN_clear_free(rest);
	BN_CTX_free(context);
	return good;
}

static bool ec_is_consistent(EVP_PKEY *handle)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, handle, NULL);
	bool good = context != NULL && EVP_PKEY_public_check(context) == 1 && EVP_PKEY_pairwise_check(context) == 1;

	EVP_PKEY_CTX_free(context);
	return good;
}

static EVP_PKEY *decode_private(const struct pem_block *block)
{
	const unsigned char *place = block->bytes;
	EVP_PKEY *handle;

	if (strcmp(block->name, "RSA PRIVATE KEY") == 0) {
		handle = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &place, block->length);
	} else if (strcmp(block->name, "EC PRIVATE KEY") == 0) {
		handle = key_ec_read(block->bytes, block->length);
		if (handle != NULL)
			return handle;
		handle = d2i_PrivateKey(EVP_PKEY_EC, NULL, &place, block->length);
	} else {
		handle = d2i_AutoPrivateKey(NULL, &place, block->length);
	}
	if (handle != NULL && place != block->bytes + block->length) { /* bytes behind the key: not what it claims to be */
		EVP_PKEY_free(handle);
		return NULL;
	}
	return handle;
}

static bool is_private_name(const char *name)
{
	return strcmp(name, "RSA PRIVATE KEY") == 0 || strcmp(name, "EC PRIVATE KEY") == 0 || strcmp(name, "PRIVATE KEY") == 0;
}

static int parse_private_block(const struct pem_block *block, struct key **key, struct error *err)
{
	struct key *found KEY_CLEANUP = NULL;
	EVP_PKEY *handle;

	if (block->header != NULL && strstr(block->header, "ENCRYPTED") != NULL)
		return error_set(err, ERROR_CORRUPT, "the private key is encrypted; store it unencrypted");
	handle = decode_private(block);
	if (handle == NULL)
		return openssl_error(err, ERROR_CORRUPT, "the private key cannot be decoded");
	found = key_wrap(handle, true);
	if (check_kind(handle, err))
		return -1;
	if (!(EVP_PKEY_is_a(handle, "RSA") ? rsa_is_consistent(handle) : ec_is_consistent(handle))) {
		ERR_clear_error();
		return error_set(err, ERROR_CORRUPT, "the private key is damaged: its numbers do not belong together");
	}
	*key = found;
	found = NULL;
	return 0;
}

int key_parse(struct pem_text pem, struct key **key, struct error *err)
{
	struct pem_reader reader PEM_READER_CLEANUP = { 0 };
	struct pem_block block PEM_BLOCK_CLEANUP = { 0 };
	int more;

	if (pem_reader_open(&reader, pem, "private key", err))
		return -1;
	while ((more = pem_reader_next(&reader, &block, err)) == 1) {
		if (is_private_name(block.name))
			return parse_private_block(&block, key, err);
		if (strcmp(block.name, "ENCRYPTED PRIVATE KEY") == 0)
			return error_set(err, ERROR_CORRUPT, "the private key is encrypted; store it unencrypted");
	}
	return more < 0 ? -1 : error_set(err, ERROR_CORRUPT, "no private key in the PEM text");
}

int key_parse_public(struct pem_text pem, struct key **key, struct error *err)
{
	struct pem_reader reader PEM_READER_CLEANUP = { 0 };
	struct pem_block block PEM_BLOCK_CLEANUP = { 0 };
	int more;

	if (pem_reader_open(&reader, pem, "public key", err))
		return -1;
	while ((more = pem_reader_next(&reader, &block, err)) == 1) {
		const unsigned char *place = block.bytes;
		EVP_PKEY *handle;

		if (strcmp(block.name, "PUBLIC KEY") == 0)
			handle = d2i_PUBKEY(NULL, &place, block.length);
		else if (strcmp(block.name, "RSA PUBLIC KEY") == 0)
			handle = d2i_PublicKey(EVP_PKEY_RSA, NULL, &place, block.length);
		else
			continue;
		if (handle == NULL || place != block.bytes + block.length || check_kind(handle, err)) {
			EVP_PKEY_free(handle);
			return openssl_error(err, ERROR_CORRUPT, "the public key cannot be used");
		}
		*key = key_wrap(handle, false);
		return 0;
	}
	return more < 0 ? -1 : error_set(err, ERROR_CORRUPT, "no public key in the PEM text");
}

int key_of_certificate(X509 *certificate, struct key **key, struct error *err)
{
	EVP_PKEY *handle = X509_get_pubkey(certificate);

	if (handle == NULL)
		return openssl_error(err, ERROR_CORRUPT, "the certificate's public key cannot be read");
	if (check_kind(handle, err)) {
		EVP_PKEY_free(handle);
		return -1;
	}
	*key = key_wrap(handle, false);
	return 0;
}

/* Moves what was written to a memory BIO to out and zeroes the BIO's memory. */
static int drain(BIO *bio, int written, struct buffer *out, struct error *err)
{
	char *bytes = NULL;
	long length = BIO_get_mem_data(bio, &bytes);
	int result = 0;

	if (written != 1 || length <= 0)
		result = openssl_error(err, ERROR_SYSTEM, "the key cannot be written as PEM");
	else if (!buffer_append(out, bytes, (size_t)length))
		result = error_set(err, ERROR_EXHAUSTED, "no room for the key's PEM text");
	if (bytes != NULL && length > 0)
		OPENSSL_cleanse(bytes, (size_t)length);
	BIO_free(bio);
	return result;
}

int key_write_private(const struct key *key, struct buffer *out, struct error *err)
{
	BIO *bio;

	if (!key->has_private)
		return error_set(err, ERROR_BUG, "a public key has no private part");
	ERR_clear_error();
	bio = BIO_new(BIO_s_secmem());
	if (bio == NULL)
		return openssl_error(err, ERROR_SYSTEM, "memory for PEM");
	if (key_ec_write(key->handle, bio) == 1)
		return drain(bio, 1, out, err);
	return drain(bio, PEM_write_bio_PrivateKey_traditional(bio, key->handle, NULL, NULL, 0, NULL, NULL), out, err);
}

int key_write_public(const struct key *key, struct buffer *out, struct error *err)
{
	BIO *bio;

	ERR_clear_error();
	bio = BIO_new(BIO_s_mem());
	if (bio == NULL)
		return openssl_error(err, ERROR_SYSTEM, "memory for PEM");
	return drain(bio, PEM_write_bio_PUBKEY(bio, key->handle), out, err);
}

bool key_is_rsa(const struct key *key)
{
	return EVP_PKEY_is_a(key->handle, "RSA") == 1;
}

unsigned key_bits(const struct key *key)
{
	return (unsigned)EVP_PKEY_get_bits(key->handle);
}

const char *key_description(const struct key *key)
{
	if (!key_is_rsa(key))
		return curve_of(key->handle);
	switch (key_bits(key)) {
	case 2048:
		return "RSA 2048";
	case 3072:
		return "RSA 3072";
	case 4096:
		return "RSA 4096";
	default:
		return "RSA";
	}
}

bool key_matches(const struct key *a, const struct key *b)
{
	bool equal = EVP_PKEY_eq(a->handle, b->handle) == 1;

	ERR_clear_error();
	return equal;
}
