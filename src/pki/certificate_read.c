/* SPDX-License-Identifier: Apache-2.0 */
/* Reading certificates: facts, times, usages. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/ip.h"
#include "base/strings.h"
#include "pki/certificate.h"
#include "pki/digest.h"
#include "pki/openssl_int.h"

int certificate_next(struct pem_reader *reader, X509 **certificate, struct error *err)
{
	struct pem_block block PEM_BLOCK_CLEANUP = { 0 };
	int more;

	while ((more = pem_reader_next(reader, &block, err)) == 1) {
		const unsigned char *place = block.bytes;
		X509 *found;

		if (strcmp(block.name, "CERTIFICATE") != 0)
			continue;
		found = d2i_X509(NULL, &place, block.length);
		if (found == NULL || place != block.bytes + block.length) {
			X509_free(found);
			return openssl_error(err, ERROR_CORRUPT, "the certificate cannot be decoded");
		}
		*certificate = found;
		return 1;
	}
	return more;
}

int certificate_first(struct pem_text pem, X509 **certificate, struct error *err)
{
	struct pem_reader reader PEM_READER_CLEANUP = { 0 };
	int more;

	if (pem_reader_open(&reader, pem, "certificate", err))
		return -1;
	more = certificate_next(&reader, certificate, err);
	if (more == 0)
		return error_set(err, ERROR_CORRUPT, "no certificate in the PEM text");
	return more < 0 ? -1 : 0;
}

int certificate_time(const ASN1_TIME *time, int64_t *seconds, struct error *err)
{
	struct tm parts;

	if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
		return openssl_error(err, ERROR_CORRUPT, "the certificate's validity cannot be read");
	*seconds = (int64_t)timegm(&parts);
	return 0;
}

unsigned certificate_usages(X509 *certificate, bool *present)
{
	EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
	unsigned usages = 0;

	*present = list != NULL;
	for (int i = 0; i < sk_ASN1_OBJECT_num(list); i++) {
		switch (OBJ_obj2nid(sk_ASN1_OBJECT_value(list, i))) {
		case NID_server_auth:
			usages |= CERTIFICATE_SERVER_AUTH;
			break;
		case NID_client_auth:
			usages |= CERTIFICATE_CLIENT_AUTH;
			break;
		case NID_code_sign:
			usages |= CERTIFICATE_CODE_SIGNING;
			break;
		case NID_anyExtendedKeyUsage:
			usages |= CERTIFICATE_SERVER_AUTH | CERTIFICATE_CLIENT_AUTH | CERTIFICATE_CODE_SIGNING;
			break;
		default:
			break;
		}
	}
	EXTENDED_KEY_USAGE_free(list);
	ERR_clear_error();
	return usages;
}

static const char *string_of(const ASN1_STRING *value, struct arena *arena)
{
	unsigned char *text = NULL;
	int length = ASN1_STRING_to_UTF8(&text, value);
	const char *copy;

	if (length < 0) {
		ERR_clear_error();
		return "";
	}
	copy = arena_strndup(arena, (const char *)text, (size_t)length);
	OPENSSL_free(text);
	return copy;
}

static const char *name_text(const X509_NAME *name, struct arena *arena)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes = NULL;
	const char *text = "";

	if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		long length = BIO_get_mem_data(bio, &bytes);

		text = arena_strndup(arena, bytes, (size_t)length);
	}
	BIO_free(bio);
	ERR_clear_error();
	return text;
}

/* All values of one attribute, in order, NULL-terminated. */
static const char *const *name_values(const X509_NAME *name, int nid, struct arena *arena, size_t *count)
{
	size_t entries = (size_t)X509_NAME_entry_count(name), used = 0;
	const char **values = arena_alloc(arena, (entries + 1) * sizeof(*values));

	for (int at = X509_NAME_get_index_by_NID(name, nid, -1); at >= 0; at = X509_NAME_get_index_by_NID(name, nid, at))
		values[used++] = string_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)), arena);
	*count = used;
	return values;
}

