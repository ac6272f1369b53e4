/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the controllers: patches, conditions, retry policy, addresses, due dates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/names.h"
#include "api/status.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "controllers/cluster_look.h"
#include "controllers/data_store_status.h"
#include "controllers/manager_context.h"
#include "controllers/manager_metrics.h"
#include "controllers/manager_probes.h"
#include "controllers/object_patch.h"
#include "controllers/worker_group.h"
#include "pki/certificate.h"
#include "pki/kubeconfig.h"

static json_t *parse(const char *text)
{
	struct error err;
	json_t *value = json_parse(text, strlen(text), &err);

	assert_non_null(value);
	return value;
}

static void check_difference(const char *stored, const char *wanted, const char *expected)
{
	JSON_CLEANUP json_t *from = parse(stored);
	JSON_CLEANUP json_t *to = parse(wanted);
	JSON_CLEANUP json_t *right = parse(expected);
	JSON_CLEANUP json_t *operations = json_array();

	object_patch_difference(from, to, "/status", operations);
	assert_true(json_equal(operations, right));
}

static void test_difference(void **state)
{
	check_difference("{\"a\":1,\"b\":{\"c\":2}}", "{\"a\":1,\"b\":{\"c\":2}}", "[]");
	check_difference("{\"a\":1,\"b\":{\"c\":2,\"d\":3}}", "{\"a\":1,\"b\":{\"c\":9}}",
	                 "[{\"op\":\"add\",\"path\":\"/status/b/c\",\"value\":9},{\"op\":\"remove\",\"path\":\"/status/b/d\"}]");
	check_difference("{}", "{\"a\":{\"b\":{}}}", "[{\"op\":\"add\",\"path\":\"/status/a\",\"value\":{\"b\":{}}}]");
	check_difference("{\"a\":[1,2]}", "{\"a\":[1,3]}", "[{\"op\":\"add\",\"path\":\"/status/a\",\"value\":[1,3]}]");
	check_difference("{\"a/b~c\":{\"b\":1}}", "{\"a/b~c\":2}", "[{\"op\":\"add\",\"path\":\"/status/a~1b~0c\",\"value\":2}]");
}

static void test_finalizers(void **state)
{
	JSON_CLEANUP json_t *object = parse("{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}");
	JSON_CLEANUP json_t *bare = parse("{\"metadata\":{}}");

	assert_true(object_has_finalizer(object, "b"));
	assert_false(object_has_finalizer(object, "c"));
	assert_false(object_has_finalizer(bare, "a"));
}

static uint64_t delay_of(enum error_class class, unsigned retry_after_ms)
{
	struct error err = { .class = class, .retry_after_ms = retry_after_ms };

	return worker_retry_delay(&err);
}

static void test_retry_follows_the_class(void **state)
{
	assert_int_equal(delay_of(ERROR_NONE, 0), UINT64_MAX);
	assert_int_equal(delay_of(ERROR_PENDING, 0), WORKER_PENDING_RECHECK_MS);
	assert_int_equal(delay_of(ERROR_TRANSIENT, 0), 0);
	assert_int_equal(delay_of(ERROR_CONFLICT, 0), 0);
	assert_int_equal(delay_of(ERROR_FORBIDDEN, 0), WORKER_FORBIDDEN_DELAY_MS);
	assert_int_equal(delay_of(ERROR_INVALID, 0), WORKER_INVALID_DELAY_MS);
	assert_int_equal(delay_of(ERROR_TRANSIENT, 1500), 1500);
}

static const char *condition_value(const json_t *status, const char *type, const char *member)
{
	return json_string_or(status_condition(status, type), member, "");
}

static void test_data_store_status(void **state)
{
	STRING_LIST_CLEANUP struct string_list users = { 0 };
	struct data_store_findings findings = { .used_by = &users,
		                                .connection_known = true,
		                                .connected = true,
		                                .connection_reason = "Connected",
		                                .connection_message = "the store answers" };
	JSON_CLEANUP json_t *good = data_store_status(NULL, &findings, 3, 1000);

	assert_true(json_boolean_or(good, "ready", false));
	assert_int_equal(json_integer_or(good, "observedGeneration", 0), 3);
	assert_null(json_at(good, "usedBy"));
	assert_string_equal(condition_value(good, CONDITION_DATA_STORE_VALIDATION, "reason"), "DataStoreIsValid");

	string_list_add(&users, "a/b");
	findings.connected = false;
	findings.connection_reason = "Unreachable";
	JSON_CLEANUP json_t *away = data_store_status(good, &findings, 3, 2000);

	/* An unreachable store stays ready: only references decide. */
	assert_true(json_boolean_or(away, "ready", false));
	assert_string_equal(condition_value(away, CONDITION_DATA_STORE_CONNECTION, "status"), "False");
	assert_string_equal(json_string_at(away, "usedBy[0]"), "a/b");
	/* What did not change keeps its time. */
	assert_string_equal(condition_value(away, CONDITION_DATA_STORE_VALIDATION, "lastTransitionTime"), "1970-01-01T00:16:40Z");
	assert_string_equal(condition_value(away, CONDITION_DATA_STORE_CONNECTION, "lastTransitionTime"), "1970-01-01T00:33:20Z");

	findings.invalid_reason = "TLSConfigurationValidationFailed";
	findings.invalid_message = "x";
	findings.deletion_refused = true;
	JSON_CLEANUP json_t *wrong = data_store_status(away, &findings, 4, 3000);

	assert_false(json_boolean_or(wrong, "ready", true));
	assert_string_equal(condition_value(wrong, CONDITION_DATA_STORE_VALIDATION, "status"), "False");
	assert_string_equal(condition_value(wrong, CONDITION_DATA_STORE_DELETION, "reason"), "DataStoreStillUsed");
}

