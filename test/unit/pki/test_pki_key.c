/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

#include "base/base64.h"
#include "base/strings.h"
#include "pki/key.h"

static void test_algorithm_names(void **state)
{
	static const char *const names[] = { "ECDSA-P256", "ECDSA-P384", "RSA-2048", "RSA-3072", "RSA-4096" };
	enum key_algorithm algorithm;
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		assert_int_equal(key_algorithm_parse(names[i], "--key-algorithm", &algorithm, &err), 0);
		assert_int_equal(algorithm, i);
		assert_string_equal(key_algorithm_name(algorithm), names[i]);
		assert_int_equal(key_algorithm_is_rsa(algorithm), i >= KEY_RSA_2048);
	}
	assert_int_equal(key_algorithm_parse("rsa-2048", "--key-algorithm", &algorithm, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_non_null(strstr(err.message, "--key-algorithm: \"rsa-2048\""));
	assert_non_null(strstr(err.message, "ECDSA-P256"));
	assert_int_equal(key_algorithm_parse(NULL, "--key-algorithm", &algorithm, &err), -1);
}

static void round_trip(enum key_algorithm algorithm, const char *label, const char *description)
{
	struct key *key KEY_CLEANUP = NULL, *again KEY_CLEANUP = NULL, *public_key KEY_CLEANUP = NULL, *other KEY_CLEANUP = NULL;
	struct buffer pem BUFFER_SECRET_CLEANUP = { 0 }, second BUFFER_SECRET_CLEANUP = { 0 }, public_pem BUFFER_CLEANUP = { 0 };
	struct error err = { 0 };

	assert_int_equal(key_generate(algorithm, &key, &err), 0);
	assert_int_equal(key_write_private(key, &pem, &err), 0);
	assert_true(string_has_prefix(pem.data, label));
	assert_int_equal(key_parse(pem_text(&pem), &again, &err), 0);
	assert_true(key_matches(key, again));
	assert_string_equal(key_description(again), description);
	assert_int_equal(key_write_private(again, &second, &err), 0);
	assert_string_equal(pem.data, second.data);

	assert_int_equal(key_write_public(key, &public_pem, &err), 0);
	assert_true(string_has_prefix(public_pem.data, "-----BEGIN PUBLIC KEY-----\n"));
	assert_int_equal(key_parse_public(pem_text(&public_pem), &public_key, &err), 0);
	assert_true(key_matches(public_key, key));
	assert_int_equal(key_write_private(public_key, &second, &err), -1);
	assert_int_equal(err.class, ERROR_BUG);
	assert_int_equal(key_parse(pem_text(&public_pem), &other, &err), -1);

	assert_int_equal(key_generate(KEY_ECDSA_P256, &other, &err), 0);
	assert_false(key_matches(key, other));
}

static void test_round_trips(void **state)
{
	round_trip(KEY_ECDSA_P256, "-----BEGIN EC PRIVATE KEY-----\n", "ECDSA P-256");
	round_trip(KEY_ECDSA_P384, "-----BEGIN EC PRIVATE KEY-----\n", "ECDSA P-384");
	round_trip(KEY_RSA_2048, "-----BEGIN RSA PRIVATE KEY-----\n", "RSA 2048");
}

/* A key in the form that other tools write. */
static void write_foreign(EVP_PKEY *handle, const EVP_CIPHER *cipher, bool pkcs8, struct buffer *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes, password[] = "password";
	long length;
	int written = pkcs8 ? PEM_write_bio_PKCS8PrivateKey(bio, handle, cipher, cipher ? password : NULL, cipher ? 8 : 0, NULL, NULL)
	                    : PEM_write_bio_PrivateKey_traditional(bio, handle, cipher, (unsigned char *)(cipher ? password : NULL),
	                                                           cipher ? 8 : 0, NULL, NULL);

	assert_int_equal(written, 1);
	length = BIO_get_mem_data(bio, &bytes);
	buffer_clear(out);
	buffer_append(out, bytes, (size_t)length);
	BIO_free(bio);
}

static void test_foreign_forms(void **state)
{
	EVP_PKEY *keys[] = { EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
		             EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521") };
	struct buffer pem BUFFER_CLEANUP = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		struct key *key KEY_CLEANUP = NULL;

		write_foreign(keys[i], NULL, true, &pem);
		assert_true(string_has_prefix(pem.data, "-----BEGIN PRIVATE KEY-----\n"));
		assert_int_equal(key_parse(pem_text(&pem), &key, &err), 0);
		write_foreign(keys[i], EVP_aes_256_cbc(), true, &pem);
		assert_int_equal(key_parse(pem_text(&pem), &key, &err), -1);
		assert_non_null(strstr(err.message, "encrypted"));
		write_foreign(keys[i], EVP_aes_256_cbc(), false, &pem);
		assert_int_equal(key_parse(pem_text(&pem), &key, &err), -1);
		assert_non_null(strstr(err.message, "encrypted"));
		EVP_PKEY_free(keys[i]);
	}
}

static void test_parameters_before_the_key_are_skipped(void **state)
{
	/* `openssl ecparam -genkey` writes the curve first. */
	static const char parameters[] = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
	struct key *key KEY_CLEANUP = NULL, *again KEY_CLEANUP = NULL;
	struct buffer pem BUFFER_SECRET_CLEANUP = { 0 };
	struct error err = { 0 };

	buffer_append_string(&pem, parameters);
	assert_int_equal(key_generate(KEY_ECDSA_P256, &key, &err), 0);
	assert_int_equal(key_write_private(key, &pem, &err), 0);
	assert_int_equal(key_parse(pem_text(&pem), &again, &err), 0);
	assert_true(key_matches(key, again));
}

static void test_unsupported_keys(void **state)
{
	EVP_PKEY *keys[] = { EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"),
		             EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)512) };
	struct buffer pem BUFFER_CLEANUP = { 0 };

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		struct key *key KEY_CLEANUP = NULL;
		struct error err = { 0 };

		assert_non_null(keys[i]);
		write_foreign(keys[i], NULL, true, &pem);
		assert_int_equal(key_parse(pem_text(&pem), &key, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_non_null(strstr(err.message, "supported"));
		EVP_PKEY_free(keys[i]);
	}
}

