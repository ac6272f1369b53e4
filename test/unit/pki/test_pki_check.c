/* SPDX-License-Identifier: Apache-2.0 */
/* The reuse rules under an injected clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/strings.h"
#include "pki/certificate.h"
#include "pki/check.h"
#include "pki/check_memory.h"
#include "pki/kubeconfig.h"

static const int64_t MOMENT = 1795216343; /* 2026-11-20T23:12:23Z */
static const int64_t DAY = 86400;
static int64_t now;
static struct check_memory *memory; /* of the test that runs */

static int64_t test_wall(void)
{
	return now * 1000000;
}

static int fix_clock(void **state)
{
	now = MOMENT;
	clock_set_for_test(NULL, test_wall);
	memory = check_memory_new();
	return 0;
}

static int free_clock(void **state)
{
	clock_set_for_test(NULL, NULL);
	check_memory_free(memory);
	return 0;
}

static void make_authority(const char *name, struct certificate_pair *pair)
{
	struct key *key KEY_CLEANUP = NULL;
	struct error err = { 0 };

	assert_int_equal(key_generate(KEY_ECDSA_P256, &key, &err), 0);
	assert_int_equal(key_write_private(key, &pair->key, &err), 0);
	assert_int_equal(certificate_create_authority(name, key, &pair->certificate, &err), 0);
}

static void make_leaf(const struct certificate_pair *authority, const struct certificate_request *request, struct certificate_pair *pair)
{
	struct certificate_authority *opened CERTIFICATE_AUTHORITY_CLEANUP = NULL;
	struct key *key KEY_CLEANUP = NULL;
	struct error err = { 0 };

	assert_int_equal(certificate_authority_open(pem_text(&authority->certificate), pem_text(&authority->key), &opened, &err), 0);
	assert_int_equal(key_generate(KEY_ECDSA_P256, &key, &err), 0);
	assert_int_equal(key_write_private(key, &pair->key, &err), 0);
	assert_int_equal(certificate_issue(opened, request, key, &pair->certificate, &err), 0);
}

static void test_leaf(void **state)
{
	static const char *const sans[] = { "10.0.0.4", "tenant.default.svc", "fd00::5", NULL };
	static const char *const more[] = { "10.0.0.4", "10.0.0.5", NULL }, *const name[] = { "other.default.svc", NULL };
	static const char *const long_form[] = { "fd00:0:0::5", NULL };
	struct certificate_request request = { .common_name = "kube-apiserver", .usages = CERTIFICATE_SERVER_AUTH, .sans = sans };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, other CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_pair leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct check_certificate check;
	struct check_reason reason;

	make_authority("kubernetes", &authority);
	make_authority("kubernetes", &other); /* a rotated CA has the same name */
	make_leaf(&authority, &request, &leaf);
	check = (struct check_certificate){ .certificate = pem_text(&leaf.certificate),
		                            .key = pem_text(&leaf.key),
		                            .authority = pem_text(&authority.certificate),
		                            .usage = CERTIFICATE_SERVER_AUTH,
		                            .sans = sans,
		                            .threshold_seconds = DAY,
		                            .common_name = "kube-apiserver" };
	if (!check_certificate(memory, &check, &reason))
		fail_msg("%s", reason.text);
	assert_string_equal(reason.text, "");

	check.authority = pem_text(&other.certificate);
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "signed by another CA (issuer \"kubernetes\")");
	check.authority = pem_text(&authority.certificate);

	check.key = pem_text(&other.key);
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "key does not match");
	check.key = pem_text(&leaf.key);

	check.usage = CERTIFICATE_CLIENT_AUTH;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "not for client authentication");
	check.usage = CERTIFICATE_SERVER_AUTH;

	check.sans = more;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "SAN 10.0.0.5 is missing");
	check.sans = name;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "SAN other.default.svc is missing");
	check.sans = long_form; /* addresses compare by value */
	assert_true(check_certificate(memory, &check, &reason));
	check.sans = sans;

	check.common_name = "kube";
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "common name is not \"kube\"");
}

