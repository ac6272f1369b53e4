/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/thread.h"
#include "pki/check.h"
#include "pki/issuer.h"

static void wait_for_stock(struct issuer *issuer, unsigned wanted)
{
	uint64_t deadline = clock_monotonic_ms() + 60000;
	struct error err = { 0 };

	while (issuer_stock(issuer) != wanted && clock_until(deadline) > 0)
		assert_int_equal(cancel_sleep(NULL, 5, &err), 0);
	assert_int_equal(issuer_stock(issuer), wanted);
}

static void test_all_kinds_at_once(void **state)
{
	struct issuer_options options = { .threads = 2 };
	struct certificate_pair authority CERTIFICATE_PAIR_CLEANUP = { 0 }, front CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_pair account CERTIFICATE_PAIR_CLEANUP = { 0 }, leaf CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_authority *opened CERTIFICATE_AUTHORITY_CLEANUP = NULL;
	struct certificate_request request = { .common_name = "kube-apiserver-kubelet-client", .usages = CERTIFICATE_CLIENT_AUTH };
	struct issuer_job first[] = {
		{ .kind = ISSUER_AUTHORITY, .algorithm = KEY_ECDSA_P256, .common_name = "kubernetes", .pair = &authority },
		{ .kind = ISSUER_SERVICE_ACCOUNT, .pair = &account },
		{ .kind = ISSUER_AUTHORITY, .algorithm = KEY_RSA_2048, .common_name = "front-proxy-ca", .pair = &front },
	};
	struct issuer_job second = { .kind = ISSUER_LEAF, .algorithm = KEY_ECDSA_P256, .request = &request, .pair = &leaf };
	struct check_certificate check;
	struct check_reason reason;
	struct error err = { 0 };
	struct issuer *issuer = issuer_new(&options, &err);

	assert_non_null(issuer);
	assert_int_equal(issuer_run(issuer, first, ARRAY_LENGTH(first), NULL, &err), 0);
	assert_true(check_authority(NULL, pem_text(&authority.certificate), pem_text(&authority.key), 0, &reason));
	assert_true(check_authority(NULL, pem_text(&front.certificate), pem_text(&front.key), 0, &reason));
	assert_true(check_service_account(NULL, pem_text(&account.certificate), pem_text(&account.key), &reason));
	assert_true(string_has_prefix(front.key.data, "-----BEGIN RSA PRIVATE KEY-----"));
	assert_int_equal(certificate_authority_open(pem_text(&authority.certificate), pem_text(&authority.key), &opened, &err), 0);
	second.authority = opened;
	assert_int_equal(issuer_run(issuer, &second, 1, NULL, &err), 0);
	check = (struct check_certificate){ .certificate = pem_text(&leaf.certificate),
		                            .key = pem_text(&leaf.key),
		                            .authority = pem_text(&authority.certificate),
		                            .usage = CERTIFICATE_CLIENT_AUTH };
	assert_true(check_certificate(NULL, &check, &reason));
	assert_int_equal(issuer_run(issuer, NULL, 0, NULL, &err), 0);
	issuer_free(issuer);
}

static void test_stock_serves_and_refills(void **state)
{
	struct issuer_options options = { .rsa_stock = 2 };
	struct certificate_pair pairs[3] = { 0 };
	struct error err = { 0 };
	struct issuer *issuer = issuer_new(&options, &err);
	uint64_t begin, with, without;

	wait_for_stock(issuer, 2);
	begin = clock_monotonic_ns();
	for (size_t i = 0; i < 2; i++) {
		struct issuer_job job = { .kind = ISSUER_SERVICE_ACCOUNT, .pair = &pairs[i] };

		assert_int_equal(issuer_run(issuer, &job, 1, NULL, &err), 0);
	}
	with = clock_monotonic_ns() - begin;
	wait_for_stock(issuer, 2);
	issuer_free(issuer);

	options.rsa_stock = 0;
	issuer = issuer_new(&options, &err);
	begin = clock_monotonic_ns();
	{
		struct issuer_job job = { .kind = ISSUER_SERVICE_ACCOUNT, .pair = &pairs[2] };

		assert_int_equal(issuer_run(issuer, &job, 1, NULL, &err), 0);
	}
	without = clock_monotonic_ns() - begin;
	(void)printf("service-account key: %.2f ms from the stock, %.2f ms made on demand\n", (double)with / 2e6, (double)without / 1e6);
	assert_string_not_equal(pairs[0].key.data, pairs[1].key.data);
	for (size_t i = 0; i < 3; i++)
		certificate_pair_free(&pairs[i]);
	issuer_free(issuer);
}

