/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates made here against what kubeadm and upstream write, down to the extension bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"
#include "io/process.h"
#include "pki/certificate.h"

static const int64_t MOMENT = 1795216343; /* 2026-11-20T23:12:23Z */

static int64_t test_wall(void)
{
	return MOMENT * 1000000;
}

static int fix_clock(void **state)
{
	clock_set_for_test(NULL, test_wall);
	return 0;
}

static int free_clock(void **state)
{
	clock_set_for_test(NULL, NULL);
	return 0;
}

struct made {
	struct key *authority_key, *leaf_key;
	struct certificate_pair authority;
	struct certificate_authority *opened;
};

static void made_free(struct made *made)
{
	key_free(made->authority_key);
	key_free(made->leaf_key);
	certificate_pair_free(&made->authority);
	certificate_authority_free(made->opened);
}
#define MADE_CLEANUP __attribute__((cleanup(made_free)))

static void make_authority(struct made *made, const char *name, enum key_algorithm algorithm)
{
	struct error err = { 0 };

	assert_int_equal(key_generate(algorithm, &made->authority_key, &err), 0);
	assert_int_equal(key_generate(KEY_ECDSA_P256, &made->leaf_key, &err), 0);
	assert_int_equal(key_write_private(made->authority_key, &made->authority.key, &err), 0);
	assert_int_equal(certificate_create_authority(name, made->authority_key, &made->authority.certificate, &err), 0);
	if (certificate_authority_open(pem_text(&made->authority.certificate), pem_text(&made->authority.key), &made->opened, &err))
		fail_msg("%s", err.message);
}

static X509 *decode(const struct buffer *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->length);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(certificate);
	return certificate;
}

/* "keyUsage! 030205a0|..." : short name, '!' when critical, value in hex; identifiers only by their length. */
static char *extensions(const struct buffer *pem)
{
	X509 *certificate = decode(pem);
	struct buffer text = { 0 };

	for (int i = 0; i < X509_get_ext_count(certificate); i++) {
		X509_EXTENSION *extension = X509_get_ext(certificate, i);
		const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
		bool identifier = nid == NID_subject_key_identifier || nid == NID_authority_key_identifier;

		buffer_printf(&text, "%s%s%s ", i > 0 ? "|" : "", OBJ_nid2sn(nid), X509_EXTENSION_get_critical(extension) ? "!" : "");
		if (identifier && ASN1_STRING_length(value) > 8)
			buffer_printf(&text, "%d", ASN1_STRING_length(value));
		for (int at = 0; at < ASN1_STRING_length(value) && !(identifier && ASN1_STRING_length(value) > 8); at++)
			buffer_printf(&text, "%02x", ASN1_STRING_get0_data(value)[at]);
	}
	X509_free(certificate);
	return buffer_take(&text);
}

static void test_authority(void **state)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct made made MADE_CLEANUP = { 0 };
	struct certificate_facts facts;
	char *found FREE_CLEANUP = NULL;
	struct error err = { 0 };

	make_authority(&made, "kubernetes", KEY_RSA_2048);
	found = extensions(&made.authority.certificate);
	assert_string_equal(
		found,
		"keyUsage! 030202a4|basicConstraints! 30030101ff|subjectKeyIdentifier 22|subjectAltName 300c820a6b756265726e65746573");
	assert_int_equal(certificate_read(pem_text(&made.authority.certificate), arena, &facts, &err), 0);
	assert_string_equal(facts.subject, "CN=kubernetes");
	assert_string_equal(facts.issuer, "CN=kubernetes");
	assert_string_equal(facts.key, "RSA 2048");
	assert_true(facts.is_authority);
	assert_int_equal(facts.not_before, MOMENT - 300);
	assert_int_equal(facts.not_after, MOMENT + 3650 * 86400);
	assert_int_equal(facts.key_usage, KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_CERTIFICATE_SIGN);
	assert_int_equal(facts.usages, 0);
	assert_string_equal(facts.dns_names[0], "kubernetes");
	assert_null(facts.dns_names[1]);
}

static void test_subject_key_identifier_is_gos(void **state)
{
	/* Left 160 bits of the SHA-256 of the public key's bits. */
	struct made made MADE_CLEANUP = { 0 };
	unsigned char digest[32];
	unsigned length;
	X509 *certificate;

	make_authority(&made, "front-proxy-ca", KEY_ECDSA_P256);
	certificate = decode(&made.authority.certificate);
	assert_int_equal(X509_pubkey_digest(certificate, EVP_sha256(), digest, &length), 1);
	assert_int_equal(ASN1_STRING_length(X509_get0_subject_key_id(certificate)), 20);
	assert_memory_equal(ASN1_STRING_get0_data(X509_get0_subject_key_id(certificate)), digest, 20);
	X509_free(certificate);
}