static void test_time(void **state)
{
	struct certificate_request request = { .common_name = "front-proxy-client", .usages = CERTIFICATE_CLIENT_AUTH };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct check_certificate check;
	struct check_reason reason;
	int64_t end = MOMENT + 365 * DAY;

	make_authority("front-proxy-ca", &authority);
	make_leaf(&authority, &request, &leaf);
	check = (struct check_certificate){ .certificate = pem_text(&leaf.certificate),
		                            .authority = pem_text(&authority.certificate),
		                            .threshold_seconds = DAY };
	now = end - DAY - 1;
	assert_true(check_certificate(memory, &check, &reason));
	now = end - DAY;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "expires in 24h");
	now = end - 3 * 3600;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "expires in 3h");
	check.threshold_seconds = 30 * DAY;
	now = end - 12 * DAY;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "expires in 12d");
	now = end - 5 * 60;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "expires in 5m");
	now = end;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "expired on 2027-11-20T23:12:23Z");
	now = MOMENT - 301;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "not valid before 2026-11-20T23:07:23Z");
}

static void test_expired_authority_of_a_valid_leaf(void **state)
{
	struct certificate_request request = { .common_name = "x", .usages = CERTIFICATE_CLIENT_AUTH, .not_after = MOMENT + 4000 * DAY };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct check_certificate check;
	struct check_reason reason;

	make_authority("ca", &authority);
	make_leaf(&authority, &request, &leaf);
	check = (struct check_certificate){ .certificate = pem_text(&leaf.certificate), .authority = pem_text(&authority.certificate) };
	now = MOMENT + 3651 * DAY;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "cannot be verified: certificate has expired");
}

static void test_bundle_of_authorities(void **state)
{
	struct certificate_request request = { .common_name = "x", .usages = CERTIFICATE_CLIENT_AUTH };
	struct certificate_pair old CERTIFICATE_PAIR_CLEANUP = { 0 }, new CERTIFICATE_PAIR_CLEANUP = { 0 },
				    leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct buffer bundle BUFFER_CLEANUP = { 0 };
	struct check_certificate check;
	struct check_reason reason;

	make_authority("ca", &old);
	make_authority("ca", &new);
	make_leaf(&new, &request, &leaf);
	buffer_append(&bundle, old.certificate.data, old.certificate.length);
	buffer_append(&bundle, new.certificate.data, new.certificate.length);
	check = (struct check_certificate){ .certificate = pem_text(&leaf.certificate), .authority = pem_text(&bundle) };
	assert_true(check_certificate(memory, &check, &reason));
	buffer_append_string(&bundle, "-----BEGIN CERTIFICATE-----\nMAA=\n");
	check.authority = pem_text(&bundle);
	assert_false(check_certificate(memory, &check, &reason));
	assert_non_null(strstr(reason.text, "CA bundle"));
}

static void test_authority(void **state)
{
	struct certificate_request request = { .common_name = "x", .usages = CERTIFICATE_CLIENT_AUTH };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, other CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_pair leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct check_reason reason;

	make_authority("kubernetes", &authority);
	make_authority("kubernetes", &other);
	make_leaf(&authority, &request, &leaf);
	assert_true(check_authority(memory, pem_text(&authority.certificate), pem_text(&authority.key), DAY, &reason));
	assert_false(check_authority(memory, pem_text(&authority.certificate), pem_text(&other.key), DAY, &reason));
	assert_string_equal(reason.text, "key does not match");
	assert_false(check_authority(memory, pem_text(&leaf.certificate), pem_text(&leaf.key), DAY, &reason));
	assert_string_equal(reason.text, "is no CA");
	assert_false(check_authority(memory, pem_text_string("junk"), pem_text(&other.key), DAY, &reason));
	assert_string_equal(reason.text, "no certificate in the PEM text");
	assert_false(check_authority(memory, (struct pem_text){ 0 }, pem_text(&other.key), DAY, &reason));
	assert_string_equal(reason.text, "the certificate is empty");
	now = MOMENT + 3650 * DAY - 1800;
	assert_false(check_authority(memory, pem_text(&authority.certificate), pem_text(&authority.key), DAY, &reason));
	assert_string_equal(reason.text, "expires in 30m");
}