static void read_alternative_names(X509 *certificate, struct arena *arena, struct certificate_facts *facts)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t count = names != NULL ? (size_t)sk_GENERAL_NAME_num(names) : 0, dns = 0, ip = 0;
	const char **dns_names = arena_alloc(arena, (count + 1) * sizeof(*dns_names));
	const char **ip_addresses = arena_alloc(arena, (count + 1) * sizeof(*ip_addresses));

	for (size_t i = 0; i < count; i++) {
		int type;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, (int)i), &type);
		char text[IP_TEXT_SIZE];
		struct ip_address address = { 0 };

		if (type == GEN_DNS) {
			dns_names[dns++] =
				arena_strndup(arena, (const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
		} else if (type == GEN_IPADD && (ASN1_STRING_length(value) == 4 || ASN1_STRING_length(value) == 16)) {
			address.family = ASN1_STRING_length(value) == 4 ? 4 : 6;
			memcpy(address.bytes, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
			ip_format(&address, text);
			ip_addresses[ip++] = arena_strdup(arena, text);
		}
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	facts->dns_names = dns_names;
	facts->ip_addresses = ip_addresses;
}

static unsigned read_key_usage(X509 *certificate)
{
	static const unsigned shown[] = { KEY_USAGE_DIGITAL_SIGNATURE,
		                          KEY_USAGE_OTHER,
		                          KEY_USAGE_KEY_ENCIPHERMENT,
		                          KEY_USAGE_OTHER,
		                          KEY_USAGE_OTHER,
		                          KEY_USAGE_CERTIFICATE_SIGN,
		                          KEY_USAGE_CRL_SIGN,
		                          KEY_USAGE_OTHER,
		                          KEY_USAGE_OTHER };
	ASN1_BIT_STRING *bits = X509_get_ext_d2i(certificate, NID_key_usage, NULL, NULL);
	unsigned usage = 0;

	for (size_t i = 0; bits != NULL && i < ARRAY_LENGTH(shown); i++)
		if (ASN1_BIT_STRING_get_bit(bits, (int)i))
			usage |= shown[i];
	ASN1_BIT_STRING_free(bits);
	ERR_clear_error();
	return usage;
}

static void read_constraints(X509 *certificate, struct certificate_facts *facts)
{
	BASIC_CONSTRAINTS *constraints = X509_get_ext_d2i(certificate, NID_basic_constraints, NULL, NULL);

	facts->has_basic_constraints = constraints != NULL;
	facts->is_authority = constraints != NULL && constraints->ca != 0;
	BASIC_CONSTRAINTS_free(constraints);
	ERR_clear_error();
}

static int public_key_digest(X509 *certificate, char hex[DIGEST_HEX_SIZE], struct error *err)
{
	unsigned char *bytes = NULL;
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes);

	if (length <= 0)
		return openssl_error(err, ERROR_CORRUPT, "the certificate's public key cannot be encoded");
	digest_hex(DIGEST_SHA256, bytes, (size_t)length, hex);
	OPENSSL_free(bytes);
	return 0;
}

static int read_digests(X509 *certificate, struct arena *arena, struct certificate_facts *facts, struct error *err)
{
	char hex[DIGEST_HEX_SIZE];
	unsigned char *bytes = NULL;
	int length = i2d_X509(certificate, &bytes);

	if (length <= 0)
		return openssl_error(err, ERROR_CORRUPT, "the certificate cannot be encoded");
	digest_hex(DIGEST_SHA256, bytes, (size_t)length, hex);
	OPENSSL_free(bytes);
	facts->fingerprint = arena_strdup(arena, hex);
	if (public_key_digest(certificate, hex, err))
		return -1;
	facts->public_key_fingerprint = arena_strdup(arena, hex);
	return 0;
}

static const char *serial_text(X509 *certificate, struct arena *arena)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
	char *hex = number != NULL ? BN_bn2hex(number) : NULL;
	const char *text = arena_strdup(arena, hex ? hex : "");

	OPENSSL_free(hex);
	BN_free(number);
	ERR_clear_error();
	return text;
}

static int read_facts(X509 *certificate, struct arena *arena, struct certificate_facts *facts, struct error *err)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	struct key *key KEY_CLEANUP = NULL;
	const char *const *names;
	size_t count;
	bool present;

	*facts = (struct certificate_facts){ 0 };
	if (certificate_time(X509_get0_notBefore(certificate), &facts->not_before, err) ||
	    certificate_time(X509_get0_notAfter(certificate), &facts->not_after, err) || read_digests(certificate, arena, facts, err))
		return -1;
	names = name_values(subject, NID_commonName, arena, &count);
	facts->common_name = count > 0 ? names[count - 1] : ""; /* the last one counts, as in Go */
	facts->organizations = name_values(subject, NID_organizationName, arena, &count);
	facts->subject = name_text(subject, arena);
	facts->issuer = name_text(X509_get_issuer_name(certificate), arena);
	facts->serial = serial_text(certificate, arena);
	facts->key_usage = read_key_usage(certificate);
	facts->usages = certificate_usages(certificate, &present);
	read_alternative_names(certificate, arena, facts);
	read_constraints(certificate, facts);
	if (key_of_certificate(certificate, &key, err) == 0)
		facts->key = key_description(key);
	else
		facts->key = "unsupported";
	error_clear(err);
	return 0;
}

int certificate_read(struct pem_text pem, struct arena *arena, struct certificate_facts *facts, struct error *err)
{
	X509 *certificate X509_CLEANUP = NULL;

	if (certificate_first(pem, &certificate, err))
		return -1;
	return read_facts(certificate, arena, facts, err);
}

