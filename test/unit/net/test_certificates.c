/* SPDX-License-Identifier: Apache-2.0 */
#include "test_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static char *bio_text(BIO *bio)
{
	char *data, *copy;
	long length = BIO_get_mem_data(bio, &data);

	copy = calloc(1, (size_t)length + 1);
	memcpy(copy, data, (size_t)length);
	BIO_free(bio);
	return copy;
}

static char *certificate_text(X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(bio, certificate);
	return bio_text(bio);
}

static X509 *certificate_new(EVP_PKEY *key, const char *common_name, long not_before, long not_after)
{
	static long serial = 1;
	X509 *certificate = X509_new();
	X509_NAME *name = X509_NAME_new();

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(certificate), not_before);
	X509_gmtime_adj(X509_getm_notAfter(certificate), not_after);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_subject_name(certificate, name);
	X509_set_issuer_name(certificate, name);
	X509_NAME_free(name);
	X509_set_pubkey(certificate, key);
	return certificate;
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (extension == NULL)
		abort();
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

struct test_authority test_authority_new(const char *common_name)
{
	struct test_authority authority = { .key = EVP_EC_gen("P-256") };

	authority.certificate = certificate_new(authority.key, common_name, -3600, 86400);
	add_extension(authority.certificate, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(authority.certificate, NID_key_usage, "critical,keyCertSign,digitalSignature");
	X509_sign(authority.certificate, authority.key, EVP_sha256());
	authority.pem = certificate_text(authority.certificate);
	return authority;
}

void test_authority_free(struct test_authority *authority)
{
	EVP_PKEY_free(authority->key);
	X509_free(authority->certificate);
	free(authority->pem);
}

struct test_leaf test_leaf_new(const struct test_authority *authority, const char *common_name, const char *sans, long not_before,
                               long not_after)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = certificate_new(key, common_name, not_before, not_after);
	BIO *bio = BIO_new(BIO_s_mem());
	struct test_leaf leaf;

	X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate));
	if (sans != NULL)
		add_extension(certificate, NID_subject_alt_name, sans);
	X509_sign(certificate, authority->key, EVP_sha256());
	leaf.certificate_pem = certificate_text(certificate);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	leaf.key_pem = bio_text(bio);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return leaf;
}

void test_leaf_free(struct test_leaf *leaf)
{
	free(leaf->certificate_pem);
	free(leaf->key_pem);
}