/* Every single-byte change of the DER either fails or leaves a key that is the same: never a key whose parts do not fit. */
static void damage(enum key_algorithm algorithm, size_t step)
{
	struct key *key KEY_CLEANUP = NULL;
	struct buffer pem BUFFER_SECRET_CLEANUP = { 0 }, der BUFFER_SECRET_CLEANUP = { 0 }, text BUFFER_CLEANUP = { 0 };
	struct error err = { 0 };
	unsigned refused = 0, tried = 0;
	char *begin, *end;

	assert_int_equal(key_generate(algorithm, &key, &err), 0);
	assert_int_equal(key_write_private(key, &pem, &err), 0);
	begin = strchr(pem.data, '\n') + 1;
	end = strstr(pem.data, "-----END");
	for (char *place = begin; place < end; place++)
		if (*place != '\n')
			buffer_append_char(&text, *place);
	assert_int_equal(base64_decode(text.data, text.length, &der, &err), 0);
	for (size_t i = 0; i < der.length; i += step) {
		struct buffer changed BUFFER_CLEANUP = { 0 };
		struct key *found KEY_CLEANUP = NULL;

		der.data[i] = (char)(der.data[i] ^ 0x10);
		buffer_append(&changed, pem.data, (size_t)(begin - pem.data));
		base64_encode(der.data, der.length, &changed);
		buffer_append_char(&changed, '\n');
		buffer_append_string(&changed, end);
		der.data[i] = (char)(der.data[i] ^ 0x10);
		tried++;
		if (key_parse(pem_text(&changed), &found, &err) < 0) {
			assert_int_equal(err.class, ERROR_CORRUPT);
			refused++;
		} else {
			assert_true(key_matches(found, key));
		}
	}
	assert_true(refused > tried / 2);
}

static void test_damaged_keys(void **state)
{
	damage(KEY_ECDSA_P256, 1);
	damage(KEY_RSA_2048, 3);
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"x",
		"-----BEGIN EC PRIVATE KEY-----\n",
		"-----BEGIN EC PRIVATE KEY-----\n!!!!\n-----END EC PRIVATE KEY-----\n",
		"-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\n",
		"-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END RSA PRIVATE KEY-----\n",
		"-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
	};
	struct key *key = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct error err = { 0 };

		assert_int_equal(key_parse(pem_text_string(texts[i]), &key, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_int_equal(key_parse_public(pem_text_string(texts[i]), &key, &err), -1);
		assert_null(key);
	}
}

static void test_limits(void **state)
{
	struct buffer big BUFFER_CLEANUP = { 0 };
	struct key *key = NULL;
	struct error err = { 0 };

	assert_int_equal(key_parse((struct pem_text){ 0 }, &key, &err), -1);
	assert_non_null(strstr(err.message, "empty"));
	memset(buffer_reserve(&big, PEM_MAXIMUM_BYTES + 1), '\n', PEM_MAXIMUM_BYTES + 1);
	big.length = PEM_MAXIMUM_BYTES + 1;
	assert_int_equal(key_parse(pem_text(&big), &key, &err), -1);
	assert_int_equal(err.class, ERROR_EXHAUSTED);
}

/* What is written without OpenSSL's encoders is what they write. */
static void test_elliptic_keys_as_openssl_writes_them(void **state)
{
	static const char *const groups[] = { "P-256", "P-384", "P-521" };

	for (size_t i = 0; i < ARRAY_LENGTH(groups) * 64; i++) { /* leading zeros come up once in 256 */
		EVP_PKEY *handle = EVP_PKEY_Q_keygen(NULL, NULL, "EC", groups[i % ARRAY_LENGTH(groups)]);
		BIO *bio = BIO_new(BIO_s_mem());
		struct key *key KEY_CLEANUP = NULL;
		struct buffer written BUFFER_SECRET_CLEANUP = { 0 };
		struct error err = { 0 };
		char *text = NULL;
		long length;

		assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, handle, NULL, NULL, 0, NULL, NULL), 1);
		length = BIO_get_mem_data(bio, &text);
		assert_int_equal(key_parse(pem_text_bytes(text, (size_t)length), &key, &err), 0);
		assert_int_equal(key_write_private(key, &written, &err), 0);
		assert_int_equal(written.length, length);
		assert_memory_equal(written.data, text, length);
		BIO_free(bio);
		EVP_PKEY_free(handle);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithm_names),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_foreign_forms),
		cmocka_unit_test(test_parameters_before_the_key_are_skipped),
		cmocka_unit_test(test_unsupported_keys),
		cmocka_unit_test(test_damaged_keys),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_elliptic_keys_as_openssl_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