int certificate_read_bundle(struct pem_text pem, struct arena *arena, struct certificate_facts **facts, size_t *count, struct error *err)
{
	struct pem_reader reader PEM_READER_CLEANUP = { 0 };
	struct certificate_facts *list = arena_alloc(arena, PEM_MAXIMUM_CERTIFICATES * sizeof(*list));
	size_t used = 0;
	int more;

	if (pem_reader_open(&reader, pem, "certificate bundle", err))
		return -1;
	for (;;) {
		X509 *certificate X509_CLEANUP = NULL;

		more = certificate_next(&reader, &certificate, err);
		if (more <= 0)
			break;
		if (used == PEM_MAXIMUM_CERTIFICATES)
			return error_set(err, ERROR_EXHAUSTED, "the bundle holds more than %d certificates", PEM_MAXIMUM_CERTIFICATES);
		if (read_facts(certificate, arena, &list[used], err))
			return -1;
		used++;
	}
	if (more < 0)
		return error_wrap(err, "certificate %zu of the bundle", used + 1);
	if (used == 0)
		return error_set(err, ERROR_CORRUPT, "no certificate in the PEM text");
	*facts = list;
	*count = used;
	return 0;
}

/* Enters the SEQUENCE at *place, or with `whole` steps over any element: false when there is none inside the limit. */
static bool der_step(const unsigned char **place, const unsigned char **end, bool whole)
{
	int tag, class, form;
	long length;

	if (*place >= *end)
		return false;
	form = ASN1_get_object(place, &length, &tag, &class, *end - *place);
	if ((form & 0x80) != 0 || form == (V_ASN1_CONSTRUCTED | 1)) /* malformed, or of indefinite length: no DER */
		return false;
	if (whole) {
		*place += length;
		return true;
	}
	*end = *place + length;
	return tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL && form == V_ASN1_CONSTRUCTED;
}

/* Decoding a certificate costs mostly its public key, which nobody asks for here. */
static int der_validity(const unsigned char *place, const unsigned char *end, int64_t *from, int64_t *until, struct error *err)
{
	enum { BEFORE_VALIDITY = 3 }; /* serial number, signature algorithm, issuer */
	ASN1_TIME *time;
	int result;

	*from = *until = 0;
	ERR_clear_error();
	if (!der_step(&place, &end, false) || !der_step(&place, &end, false))
		return certificate_time(NULL, from, err);
	if (place < end && *place == (V_ASN1_CONTEXT_SPECIFIC | V_ASN1_CONSTRUCTED) && !der_step(&place, &end, true)) /* version */
		return certificate_time(NULL, from, err);
	for (int i = 0; i < BEFORE_VALIDITY; i++) {
		if (!der_step(&place, &end, true))
			return certificate_time(NULL, from, err);
	}
	if (!der_step(&place, &end, false))
		return certificate_time(NULL, from, err);
	time = d2i_ASN1_TIME(NULL, &place, end - place);
	result = certificate_time(time, from, err);
	ASN1_TIME_free(time);
	if (result)
		return -1;
	time = d2i_ASN1_TIME(NULL, &place, end - place);
	result = certificate_time(time, until, err);
	ASN1_TIME_free(time);
	return result;
}

/* Of the first certificate, or with `all` the time in which every one of the bundle is valid. */
static int read_validity(struct pem_text pem, bool all, int64_t *not_before, int64_t *not_after, struct error *err)
{
	struct pem_reader reader PEM_READER_CLEANUP = { 0 };
	struct pem_block block PEM_BLOCK_CLEANUP = { 0 };
	int more, count = 0;

	*not_before = INT64_MIN;
	*not_after = INT64_MAX;
	if (pem_reader_open(&reader, pem, "certificate", err))
		return -1;
	while ((count == 0 || all) && (more = pem_reader_next(&reader, &block, err)) != 0) {
		int64_t from, until;

		if (more < 0)
			return -1;
		if (strcmp(block.name, "CERTIFICATE") != 0)
			continue;
		if (der_validity(block.bytes, block.bytes + block.length, &from, &until, err))
			return -1;
		*not_before = from > *not_before ? from : *not_before;
		*not_after = until < *not_after ? until : *not_after;
		count++;
	}
	return count > 0 ? 0 : error_set(err, ERROR_CORRUPT, "no certificate in the PEM text");
}

int certificate_validity(struct pem_text pem, bool all, int64_t *not_before, int64_t *not_after)
{
	struct error ignored = { 0 };

	return read_validity(pem, all, not_before, not_after, &ignored);
}

int certificate_not_after(struct pem_text pem, int64_t *not_after, struct error *err)
{
	int64_t not_before;

	return read_validity(pem, false, &not_before, not_after, err);
}

int certificate_public_key_pin(struct pem_text pem, char text[72], struct error *err)
{
	X509 *certificate X509_CLEANUP = NULL;
	char hex[DIGEST_HEX_SIZE];

	if (certificate_first(pem, &certificate, err) || public_key_digest(certificate, hex, err))
		return -1;
	memcpy(text, "sha256:", 7);
	memcpy(text + 7, hex, DIGEST_HEX_SIZE);
	return 0;
}