static void test_service_account(void **state)
{
	struct buffer private_pem[3] = { 0 }, public_pem[3] = { 0 };
	enum key_algorithm algorithms[] = { KEY_RSA_2048, KEY_RSA_2048, KEY_ECDSA_P256 };
	struct check_reason reason;
	struct error err = { 0 };

	for (size_t i = 0; i < 3; i++) {
		struct key *key KEY_CLEANUP = NULL;

		assert_int_equal(key_generate(algorithms[i], &key, &err), 0);
		assert_int_equal(key_write_private(key, &private_pem[i], &err), 0);
		assert_int_equal(key_write_public(key, &public_pem[i], &err), 0);
	}
	assert_true(check_service_account(memory, pem_text(&public_pem[0]), pem_text(&private_pem[0]), &reason));
	assert_false(check_service_account(memory, pem_text(&public_pem[1]), pem_text(&private_pem[0]), &reason));
	assert_string_equal(reason.text, "key does not match");
	assert_false(check_service_account(memory, pem_text(&public_pem[2]), pem_text(&private_pem[2]), &reason));
	assert_string_equal(reason.text, "public key is not RSA");
	assert_false(check_service_account(memory, pem_text(&private_pem[0]), pem_text(&private_pem[0]), &reason));
	for (size_t i = 0; i < 3; i++) {
		buffer_free_secret(&private_pem[i]);
		buffer_free(&public_pem[i]);
	}
}

static void test_kubeconfig(void **state)
{
	struct certificate_request request = { .common_name = "kubernetes-admin", .usages = CERTIFICATE_CLIENT_AUTH };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, other CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_pair leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct kubeconfig_content content;
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };
	struct check_kubeconfig check;
	struct check_reason reason;

	make_authority("kubernetes", &authority);
	make_authority("kubernetes", &other);
	make_leaf(&authority, &request, &leaf);
	content = (struct kubeconfig_content){ .server = "https://10.0.0.1:6443",
		                               .cluster = "t",
		                               .user = "kubernetes-admin",
		                               .authority = pem_text(&authority.certificate),
		                               .certificate = pem_text(&leaf.certificate),
		                               .key = pem_text(&leaf.key) };
	kubeconfig_write(&content, &text);
	check = (struct check_kubeconfig){ .text = pem_text(&text),
		                           .authority = pem_text(&authority.certificate),
		                           .server = content.server,
		                           .cluster = "t",
		                           .user = "kubernetes-admin",
		                           .threshold_seconds = DAY };
	if (!check_kubeconfig(memory, &check, &reason))
		fail_msg("%s", reason.text);
	check.authority = pem_text(&other.certificate);
	assert_false(check_kubeconfig(memory, &check, &reason));
	assert_string_equal(reason.text, "embeds another CA");
	check.authority = pem_text(&authority.certificate);
	check.server = "https://10.0.0.2:6443";
	assert_false(check_kubeconfig(memory, &check, &reason));
	assert_string_equal(reason.text, "server is \"https://10.0.0.1:6443\", not \"https://10.0.0.2:6443\"");
	check.server = NULL;
	now = MOMENT + 364 * DAY;
	assert_false(check_kubeconfig(memory, &check, &reason));
	assert_string_equal(reason.text, "expires in 24h");
	now = MOMENT;
	buffer_clear(&text);
	content.key = pem_text(&other.key);
	kubeconfig_write(&content, &text);
	check.text = pem_text(&text);
	assert_false(check_kubeconfig(memory, &check, &reason));
	assert_string_equal(reason.text, "key does not match");
	check.text = (struct pem_text){ 0 };
	assert_false(check_kubeconfig(memory, &check, &reason));
	assert_string_equal(reason.text, "kubeconfig: empty");
}

