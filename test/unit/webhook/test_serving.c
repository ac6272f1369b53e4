/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a serving certificate over years of an injected clock, and what is written into webhook configurations. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "pki/certificate.h"
#include "pki/check.h"
#include "webhook/registration.h"
#include "webhook/serving_state.h"

enum { DAY = 24 * 3600, YEAR = 365 * DAY };

static int64_t wall_seconds = INT64_C(1900000000);

static int64_t wall_micros(void)
{
	return wall_seconds * 1000000;
}

static uint64_t monotonic_ns(void)
{
	return (uint64_t)wall_seconds * 1000000000;
}

static int use_clock(void **state)
{
	clock_set_for_test(monotonic_ns, wall_micros);
	return 0;
}

static int leave_clock(void **state)
{
	clock_set_for_test(NULL, NULL);
	return 0;
}

static const char *const sans[] = { "hook.ns.svc", "127.0.0.1", NULL };

static bool advance(struct serving_state *state, bool published, int64_t *next)
{
	const struct serving_plan plan = { .common_name = "hook", .sans = sans, .lifetime_seconds = YEAR, .published = published };
	struct error err = { 0 };
	bool changed = false;

	if (serving_state_advance(state, &plan, &changed, next, &err) < 0)
		fail_msg("%s", err.message);
	return changed;
}

static bool serves(const struct serving_state *state, const struct buffer *trusted)
{
	struct check_reason reason;

	return check_certificate(NULL,
	                         &(struct check_certificate){ .certificate = pem_text(&state->certificate),
	                                                      .key = pem_text(&state->key),
	                                                      .authority = pem_text(trusted),
	                                                      .usage = CERTIFICATE_SERVER_AUTH,
	                                                      .sans = sans },
	                         &reason);
}

static char *copy_of(const struct buffer *buffer)
{
	return string_ndup(buffer->data, buffer->length);
}

static void a_certificate_is_renewed_by_its_authority(void **state)
{
	SERVING_STATE_CLEANUP struct serving_state serving = { 0 };
	int64_t next = 0;

	assert_true(advance(&serving, false, &next));
	assert_true(serves(&serving, &serving.authorities));
	assert_true(next > wall_seconds + YEAR / 2 && next < wall_seconds + YEAR);
	assert_false(advance(&serving, false, &next));
	FREE_CLEANUP char *authorities = copy_of(&serving.authorities), *certificate = copy_of(&serving.certificate);

	wall_seconds = next + 1;
	assert_true(serves(&serving, &serving.authorities));
	assert_true(advance(&serving, true, &next));
	assert_string_equal(serving.authorities.data, authorities);
	assert_string_not_equal(serving.certificate.data, certificate);
	assert_true(serves(&serving, &serving.authorities));
}

static void a_new_authority_is_published_before_it_signs(void **state)
{
	SERVING_STATE_CLEANUP struct serving_state serving = { 0 };
	BUFFER_CLEANUP struct buffer old = { 0 };
	int64_t next = 0;

	(void)advance(&serving, false, &next);
	for (int i = 0; i < 35; i++) { /* a quarter more, and the authority would end before a new certificate */
		wall_seconds += YEAR / 4;
		(void)advance(&serving, true, &next);
	}
	(void)buffer_append(&old, serving.authorities.data, serving.authorities.length);
	wall_seconds += YEAR / 4 + DAY;
	FREE_CLEANUP char *before = copy_of(&serving.certificate);

	(void)advance(&serving, false, &next);
	assert_true(serving.authorities.length > old.length);
	assert_true(serves(&serving, &old)); /* those who know the old one only */
	assert_string_equal(serving.certificate.data, before);
	assert_true(advance(&serving, true, &next));
	assert_string_not_equal(serving.certificate.data, before);
	assert_false(serves(&serving, &old));
	assert_true(serves(&serving, &serving.authorities));
}

static void nothing_is_waited_for_when_nothing_serves(void **state)
{
	SERVING_STATE_CLEANUP struct serving_state serving = { 0 };
	int64_t next = 0;

	(void)advance(&serving, false, &next);
	wall_seconds += 20 * YEAR; /* everything has ended */
	assert_true(advance(&serving, false, &next));
	assert_true(serves(&serving, &serving.authorities));
}

