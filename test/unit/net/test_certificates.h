/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot for tests: ECDSA P-256, valid or wrong in one chosen way. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

struct test_authority {
	EVP_PKEY *key;
	X509 *certificate;
	char *pem; /* free() */
};

struct test_leaf {
	char *certificate_pem, *key_pem; /* free() */
};

struct test_authority test_authority_new(const char *common_name);
void test_authority_free(struct test_authority *authority);
/* sans: "DNS:localhost,IP:127.0.0.1" or NULL. Times are seconds from now. */
struct test_leaf test_leaf_new(const struct test_authority *authority, const char *common_name, const char *sans, long not_before,
                               long not_after);
void test_leaf_free(struct test_leaf *leaf);
