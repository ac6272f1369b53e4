/* SPDX-License-Identifier: Apache-2.0 */
/* Making certificates: see certificate_read.c for reading them. */
#include "pki/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/strings.h"
#include "pki/digest.h"
#include "pki/openssl_int.h"

enum { NAME_MAXIMUM_BYTES = 1024, SAN_MAXIMUM_COUNT = 1024, ORGANIZATION_MAXIMUM_COUNT = 64, KEY_IDENTIFIER_SIZE = 20 };

/* X.509 keyUsage bit numbers. */
enum { BIT_DIGITAL_SIGNATURE = 0, BIT_KEY_ENCIPHERMENT = 2, BIT_CERTIFICATE_SIGN = 5 };

/* All that differs between the certificates made here. */
struct plan {
	const char *common_name;
	const char *const *organizations;
	int64_t not_before, not_after;
	bool authority, key_encipherment, basic_constraints;
	unsigned usages;
	unsigned char key_identifier[KEY_IDENTIFIER_SIZE];
	size_t key_identifier_length;                  /* 0: no SubjectKeyId */
	const ASN1_OCTET_STRING *authority_identifier; /* NULL: no AuthorityKeyId */
	struct string_list dns_names, ip_addresses;
};

static void plan_cleanup(struct plan *plan)
{
	string_list_free(&plan->dns_names);
	string_list_free(&plan->ip_addresses);
}

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') ||
		      strchr(" '()+,-./:=?", *text) != NULL))
			return false;
	}
	return true;
}

/* set: 0 opens a new RDN, -1 joins the one before, as Go puts all organizations into one. */
static int add_name(X509_NAME *name, int nid, const char *text, int set, struct error *err)
{
	size_t length = text ? strlen(text) : 0;

	if (length == 0 || length > NAME_MAXIMUM_BYTES)
		return error_set(err, ERROR_INVALID, "certificate %s must have 1 to %d bytes", OBJ_nid2ln(nid), NAME_MAXIMUM_BYTES);
	if (X509_NAME_add_entry_by_NID(name, nid, is_printable(text) ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING,
	                               (const unsigned char *)text, (int)length, -1, set) != 1)
		return openssl_error(err, ERROR_INVALID, "the certificate's subject cannot be encoded");
	return 0;
}

static int set_subject(X509 *certificate, const struct plan *plan, struct error *err)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	int added = 0;

	for (const char *const *each = plan->organizations; each != NULL && *each != NULL; each++, added++) {
		if (added == ORGANIZATION_MAXIMUM_COUNT)
			return error_set(err, ERROR_INVALID, "a certificate names at most %d organizations", ORGANIZATION_MAXIMUM_COUNT);
		if (add_name(name, NID_organizationName, *each, added == 0 ? 0 : -1, err))
			return -1;
	}
	return add_name(name, NID_commonName, plan->common_name, 0, err);
}

static int add_extension(X509 *certificate, int nid, void *value, bool critical, struct error *err)
{
	if (value == NULL || X509_add1_ext_i2d(certificate, nid, value, critical, X509V3_ADD_APPEND) != 1)
		return openssl_error(err, ERROR_SYSTEM, "a certificate extension cannot be encoded");
	return 0;
}

static int add_key_usage(X509 *certificate, const struct plan *plan, struct error *err)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	int result = -1;

	if (bits == NULL || ASN1_BIT_STRING_set_bit(bits, BIT_DIGITAL_SIGNATURE, 1) != 1 ||
	    (plan->key_encipherment && ASN1_BIT_STRING_set_bit(bits, BIT_KEY_ENCIPHERMENT, 1) != 1) ||
	    (plan->authority && ASN1_BIT_STRING_set_bit(bits, BIT_CERTIFICATE_SIGN, 1) != 1))
		(void)openssl_error(err, ERROR_SYSTEM, "key usage");
	else
		result = add_extension(certificate, NID_key_usage, bits, true, err);
	ASN1_BIT_STRING_free(bits);
	return result;
}

static int add_usages(X509 *certificate, unsigned usages, struct error *err)
{
	static const struct {
		unsigned usage;
		int nid;
	} order[] = { { CERTIFICATE_CLIENT_AUTH, NID_client_auth },
		      { CERTIFICATE_SERVER_AUTH, NID_server_auth },
		      { CERTIFICATE_CODE_SIGNING, NID_code_sign } };
	EXTENDED_KEY_USAGE *list;
	int result = 0;

	if (usages == 0)
		return 0;
	list = sk_ASN1_OBJECT_new_null();
	for (size_t i = 0; list != NULL && i < ARRAY_LENGTH(order); i++) {
		if ((usages & order[i].usage) != 0 && sk_ASN1_OBJECT_push(list, OBJ_nid2obj(order[i].nid)) <= 0)
			result = openssl_error(err, ERROR_SYSTEM, "extended key usage");
	}
	if (result == 0)
		result = add_extension(certificate, NID_ext_key_usage, list, false, err);
	sk_ASN1_OBJECT_free(list); /* the objects are OpenSSL's own constants */
	return result;
}