static void test_failure_leaves_nothing(void **state)
{
	struct issuer_options options = { .threads = 1 };
	struct certificate_pair good CERTIFICATE_PAIR_CLEANUP = { 0 }, bad CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_pair slow CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct issuer_job jobs[] = {
		{ .kind = ISSUER_SERVICE_ACCOUNT, .pair = &slow },
		{ .kind = ISSUER_AUTHORITY, .algorithm = KEY_ECDSA_P256, .common_name = "ca", .pair = &good },
		{ .kind = ISSUER_AUTHORITY, .algorithm = KEY_ECDSA_P256, .common_name = "", .pair = &bad },
	};
	struct error err = { 0 };
	struct issuer *issuer = issuer_new(&options, &err);

	assert_int_equal(issuer_run(issuer, jobs, ARRAY_LENGTH(jobs), NULL, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_int_equal(good.key.length + good.certificate.length + bad.key.length + slow.key.length, 0);
	issuer_free(issuer);
}

static void test_cancel_and_deadline(void **state)
{
	struct issuer_options options = { .threads = 1 };
	struct certificate_pair pair CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct issuer_job job = { .kind = ISSUER_AUTHORITY, .algorithm = KEY_RSA_4096, .common_name = "ca", .pair = &pair };
	struct error err = { 0 };
	struct issuer *issuer = issuer_new(&options, &err);
	struct cancel *cancel = cancel_new(NULL, UINT64_MAX);

	cancel_trigger(cancel);
	assert_int_equal(issuer_run(issuer, &job, 1, cancel, &err), -1);
	assert_int_equal(err.class, ERROR_CANCELLED);
	cancel_free(cancel);
	cancel = cancel_new(NULL, clock_monotonic_ms() + 1);
	assert_int_equal(issuer_run(issuer, &job, 1, cancel, &err), -1);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	cancel_free(cancel);
	assert_int_equal(pair.key.length, 0);
	issuer_free(issuer);
}

struct crowd {
	struct issuer *issuer;
	int failures;
};

static void *crowd_member(void *argument)
{
	struct crowd *crowd = argument;
	struct certificate_pair pair CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct issuer_job job = { .kind = ISSUER_SERVICE_ACCOUNT, .pair = &pair };
	struct check_reason reason;
	struct error err = { 0 };

	if (issuer_run(crowd->issuer, &job, 1, NULL, &err) ||
	    !check_service_account(NULL, pem_text(&pair.certificate), pem_text(&pair.key), &reason))
		__atomic_add_fetch(&crowd->failures, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void test_many_callers(void **state)
{
	struct issuer_options options = { .threads = 2, .rsa_stock = 1 };
	struct error err = { 0 };
	struct crowd crowd = { .issuer = issuer_new(&options, &err) };
	pthread_t threads[6];

	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
		assert_int_equal(thread_start(&threads[i], "crowd", crowd_member, &crowd, &err), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.failures, 0);
	wait_for_stock(crowd.issuer, 1);
	issuer_free(crowd.issuer);
}

static void test_too_large_a_stock(void **state)
{
	struct issuer_options options = { .rsa_stock = 100000 };
	struct error err = { 0 };

	assert_null(issuer_new(&options, &err));
	assert_int_equal(err.class, ERROR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds_at_once),      cmocka_unit_test(test_stock_serves_and_refills),
		cmocka_unit_test(test_failure_leaves_nothing), cmocka_unit_test(test_cancel_and_deadline),
		cmocka_unit_test(test_many_callers),           cmocka_unit_test(test_too_large_a_stock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