static void test_api_server_leaf(void **state)
{
	static const char *const sans[] = { "node",       "kubernetes",    "10.96.0.1", "127.0.0.1", "localhost",
		                            "kubernetes", "*.example.com", "fd00::1",   NULL };
	struct certificate_request request = { .common_name = "kube-apiserver", .usages = CERTIFICATE_SERVER_AUTH, .sans = sans };
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct made made MADE_CLEANUP = { 0 };
	struct buffer pem BUFFER_CLEANUP = { 0 };
	struct certificate_facts facts;
	char *found FREE_CLEANUP = NULL;
	struct error err = { 0 };

	make_authority(&made, "kubernetes", KEY_ECDSA_P256);
	assert_int_equal(certificate_issue(made.opened, &request, made.leaf_key, &pem, &err), 0);
	found = extensions(&pem);
	assert_true(string_has_prefix(found, "keyUsage! 030205a0|extendedKeyUsage 300a06082b06010505070301|basicConstraints! 3000|"
	                                     "authorityKeyIdentifier 24|subjectAltName 30"));
	assert_int_equal(certificate_read(pem_text(&pem), arena, &facts, &err), 0);
	assert_string_equal(facts.subject, "CN=kube-apiserver");
	assert_string_equal(facts.issuer, "CN=kubernetes");
	assert_string_equal(facts.key, "ECDSA P-256");
	assert_false(facts.is_authority);
	assert_true(facts.has_basic_constraints);
	assert_int_equal(facts.key_usage, KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT);
	assert_int_equal(facts.usages, CERTIFICATE_SERVER_AUTH);
	assert_int_equal(facts.not_before, MOMENT - 300);
	assert_int_equal(facts.not_after, MOMENT + 365 * 86400);
	assert_string_equal(facts.dns_names[0], "*.example.com");
	assert_string_equal(facts.dns_names[1], "kubernetes");
	assert_string_equal(facts.dns_names[2], "localhost");
	assert_string_equal(facts.dns_names[3], "node");
	assert_null(facts.dns_names[4]);
	assert_string_equal(facts.ip_addresses[0], "10.96.0.1");
	assert_string_equal(facts.ip_addresses[1], "127.0.0.1");
	assert_string_equal(facts.ip_addresses[2], "fd00::1");
	assert_null(facts.ip_addresses[3]);
}

static void test_client_leaf(void **state)
{
	static const char *const organizations[] = { "kubeadm:cluster-admins", NULL };
	struct certificate_request request = { .common_name = "kubernetes-admin",
		                               .organizations = organizations,
		                               .usages = CERTIFICATE_CLIENT_AUTH };
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct made made MADE_CLEANUP = { 0 };
	struct buffer pem BUFFER_CLEANUP = { 0 };
	struct certificate_facts facts;
	char *found FREE_CLEANUP = NULL;
	struct error err = { 0 };

	make_authority(&made, "kubernetes", KEY_RSA_2048);
	assert_int_equal(certificate_issue(made.opened, &request, made.leaf_key, &pem, &err), 0);
	found = extensions(&pem);
	assert_string_equal(
		found, "keyUsage! 030205a0|extendedKeyUsage 300a06082b06010505070302|basicConstraints! 3000|authorityKeyIdentifier 24");
	assert_int_equal(certificate_read(pem_text(&pem), arena, &facts, &err), 0);
	assert_string_equal(facts.subject, "CN=kubernetes-admin,O=kubeadm:cluster-admins");
	assert_string_equal(facts.common_name, "kubernetes-admin");
	assert_string_equal(facts.organizations[0], "kubeadm:cluster-admins");
	assert_null(facts.organizations[1]);
	assert_null(facts.dns_names[0]);
}