/* What was found or made good is not looked at again; only the very same parts are meant, and time goes on. */
static void test_memory_of_good_findings(void **state)
{
	struct certificate_request request = { .common_name = "kube-apiserver", .usages = CERTIFICATE_SERVER_AUTH };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, other CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_pair leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct check_certificate check;
	struct check_memory *another = check_memory_new();
	struct check_reason reason;

	make_authority("kubernetes", &authority);
	make_authority("kubernetes", &other);
	make_leaf(&authority, &request, &leaf);
	check = (struct check_certificate){ .certificate = pem_text(&leaf.certificate),
		                            .key = pem_text(&other.key), /* what no look at it would find good */
		                            .authority = pem_text(&authority.certificate),
		                            .threshold_seconds = DAY };
	assert_false(check_certificate(memory, &check, &reason));
	check_certificate_made(memory, &check);
	assert_true(check_certificate(memory, &check, &reason));
	assert_true(reason.not_after == MOMENT + CERTIFICATE_LEAF_SECONDS);
	/* Who brings no memory, or another, is told what is. */
	assert_false(check_certificate(NULL, &check, &reason));
	assert_false(check_certificate(another, &check, &reason));
	check_memory_free(another);

	check.threshold_seconds = CERTIFICATE_LEAF_SECONDS;
	assert_false(check_certificate(memory, &check, &reason));
	assert_string_equal(reason.text, "expires in 365d");
	check.threshold_seconds = DAY;
	check.usage = CERTIFICATE_SERVER_AUTH;
	assert_false(check_certificate(memory, &check, &reason));
	check.usage = 0;
	check.common_name = "";
	assert_false(check_certificate(memory, &check, &reason));
	check.common_name = NULL;
	now = MOMENT + CERTIFICATE_LEAF_SECONDS;
	assert_false(check_certificate(memory, &check, &reason));
	assert_true(string_has_prefix(reason.text, "expired on "));
	assert_true(reason.not_after == 0);

	assert_false(check_authority(memory, pem_text(&authority.certificate), pem_text(&other.key), DAY, &reason));
	check_authority_made(memory, pem_text(&authority.certificate), pem_text(&other.key));
	assert_true(check_authority(memory, pem_text(&authority.certificate), pem_text(&other.key), DAY, &reason));
	assert_false(check_service_account(memory, pem_text(&authority.certificate), pem_text(&other.key), &reason));
	check_service_account_made(memory, pem_text(&authority.certificate), pem_text(&other.key));
	assert_true(check_service_account(memory, pem_text(&authority.certificate), pem_text(&other.key), &reason));
}

/* A finding rests on the CA too: once that has ended, the memory does not answer for it. */
static void test_memory_ends_with_the_authority(void **state)
{
	struct certificate_request request = { .common_name = "client",
		                               .usages = CERTIFICATE_CLIENT_AUTH,
		                               .not_after = MOMENT + 2 * (int64_t)CERTIFICATE_AUTHORITY_SECONDS };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct check_certificate check;
	struct check_reason reason;

	make_authority("kubernetes", &authority);
	make_leaf(&authority, &request, &leaf);
	check = (struct check_certificate){ .certificate = pem_text(&leaf.certificate), .authority = pem_text(&authority.certificate) };
	assert_true(check_certificate(memory, &check, &reason));
	now = MOMENT + CERTIFICATE_AUTHORITY_SECONDS + DAY;
	assert_false(check_certificate(memory, &check, &reason));
}

static void number_question(uint64_t number, struct check_question *question)
{
	struct digest *digest = check_question_begin("test");

	digest_add(digest, &number, sizeof(number));
	check_question_end(digest, question);
}

static void test_memory_is_bounded(void **state)
{
	enum { COUNT = 200 * 1000 };
	struct check_question question;
	struct check_finding finding = { 0 };
	unsigned kept = 0;

	for (uint64_t i = 0; i < COUNT; i++) {
		number_question(i, &question);
		assert_false(check_memory_find(memory, &question, &finding));
		check_memory_put(memory, &question, &(struct check_finding){ .not_before = (int64_t)i, .not_after = 1 });
		assert_true(check_memory_find(memory, &question, &finding));
		assert_true(finding.not_before == (int64_t)i);
	}
	for (uint64_t i = 0; i < COUNT; i++) {
		number_question(i, &question);
		kept += check_memory_find(memory, &question, &finding);
	}
	assert_in_range(kept, 50 * 1000, 64 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_leaf, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_time, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_expired_authority_of_a_valid_leaf, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_bundle_of_authorities, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_authority, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_service_account, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_kubeconfig, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_memory_of_good_findings, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_memory_ends_with_the_authority, fix_clock, free_clock),
		cmocka_unit_test_setup_teardown(test_memory_is_bounded, fix_clock, free_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