static int add_basic_constraints(X509 *certificate, bool authority, struct error *err)
{
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	int result;

	if (constraints != NULL)
		constraints->ca = authority ? 0xff : 0;
	result = add_extension(certificate, NID_basic_constraints, constraints, true, err);
	BASIC_CONSTRAINTS_free(constraints);
	return result;
}

static int add_identifiers(X509 *certificate, const struct plan *plan, struct error *err)
{
	int result = 0;

	if (plan->key_identifier_length > 0) {
		ASN1_OCTET_STRING *identifier = ASN1_OCTET_STRING_new();

		if (identifier == NULL || ASN1_OCTET_STRING_set(identifier, plan->key_identifier, (int)plan->key_identifier_length) != 1)
			result = openssl_error(err, ERROR_SYSTEM, "subject key identifier");
		else
			result = add_extension(certificate, NID_subject_key_identifier, identifier, false, err);
		ASN1_OCTET_STRING_free(identifier);
	}
	if (result == 0 && plan->authority_identifier != NULL) {
		AUTHORITY_KEYID *identifier = AUTHORITY_KEYID_new();

		if (identifier == NULL || (identifier->keyid = ASN1_OCTET_STRING_dup(plan->authority_identifier)) == NULL)
			result = openssl_error(err, ERROR_SYSTEM, "authority key identifier");
		else
			result = add_extension(certificate, NID_authority_key_identifier, identifier, false, err);
		AUTHORITY_KEYID_free(identifier);
	}
	return result;
}

static int push_name(GENERAL_NAMES *names, int type, const void *bytes, size_t length, struct error *err)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	if (name == NULL || value == NULL || ASN1_STRING_set(value, bytes, (int)length) != 1) {
		ASN1_STRING_free(value);
		GENERAL_NAME_free(name);
		return openssl_error(err, ERROR_SYSTEM, "subject alternative name");
	}
	GENERAL_NAME_set0_value(name, type, value);
	if (sk_GENERAL_NAME_push(names, name) <= 0) {
		GENERAL_NAME_free(name);
		return openssl_error(err, ERROR_SYSTEM, "subject alternative name");
	}
	return 0;
}

static int add_alternative_names(X509 *certificate, const struct plan *plan, struct error *err)
{
	GENERAL_NAMES *names;
	int result = 0;

	if (plan->dns_names.count + plan->ip_addresses.count == 0)
		return 0;
	names = GENERAL_NAMES_new();
	if (names == NULL)
		return openssl_error(err, ERROR_SYSTEM, "subject alternative names");
	for (size_t i = 0; result == 0 && i < plan->dns_names.count; i++)
		result = push_name(names, GEN_DNS, plan->dns_names.items[i], strlen(plan->dns_names.items[i]), err);
	for (size_t i = 0; result == 0 && i < plan->ip_addresses.count; i++) {
		struct ip_address address;

		if (ip_parse(plan->ip_addresses.items[i], &address))
			result = error_set(err, ERROR_BUG, "an address changed while it was sorted");
		else
			result = push_name(names, GEN_IPADD, address.bytes, address.family == 4 ? 4 : 16, err);
	}
	if (result == 0)
		result = add_extension(certificate, NID_subject_alt_name, names, false, err);
	GENERAL_NAMES_free(names);
	return result;
}

/* Go picks the digest by the signing key's size. */
static const EVP_MD *digest_for(const struct key *signer)
{
	if (key_is_rsa(signer) || key_bits(signer) <= 256)
		return EVP_sha256();
	return key_bits(signer) <= 384 ? EVP_sha384() : EVP_sha512();
}

static int write_certificate(X509 *certificate, struct buffer *out, struct error *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes = NULL;
	long length;
	int result = 0;

	if (bio == NULL || PEM_write_bio_X509(bio, certificate) != 1) {
		BIO_free(bio);
		return openssl_error(err, ERROR_SYSTEM, "the certificate cannot be written as PEM");
	}
	length = BIO_get_mem_data(bio, &bytes);
	if (!buffer_append(out, bytes, (size_t)length))
		result = error_set(err, ERROR_EXHAUSTED, "no room for the certificate's PEM text");
	BIO_free(bio);
	return result;
}