static void test_ten_year_leaf(void **state)
{
	static const char *const organizations[] = { "system:masters", NULL };
	struct certificate_request request = { .common_name = "golden_minimal",
		                               .organizations = organizations,
		                               .profile = CERTIFICATE_PROFILE_TEN_YEARS };
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct made made MADE_CLEANUP = { 0 };
	struct buffer pem BUFFER_CLEANUP = { 0 };
	struct certificate_facts facts;
	char *found FREE_CLEANUP = NULL;
	struct error err = { 0 };
	X509 *certificate;

	make_authority(&made, "etcd-ca", KEY_ECDSA_P256);
	assert_int_equal(certificate_issue(made.opened, &request, made.leaf_key, &pem, &err), 0);
	found = extensions(&pem);
	assert_string_equal(found, "keyUsage! 03020780|extendedKeyUsage 301e06082b0601050507030206082b0601050507030106082b06010505070303|"
	                           "subjectKeyIdentifier 04050102030406|authorityKeyIdentifier 24");
	assert_int_equal(certificate_read(pem_text(&pem), arena, &facts, &err), 0);
	assert_string_equal(facts.subject, "CN=golden_minimal,O=system:masters");
	assert_false(facts.has_basic_constraints);
	assert_int_equal(facts.key_usage, KEY_USAGE_DIGITAL_SIGNATURE);
	assert_int_equal(facts.usages, CERTIFICATE_CLIENT_AUTH | CERTIFICATE_SERVER_AUTH | CERTIFICATE_CODE_SIGNING);
	assert_int_equal(facts.not_before, MOMENT);
	assert_int_equal(facts.not_after, MOMENT + INT64_C(3653) * 86400);
	/* '_' is not in PrintableString; ':' is. */
	certificate = decode(&pem);
	assert_int_equal(ASN1_STRING_type(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_get_subject_name(certificate), 0))),
	                 V_ASN1_PRINTABLESTRING);
	assert_int_equal(ASN1_STRING_type(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_get_subject_name(certificate), 1))),
	                 V_ASN1_UTF8STRING);
	X509_free(certificate);
}

static void test_serials(void **state)
{
	struct certificate_request request = { .common_name = "x", .usages = CERTIFICATE_CLIENT_AUTH };
	struct made made MADE_CLEANUP = { 0 };
	uint64_t before = 0;
	struct error err = { 0 };

	make_authority(&made, "ca", KEY_ECDSA_P256);
	for (int i = 0; i < 20; i++) {
		struct buffer pem BUFFER_CLEANUP = { 0 };
		uint64_t serial = 0;
		X509 *certificate;

		assert_int_equal(certificate_issue(made.opened, &request, made.leaf_key, &pem, &err), 0);
		certificate = decode(&pem);
		assert_int_equal(ASN1_INTEGER_get_uint64(&serial, X509_get0_serialNumber(certificate)), 1);
		assert_true(serial > 0 && serial <= INT64_MAX);
		assert_true(serial != before);
		before = serial;
		X509_free(certificate);
	}
}

static void test_requests_that_cannot_be(void **state)
{
	static const char *const wrong_names[] = { "", "UPPER", "a b", "*.*.x", "*", "-x", "x_y", "10.0.0.0/8", "[::1]" };
	struct made made MADE_CLEANUP = { 0 };
	struct error err = { 0 };

	make_authority(&made, "ca", KEY_ECDSA_P256);
	for (size_t i = 0; i < ARRAY_LENGTH(wrong_names); i++) {
		const char *sans[] = { "good.example", wrong_names[i], NULL };
		struct certificate_request request = { .common_name = "x", .usages = CERTIFICATE_SERVER_AUTH, .sans = sans };
		struct buffer pem BUFFER_CLEANUP = { 0 };

		assert_int_equal(certificate_issue(made.opened, &request, made.leaf_key, &pem, &err), -1);
		assert_int_equal(err.class, ERROR_INVALID);
		assert_non_null(strstr(err.message, "neither an IP address nor a DNS name"));
		assert_int_equal(pem.length, 0);
	}
	{
		struct certificate_request nameless = { .usages = CERTIFICATE_SERVER_AUTH }, useless = { .common_name = "x" };
		struct certificate_request backwards = { .common_name = "x", .usages = 1, .not_before = 20, .not_after = 10 };
		struct buffer pem BUFFER_CLEANUP = { 0 };

		assert_int_equal(certificate_issue(made.opened, &nameless, made.leaf_key, &pem, &err), -1);
		assert_int_equal(certificate_issue(made.opened, &useless, made.leaf_key, &pem, &err), -1);
		assert_int_equal(certificate_issue(made.opened, &backwards, made.leaf_key, &pem, &err), -1);
		assert_int_equal(pem.length, 0);
	}
}

static void test_authorities_that_cannot_sign(void **state)
{
	struct certificate_request request = { .common_name = "x", .usages = CERTIFICATE_CLIENT_AUTH };
	struct made made MADE_CLEANUP = { 0 }, other MADE_CLEANUP = { 0 };
	struct buffer leaf BUFFER_CLEANUP = { 0 }, leaf_key BUFFER_SECRET_CLEANUP = { 0 };
	struct certificate_authority *opened = NULL;
	struct error err = { 0 };

	make_authority(&made, "ca", KEY_ECDSA_P256);
	make_authority(&other, "ca", KEY_RSA_2048);
	assert_int_equal(certificate_authority_open(pem_text(&made.authority.certificate), pem_text(&other.authority.key), &opened, &err),
	                 -1);
	assert_non_null(strstr(err.message, "does not belong"));
	assert_int_equal(certificate_issue(made.opened, &request, made.leaf_key, &leaf, &err), 0);
	assert_int_equal(key_write_private(made.leaf_key, &leaf_key, &err), 0);
	assert_int_equal(certificate_authority_open(pem_text(&leaf), pem_text(&leaf_key), &opened, &err), -1);
	assert_non_null(strstr(err.message, "is no CA"));
	assert_int_equal(certificate_authority_open(pem_text(&made.authority.key), pem_text(&made.authority.key), &opened, &err), -1);
	assert_non_null(strstr(err.message, "no certificate"));
	assert_null(opened);
}