static void a_secret_carries_it(void **state)
{
	SERVING_STATE_CLEANUP struct serving_state serving = { 0 }, back = { 0 };
	int64_t next = 0;
	struct error err = { 0 };

	(void)advance(&serving, false, &next);
	JSON_CLEANUP json_t *secret = json_build("{s:o}", "data", serving_state_data(&serving));

	assert_int_equal(serving_state_read(&back, secret, &err), 0);
	assert_string_equal(back.authorities.data, serving.authorities.data);
	assert_string_equal(back.authority_key.data, serving.authority_key.data);
	assert_string_equal(back.certificate.data, serving.certificate.data);
	assert_string_equal(back.key.data, serving.key.data);
	json_put_string(json_object_get(secret, "data"), "x", "y");
	json_object_set_new(json_object_get(secret, "data"), "tls.crt", json_string_new("***"));
	assert_int_equal(serving_state_read(&back, secret, &err), -1);
	assert_non_null(strstr(err.message, "tls.crt"));
}

static json_t *object_of(const char *text)
{
	struct error err = { 0 };
	json_t *object = yaml_parse(text, strlen(text), &err);

	assert_non_null(object);
	return object;
}

static void only_our_stanzas_are_written(void **state)
{
	static const char text[] = "metadata: {resourceVersion: '7', annotations: {cert-manager.io/inject-ca-from: a/b}}\n"
				   "webhooks:\n"
				   "- clientConfig: {service: {name: other, namespace: ns, path: /x}}\n"
				   "- clientConfig: {service: {name: hook, namespace: ns, path: /y}}\n";
	JSON_CLEANUP json_t *object = object_of(text);
	struct registration registration = { .authorities = "PEM", .namespace_name = "ns", .service = "hook", .url = "" };
	JSON_CLEANUP json_t *operations = registration_operations(object, &registration);
	FREE_CLEANUP char *said = json_text(operations);

	assert_string_equal(said, "[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},"
	                          "{\"op\":\"add\",\"path\":\"/webhooks/1/clientConfig/caBundle\",\"value\":\"UEVN\"}]");
	json_put_string(json_at(object, "webhooks[1].clientConfig"), "caBundle", "UEVN");
	JSON_CLEANUP json_t *done = registration_operations(object, &registration);

	assert_int_equal(json_array_size(done), 0);
	registration.foreign = true;
	registration.authorities = "other";
	JSON_CLEANUP json_t *left = registration_operations(object, &registration);

	assert_int_equal(json_array_size(left), 0);
}

static void a_url_takes_the_place_of_the_service(void **state)
{
	JSON_CLEANUP json_t *object = object_of("metadata: {resourceVersion: '7'}\n"
	                                        "spec: {conversion: {strategy: Webhook, webhook: {clientConfig: {service: {name: hook, "
	                                        "namespace: ns, path: /convert}}}}}\n");
	const struct registration registration = {
		.authorities = "PEM", .namespace_name = "ns", .service = "hook", .url = "https://127.0.0.1:9443"
	};
	JSON_CLEANUP json_t *operations = registration_operations(object, &registration);

	assert_int_equal(json_array_size(operations), 2);
	assert_string_equal(json_string_at(operations, "[1].path"), "/spec/conversion/webhook/clientConfig");
	assert_string_equal(json_string_at(operations, "[1].value.url"), "https://127.0.0.1:9443/convert");
	json_put(object, "spec.conversion.webhook.clientConfig", json_incref(json_at(operations, "[1].value")));
	JSON_CLEANUP json_t *done = registration_operations(object, &registration);

	assert_int_equal(json_array_size(done), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_certificate_is_renewed_by_its_authority, use_clock, leave_clock),
		cmocka_unit_test_setup_teardown(a_new_authority_is_published_before_it_signs, use_clock, leave_clock),
		cmocka_unit_test_setup_teardown(nothing_is_waited_for_when_nothing_serves, use_clock, leave_clock),
		cmocka_unit_test_setup_teardown(a_secret_carries_it, use_clock, leave_clock),
		cmocka_unit_test(only_our_stanzas_are_written),
		cmocka_unit_test(a_url_takes_the_place_of_the_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