static bool set_public_key(X509 *certificate, const struct key *key)
{
	return key_ec_set_public(key->handle, X509_get_X509_PUBKEY(certificate)) || X509_set_pubkey(certificate, key->handle) == 1;
}

/* issuer NULL: self-signed. The order of the extensions is Go's. */
static int build(const struct plan *plan, const struct key *key, X509 *issuer, const struct key *signer, struct buffer *out,
                 struct error *err)
{
	X509 *certificate X509_CLEANUP = NULL;

	ERR_clear_error();
	certificate = X509_new();
	if (certificate == NULL || X509_set_version(certificate, X509_VERSION_3) != 1 ||
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), random_below(INT64_MAX - 1) + 1) != 1 ||
	    ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)plan->not_before) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)plan->not_after) == NULL || !set_public_key(certificate, key))
		return openssl_error(err, ERROR_SYSTEM, "the certificate cannot be built");
	if (set_subject(certificate, plan, err))
		return -1;
	if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate)) != 1)
		return openssl_error(err, ERROR_SYSTEM, "the certificate's issuer cannot be set");
	if (add_key_usage(certificate, plan, err) || add_usages(certificate, plan->usages, err) ||
	    (plan->basic_constraints && add_basic_constraints(certificate, plan->authority, err)) ||
	    add_identifiers(certificate, plan, err) || add_alternative_names(certificate, plan, err))
		return -1;
	if (X509_sign(certificate, signer->handle, digest_for(signer)) <= 0)
		return openssl_error(err, ERROR_SYSTEM, "the certificate cannot be signed");
	return write_certificate(certificate, out, err);
}

/* RFC 7093 method 1: the leftmost 20 bytes of the SHA-256 of the public key's bits, as Go writes since 1.25. */
static int set_key_identifier(struct plan *plan, const struct key *key, struct error *err)
{
	unsigned char digest[DIGEST_MAXIMUM_SIZE];
	X509_PUBKEY *public_key = X509_PUBKEY_new();
	const unsigned char *bits;
	int length;

	if (public_key == NULL || (!key_ec_set_public(key->handle, public_key) && X509_PUBKEY_set(&public_key, key->handle) != 1) ||
	    X509_PUBKEY_get0_param(NULL, &bits, &length, NULL, public_key) != 1) {
		X509_PUBKEY_free(public_key);
		return openssl_error(err, ERROR_SYSTEM, "the public key cannot be encoded");
	}
	(void)digest_bytes(DIGEST_SHA256, bits, (size_t)length, digest);
	X509_PUBKEY_free(public_key);
	memcpy(plan->key_identifier, digest, KEY_IDENTIFIER_SIZE);
	plan->key_identifier_length = KEY_IDENTIFIER_SIZE;
	return 0;
}

int certificate_create_authority(const char *common_name, const struct key *key, struct buffer *certificate, struct error *err)
{
	int64_t now = clock_wall_seconds();
	struct plan plan __attribute__((cleanup(plan_cleanup))) = {
		.common_name = common_name,
		.not_before = now - CERTIFICATE_BACKDATE_SECONDS,
		.not_after = now + CERTIFICATE_AUTHORITY_SECONDS,
		.authority = true,
		.key_encipherment = true,
		.basic_constraints = true,
	};

	if (!key->has_private)
		return error_set(err, ERROR_BUG, "an authority needs a private key");
	if (set_key_identifier(&plan, key, err))
		return -1;
	if (common_name != NULL)
		string_list_add(&plan.dns_names, common_name);
	return build(&plan, key, NULL, key, certificate, err);
}

int certificate_authority_open(struct pem_text certificate, struct pem_text key, struct certificate_authority **authority,
                               struct error *err)
{
	struct key *private_key KEY_CLEANUP = NULL, *public_key KEY_CLEANUP = NULL;
	X509 *found X509_CLEANUP = NULL;
	struct certificate_authority *result;

	if (certificate_first(certificate, &found, err))
		return error_wrap(err, "CA certificate");
	if (key_parse(key, &private_key, err))
		return error_wrap(err, "CA key");
	if (key_of_certificate(found, &public_key, err))
		return error_wrap(err, "CA certificate");
	if (!key_matches(private_key, public_key))
		return error_set(err, ERROR_INVALID, "the CA key does not belong to the CA certificate");
	if (X509_check_ca(found) == 0)
		return error_set(err, ERROR_INVALID, "the CA certificate is no CA (basicConstraints or keyUsage do not allow to sign)");
	result = malloc(sizeof(*result));
	if (result == NULL)
		abort();
	*result = (struct certificate_authority){ .certificate = found, .key = private_key };
	found = NULL;
	private_key = NULL;
	*authority = result;
	return 0;
}