static void test_bundles(void **state)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct made one MADE_CLEANUP = { 0 }, two MADE_CLEANUP = { 0 };
	struct buffer bundle BUFFER_CLEANUP = { 0 };
	struct certificate_facts *facts;
	struct error err = { 0 };
	int64_t not_after;
	char pin[72];
	size_t count;

	make_authority(&one, "one", KEY_ECDSA_P256);
	make_authority(&two, "two", KEY_ECDSA_P384);
	buffer_append_string(&bundle, "# a comment\n");
	buffer_append(&bundle, one.authority.certificate.data, one.authority.certificate.length);
	buffer_append(&bundle, two.authority.certificate.data, two.authority.certificate.length);
	assert_int_equal(certificate_read_bundle(pem_text(&bundle), arena, &facts, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_string_equal(facts[0].common_name, "one");
	assert_string_equal(facts[1].common_name, "two");
	assert_string_equal(facts[1].key, "ECDSA P-384");
	assert_int_equal(certificate_not_after(pem_text(&bundle), &not_after, &err), 0);
	assert_int_equal(not_after, MOMENT + 3650 * 86400);
	assert_int_equal(certificate_public_key_pin(pem_text(&bundle), pin, &err), 0);
	assert_true(string_has_prefix(pin, "sha256:"));
	assert_string_equal(pin + 7, facts[0].public_key_fingerprint);
	buffer_append_string(&bundle, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
	assert_int_equal(certificate_read_bundle(pem_text(&bundle), arena, &facts, &count, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "certificate 3"));
	assert_int_equal(
		certificate_not_after(pem_text_string("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), &not_after, &err),
		-1);
	assert_int_equal(err.class, ERROR_CORRUPT);
}

static void write_file(const char *folder, const char *name, const struct buffer *bytes)
{
	char *path FREE_CLEANUP = string_printf("%s/%s", folder, name);
	struct error err = { 0 };

	assert_int_equal(file_write_atomic(path, bytes->data, bytes->length, 0600, &err), 0);
}

/* Another implementation's opinion: the openssl command. */
static void test_openssl_command_agrees(void **state)
{
	static const char *const sans[] = { "tenant.default.svc", "10.0.0.5", NULL };
	struct certificate_request request = { .common_name = "kube-apiserver", .usages = CERTIFICATE_SERVER_AUTH, .sans = sans };
	char folder[] = "/tmp/kamaji-test-XXXXXX";
	struct made made MADE_CLEANUP = { 0 };
	struct buffer leaf BUFFER_CLEANUP = { 0 };
	char *authority FREE_CLEANUP = NULL, *certificate FREE_CLEANUP = NULL;
	struct error err = { 0 };

	clock_set_for_test(NULL, NULL);
	if (process_command(&err, "openssl", "version", NULL)) {
		(void)fprintf(stderr, "SKIPPED: no openssl command on this machine: %s\n", err.message);
		skip();
	}
	assert_non_null(mkdtemp(folder));
	make_authority(&made, "kubernetes", KEY_RSA_2048);
	assert_int_equal(certificate_issue(made.opened, &request, made.leaf_key, &leaf, &err), 0);
	write_file(folder, "ca.crt", &made.authority.certificate);
	write_file(folder, "leaf.crt", &leaf);
	authority = string_printf("%s/ca.crt", folder);
	certificate = string_printf("%s/leaf.crt", folder);
	if (process_command(&err, "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "10.0.0.5", "-CAfile",
	                    authority, certificate, NULL))
		fail_msg("%s", err.message);
	assert_int_equal(process_command(&err, "openssl", "verify", "-verify_ip", "10.0.0.6", "-CAfile", authority, certificate, NULL), -1);
	assert_int_equal(process_command(&err, "openssl", "verify", "-purpose", "sslclient", "-CAfile", authority, certificate, NULL), -1);
	assert_int_equal(file_remove_tree(folder, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_authority, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_subject_key_identifier_is_gos, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_api_server_leaf, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_client_leaf, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_ten_year_leaf, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_serials, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_requests_that_cannot_be, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_authorities_that_cannot_sign, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_bundles, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_openssl_command_agrees, fix_clock, free_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