static void test_same_findings_same_status(void **state)
{
	STRING_LIST_CLEANUP struct string_list users = { 0 };
	const struct data_store_findings findings = { .used_by = &users };
	JSON_CLEANUP json_t *first = data_store_status(NULL, &findings, 1, 1000);
	JSON_CLEANUP json_t *second = data_store_status(first, &findings, 1, 9000);

	assert_true(json_equal(first, second));
}

static bool served(const char *tenant_text, const char *deployment_text)
{
	JSON_CLEANUP json_t *tenant = parse(tenant_text);
	JSON_CLEANUP json_t *deployment = deployment_text ? parse(deployment_text) : NULL;

	return cluster_is_served(tenant, deployment);
}

static void test_which_tenants_are_served(void **state)
{
	assert_true(served("{\"metadata\":{}}", "{\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":1}}"));
	assert_false(served("{\"metadata\":{}}", "{\"spec\":{\"replicas\":2},\"status\":{}}"));
	assert_false(served("{\"metadata\":{}}", "{\"spec\":{\"replicas\":0},\"status\":{\"readyReplicas\":1}}"));
	assert_false(
		served("{\"metadata\":{\"deletionTimestamp\":\"t\"}}", "{\"spec\":{\"replicas\":1},\"status\":{\"readyReplicas\":1}}"));
	assert_false(served("{\"metadata\":{}}", NULL));
}

static void test_addresses(void **state)
{
	struct error err = { 0 };
	char *host = NULL;
	uint16_t port;

	assert_int_equal(manager_probes_parse_address(":8080", "--x", &host, &port, &err), 0);
	assert_string_equal(host, "");
	assert_int_equal(port, 8080);
	free(host);
	host = NULL;
	assert_int_equal(manager_probes_parse_address("[::1]:81", "--x", &host, &port, &err), 0);
	assert_string_equal(host, "::1");
	free(host);
	host = NULL;
	assert_int_equal(manager_probes_parse_address(":http", "--x", &host, &port, &err), -1);
	assert_int_equal(manager_probes_parse_address(":70000", "--x", &host, &port, &err), -1);
	free(host);
}

static void test_tenant_key(void **state)
{
	JSON_CLEANUP json_t *object = parse("{\"metadata\":{\"namespace\":\"n\",\"labels\":{\"kamaji.clastix.io/name\":\"t\"}}}");
	JSON_CLEANUP json_t *foreign = parse("{\"metadata\":{\"namespace\":\"n\",\"labels\":{}}}");
	FREE_CLEANUP char *key = manager_context_tenant_key(object);

	assert_string_equal(key, "n/t");
	assert_null(manager_context_tenant_key(foreign));
}

static void put_base64(json_t *data, const char *key, const struct buffer *bytes)
{
	SECRET_CLEANUP char *text = base64_encode_new(bytes->data, bytes->length);

	(void)json_object_set_new(data, key, json_string_new(text));
}

/* A Secret's due date is that of its first certificate to end; CAs have none here; junk is no date. */
static void test_due_dates(void **state)
{
	struct error err = { 0 };
	KEY_CLEANUP struct key *key = NULL;
	CERTIFICATE_PAIR_CLEANUP struct certificate_pair ca = { 0 }, leaf = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer kubeconfig = { 0 };
	CERTIFICATE_AUTHORITY_CLEANUP struct certificate_authority *authority = NULL;
	JSON_CLEANUP json_t *data = json_object();
	int64_t now = clock_wall_seconds();
	const struct certificate_request request = { .common_name = "x", .usages = CERTIFICATE_CLIENT_AUTH, .not_after = now + 5000 };

	assert_int_equal(key_generate(KEY_ECDSA_P256, &key, &err), 0);
	assert_int_equal(key_write_private(key, &ca.key, &err), 0);
	assert_int_equal(certificate_create_authority("ca", key, &ca.certificate, &err), 0);
	assert_int_equal(certificate_authority_open(pem_text(&ca.certificate), pem_text(&ca.key), &authority, &err), 0);
	assert_int_equal(certificate_issue(authority, &request, key, &leaf.certificate, &err), 0);
	kubeconfig_write(&(struct kubeconfig_content){ .server = "https://h:1",
	                                               .cluster = "c",
	                                               .user = "x",
	                                               .authority = pem_text(&ca.certificate),
	                                               .certificate = pem_text(&leaf.certificate),
	                                               .key = pem_text(&ca.key) },
	                 &kubeconfig);

	put_base64(data, "ca.crt", &ca.certificate);
	assert_int_equal(manager_metrics_not_after(data), 0);
	put_base64(data, "server.key", &ca.key);
	put_base64(data, "tls.crt", &ca.certificate);
	assert_true(manager_metrics_not_after(data) > now + 5000);
	put_base64(data, "admin.conf", &kubeconfig);
	assert_int_equal(manager_metrics_not_after(data), now + 5000);
	(void)json_object_set_new(data, "apiserver.crt", json_string("!!!"));
	assert_int_equal(manager_metrics_not_after(data), now + 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_finalizers),
		cmocka_unit_test(test_retry_follows_the_class),
		cmocka_unit_test(test_data_store_status),
		cmocka_unit_test(test_same_findings_same_status),
		cmocka_unit_test(test_which_tenants_are_served),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_tenant_key),
		cmocka_unit_test(test_due_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