void certificate_authority_free(struct certificate_authority *authority)
{
	if (authority == NULL)
		return;
	X509_free(authority->certificate);
	key_free(authority->key);
	free(authority);
}

int certificate_san_validate(const char *san, struct error *err)
{
	const char *name = san;
	struct ip_address address;

	if (san != NULL && ip_parse(san, &address) == 0)
		return 0;
	if (string_has_prefix(san, "*."))
		name = san + 2;
	if (san == NULL || !name_is_dns1123_subdomain(name))
		return error_set(err, ERROR_INVALID,
		                 "\"%.300s\" is neither an IP address nor a DNS name (lower case, optionally with \"*.\" in front)",
		                 san ? san : "");
	return 0;
}

static int plan_names(struct plan *plan, const char *const *sans, struct error *err)
{
	for (size_t count = 0; sans != NULL && *sans != NULL; sans++, count++) {
		char text[IP_TEXT_SIZE];
		struct ip_address address;

		if (count == SAN_MAXIMUM_COUNT)
			return error_set(err, ERROR_INVALID, "a certificate holds at most %d SANs", SAN_MAXIMUM_COUNT);
		if (certificate_san_validate(*sans, err))
			return error_wrap(err, "SAN");
		if (ip_parse(*sans, &address) == 0) {
			ip_format(&address, text);
			string_list_add(&plan->ip_addresses, text);
		} else {
			string_list_add(&plan->dns_names, *sans);
		}
	}
	string_list_sort(&plan->dns_names);
	string_list_unique(&plan->dns_names);
	string_list_sort(&plan->ip_addresses);
	string_list_unique(&plan->ip_addresses);
	return 0;
}

static int64_t years_later(int64_t seconds, int years)
{
	time_t moment = (time_t)seconds;
	struct tm parts;

	if (gmtime_r(&moment, &parts) == NULL)
		abort();
	parts.tm_year += years; /* 29 February becomes 1 March, as Go's AddDate has it */
	return (int64_t)timegm(&parts);
}

static int plan_leaf(struct plan *plan, const struct certificate_authority *authority, const struct certificate_request *request,
                     struct error *err)
{
	static const unsigned char constant_identifier[] = { 1, 2, 3, 4, 6 };
	int64_t now = clock_wall_seconds();

	plan->common_name = request->common_name;
	plan->organizations = request->organizations;
	plan->usages = request->usages;
	plan->authority_identifier = X509_get0_subject_key_id(authority->certificate);
	if (request->profile == CERTIFICATE_PROFILE_TEN_YEARS) {
		if (request->sans != NULL && request->sans[0] != NULL)
			return error_set(err, ERROR_BUG, "the ten-year profile has no SANs");
		plan->not_before = now;
		plan->not_after = years_later(now, CERTIFICATE_TEMPLATE_YEARS);
		memcpy(plan->key_identifier, constant_identifier, sizeof(constant_identifier));
		plan->key_identifier_length = sizeof(constant_identifier);
		if (plan->usages == 0)
			plan->usages = CERTIFICATE_CLIENT_AUTH | CERTIFICATE_SERVER_AUTH | CERTIFICATE_CODE_SIGNING;
	} else {
		if (plan->usages == 0)
			return error_set(err, ERROR_BUG, "a leaf certificate needs an extended key usage");
		plan->not_before = now - CERTIFICATE_BACKDATE_SECONDS;
		plan->not_after = now + CERTIFICATE_LEAF_SECONDS;
		plan->key_encipherment = true;
		plan->basic_constraints = true;
	}
	if (request->not_before != 0)
		plan->not_before = request->not_before;
	if (request->not_after != 0)
		plan->not_after = request->not_after;
	if (plan->not_after <= plan->not_before)
		return error_set(err, ERROR_INVALID, "the certificate would end before it begins");
	return plan_names(plan, request->sans, err);
}

int certificate_issue(const struct certificate_authority *authority, const struct certificate_request *request, const struct key *key,
                      struct buffer *certificate, struct error *err)
{
	struct plan plan __attribute__((cleanup(plan_cleanup))) = { 0 };

	if (plan_leaf(&plan, authority, request, err) || build(&plan, key, authority->certificate, authority->key, certificate, err))
		return error_wrap(err, "certificate for \"%.100s\"", request->common_name ? request->common_name : "");
	return 0;
}
