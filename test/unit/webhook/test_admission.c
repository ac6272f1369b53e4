/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/base64.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "webhook/admission.h"

#define GOOD \
	"metadata: {name: a, namespace: n}\n" \
	"spec:\n" \
	"  dataStore: default\n" \
	"  controlPlane: {deployment: {replicas: 1}, service: {serviceType: ClusterIP}}\n" \
	"  kubernetes: {version: v1.35.0, kubelet: {}}\n" \
	"  networkProfile: {port: 6443, serviceCidr: 10.96.0.0/16, podCidr: 10.244.0.0/16, serviceCidrs: [10.96.0.0/16], podCidrs: " \
	"[10.244.0.0/16], dnsServiceIPs: [10.96.0.10]}\n"

static const char *driver(const char *name, struct arena *arena, void *argument)
{
	if (string_equal(name, "pg"))
		return "PostgreSQL";
	return string_has_prefix(name, "default") ? "etcd" : NULL;
}

static int gateway(bool *group, bool *tls_route, struct cancel *cancel, void *argument, struct error *err)
{
	*group = true;
	*tls_route = false;
	return 0;
}

static int deployment(const json_t *tenant, struct cancel *cancel, void *argument, struct error *err)
{
	++*(int *)argument;
	return error_set(err, ERROR_INVALID, "spec.template: no");
}

static int deployments_tried;
static const struct admission admission = { .default_data_store = "default",
	                                    .data_store_driver = driver,
	                                    .gateway_served = gateway,
	                                    .check_deployment = deployment,
	                                    .argument = &deployments_tried };

static json_t *tenant_of(const char *text, const char *path, const char *value)
{
	struct error err = { 0 };
	json_t *tenant = yaml_parse(text, strlen(text), &err);

	assert_non_null(tenant);
	json_object_set_new(tenant, "kind", json_string_new("TenantControlPlane"));
	if (path) {
		json_t *member = yaml_parse(value, strlen(value), &err);

		assert_non_null(member);
		json_put(tenant, path, member);
	}
	return tenant;
}

/* The response member; takes the objects. */
static json_t *ask(const char *path, const char *operation, json_t *object, json_t *old)
{
	JSON_CLEANUP json_t *review = json_build("{s:s,s:s,s:{s:s,s:s,s:{s:s},s:o*,s:o*}}", "apiVersion", "admission.k8s.io/v1", "kind",
	                                         "AdmissionReview", "request", "uid", "u-1", "operation", operation, "kind", "kind",
	                                         "TenantControlPlane", "object", object, "oldObject", old);
	FREE_CLEANUP char *text = json_text(review);
	BUFFER_CLEANUP struct buffer body = { 0 };
	struct error err = { 0 };

	assert_int_equal(admission_answer(&admission, path, text, strlen(text), NULL, &body), 200);
	JSON_CLEANUP json_t *answer = json_parse(body.data, body.length, &err);

	assert_non_null(answer);
	assert_string_equal(json_string_at(answer, "response.uid"), "u-1");
	return json_incref(json_object_get(answer, "response"));
}

static json_t *patch_of(const json_t *response)
{
	const char *encoded = json_string_at(response, "patch");
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error err = { 0 };

	if (!encoded)
		return json_array();
	assert_int_equal(base64_decode(encoded, strlen(encoded), &text, &err), 0);
	return json_parse(text.data, text.length, &err);
}

static void defaults_are_patched_with_their_parents(void **state)
{
	static const char text[] = "metadata: {name: a}\nspec: {controlPlane: {service: {}}, networkProfile: {serviceCidrs: "
				   "['10.0.255.250/16', 'fd00::/112'], podCidr: 10.1.0.0/16}}\n";
	JSON_CLEANUP json_t *response = ask(ADMISSION_PATH_MUTATE, "CREATE", tenant_of(text, NULL, NULL), NULL);
	JSON_CLEANUP json_t *patch = patch_of(response);
	FREE_CLEANUP char *said = json_text(patch);

	assert_true(json_boolean_or(response, "allowed", false));
	assert_string_equal(json_string_at(response, "patchType"), "JSONPatch");
	assert_non_null(strstr(said, "{\"op\":\"add\",\"path\":\"/spec/controlPlane/deployment\",\"value\":{\"replicas\":2}}"));
	assert_non_null(strstr(said, "{\"op\":\"add\",\"path\":\"/spec/dataStore\",\"value\":\"default\"}"));
	assert_non_null(strstr(said, "{\"op\":\"add\",\"path\":\"/spec/networkProfile/podCidrs\",\"value\":[\"10.1.0.0/16\"]}"));
	assert_non_null(strstr(said, "\"value\":[\"10.0.255.4\",\"fd00::10\"]"));
	assert_int_equal(json_array_size(patch), 4);
}

static void nothing_to_default_is_no_patch(void **state)
{
	JSON_CLEANUP json_t *complete = ask(ADMISSION_PATH_MUTATE, "CREATE", tenant_of(GOOD, NULL, NULL), NULL);
	JSON_CLEANUP json_t *update = ask(ADMISSION_PATH_MUTATE, "UPDATE", tenant_of("metadata: {name: a}\nspec: {}\n", NULL, NULL), NULL);

	assert_null(json_object_get(complete, "patch"));
	assert_null(json_object_get(update, "patch"));
	assert_string_equal(json_string_at(update, "status.message"), "update operation allowed");
	assert_int_equal(json_integer_or(update, "status.code", 0), 200);
}

static void a_network_that_cannot_be_read_is_refused_by_defaulting(void **state)
{
	JSON_CLEANUP json_t *response =
		ask(ADMISSION_PATH_MUTATE, "CREATE", tenant_of(GOOD, "spec.networkProfile", "{serviceCidr: 10.0.0.0}"), NULL);

	assert_false(json_boolean_or(response, "allowed", true));
	assert_int_equal(json_integer_or(response, "status.code", 0), 403);
	assert_string_equal(json_string_at(response, "status.message"),
	                    "cannot define resulting DNS Service IP: invalid CIDR address: 10.0.0.0");
}

struct case_of_validation {
	const char *path, *value; /* the change */
	const char *create;       /* in the refusal on CREATE; NULL: allowed */
	const char *update;       /* in the refusal on UPDATE from GOOD */
	const char *warning;      /* in a warning of the update that leaves it as it was */
};

static const struct case_of_validation cases[] = {
	{ "metadata.name", "1a", "is invalid", NULL, NULL },
	{ "spec.kubernetes.version", "v1.36", "No Major.Minor.Patch elements found", "No Major.Minor.Patch elements found", NULL },
	{ "spec.kubernetes.version", "v1.37.0", "greater than the supported one, actually v1.36", "greater than the supported one (v1.36)",
	  NULL },
	{ "spec.kubernetes.version", "v1.36.9", NULL, NULL, NULL },
	{ "spec.kubernetes.version", "v1.35.9", NULL, NULL, NULL },
	{ "spec.kubernetes.version", "v1.34.0", NULL, "unable to downgrade a TenantControlPlane from 1.35.0 to 1.34.0", NULL },
	{ "spec.kubernetes.version", "v2.0.0", "greater", "greater", NULL },
	{ "spec.dataStore", "nope", "nope DataStore does not exist", "nope DataStore does not exist", "nope DataStore does not exist" },
	{ "spec.dataStore", "default2", NULL, NULL, NULL },
	{ "spec.dataStore", "pg", NULL, NULL, NULL }, /* nothing is stored yet */
	{ "spec.dataStoreOverrides", "[{resource: /events, dataStore: pg}]", "driver etcd", "driver etcd", "driver etcd" },
	{ "spec.dataStoreOverrides", "[{resource: /events, dataStore: later}]", NULL, NULL, "later" },
	{ "spec.networkProfile.dnsServiceIPs", "[10.1.1.1]", "\"10.1.1.1\" is not contained in any", "\"10.1.1.1\" is not contained in any",
	  "is not contained" },
	{ "spec.networkProfile.dnsServiceIPs", "[x]", "\"x\" is not a valid IP address", "\"x\" is not a valid IP address",
	  "is not a valid IP address" },
	{ "spec.networkProfile.serviceCidrs", "[10.99.0.0/16]", "is not contained", "is not contained", "is not contained" },
	{ "spec.networkProfile.certSANs", "['bad san!']", "spec.networkProfile.certSANs: Invalid value: \"bad san!\"", "bad san!",
	  "bad san!" },
	{ "spec.networkProfile.port", "70000", "spec.networkProfile.port", "spec.networkProfile.port", "spec.networkProfile.port" },
	{ "spec.controlPlane.gateway", "{hostname: a.b}", "has no TLSRoute", "has no TLSRoute", "has no TLSRoute" },
	{ "spec.controlPlane.deployment.strategy", "{type: Foo}", "\"Foo\" is unknown", "\"Foo\" is unknown", "Foo" },
};

static void expect_denied(const json_t *response, const char *text, const char *what)
{
	const char *message = json_string_or(response, "status.message", "");
	bool allowed = json_boolean_or(response, "allowed", false);

	if (allowed != (text == NULL) || (text && !strstr(message, text)))
		fail_msg("%s: %s, %s", what, allowed ? "allowed" : "denied", message);
}

static void what_is_new_is_refused_and_what_was_there_is_warned_of(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct case_of_validation *each = &cases[i];
		FREE_CLEANUP char *what = string_printf("%s: %s", each->path, each->value);
		JSON_CLEANUP json_t *create = ask(ADMISSION_PATH_VALIDATE, "CREATE", tenant_of(GOOD, each->path, each->value), NULL);
		JSON_CLEANUP json_t *update =
			ask(ADMISSION_PATH_VALIDATE, "UPDATE", tenant_of(GOOD, each->path, each->value), tenant_of(GOOD, NULL, NULL));
		json_t *other = tenant_of(GOOD, each->path, each->value);

		expect_denied(create, each->create, what);
		expect_denied(update, each->update, what);
		json_put(other, "spec.addons", json_object());
		JSON_CLEANUP json_t *kept = ask(ADMISSION_PATH_VALIDATE, "UPDATE", other, tenant_of(GOOD, each->path, each->value));
		FREE_CLEANUP char *said = json_text(kept);

		expect_denied(kept, NULL, what);
		if (each->warning && !strstr(said, each->warning))
			fail_msg("%s: no warning in %s", what, said);
	}
}

static void a_stuck_object_can_lose_its_finalizer(void **state)
{
	JSON_CLEANUP json_t *labelled = ask(ADMISSION_PATH_VALIDATE, "UPDATE", tenant_of(GOOD, "spec.dataStore", "gone"),
	                                    tenant_of(GOOD, "spec.dataStore", "gone"));
	json_t *deleting = tenant_of(GOOD, "spec.dataStore", "gone");

	assert_true(json_boolean_or(labelled, "allowed", false));
	json_put_string(deleting, "metadata.deletionTimestamp", "2026-01-01T00:00:00Z");
	JSON_CLEANUP json_t *response = ask(ADMISSION_PATH_VALIDATE, "UPDATE", deleting, tenant_of(GOOD, NULL, NULL));

	assert_true(json_boolean_or(response, "allowed", false));
}

static void data_stays_with_its_driver(void **state)
{
	static const char status[] = "{storage: {dataStoreName: default, driver: etcd}}";
	json_t *object = tenant_of(GOOD, "status", status);

	json_put_string(object, "spec.dataStore", "pg");
	JSON_CLEANUP json_t *response = ask(ADMISSION_PATH_VALIDATE, "UPDATE", object, tenant_of(GOOD, "status", status));

	expect_denied(response, "name a DataStore of the same driver", "driver");
}

static void overrides_need_a_main_store_of_etcd(void **state)
{
	static const char overrides[] = "[{resource: /events, dataStore: default}]";
	json_t *object = tenant_of(GOOD, "spec.dataStoreOverrides", overrides), *before;

	json_put_string(object, "spec.dataStore", "pg");
	JSON_CLEANUP json_t *created = ask(ADMISSION_PATH_VALIDATE, "CREATE", object, NULL);

	expect_denied(created, "overrides work beside etcd only", "created");
	before = tenant_of(GOOD, "spec.dataStoreOverrides", overrides);
	json_put_string(before, "spec.dataStore", "pg");
	object = json_deep_copy(before);
	json_put(object, "spec.controlPlane.deployment.replicas", json_integer(3));
	JSON_CLEANUP json_t *kept = ask(ADMISSION_PATH_VALIDATE, "UPDATE", object, before);
	FREE_CLEANUP char *told = json_text(json_object_get(kept, "warnings"));

	expect_denied(kept, NULL, "what was there is told");
	assert_non_null(strstr(told, "beside etcd only"));
}

static void the_deployment_is_tried_when_pods_are_extended(void **state)
{
	deployments_tried = 0;
	JSON_CLEANUP json_t *other = ask(ADMISSION_PATH_VALIDATE, "UPDATE", tenant_of(GOOD, "spec.controlPlane.deployment.replicas", "3"),
	                                 tenant_of(GOOD, NULL, NULL));

	expect_denied(other, NULL, "replicas");
	assert_int_equal(deployments_tried, 0);
	JSON_CLEANUP json_t *response =
		ask(ADMISSION_PATH_VALIDATE, "UPDATE", tenant_of(GOOD, "spec.controlPlane.deployment.additionalVolumes", "[{name: v}]"),
	            tenant_of(GOOD, NULL, NULL));

	expect_denied(response, "the resulting Deployment would be invalid: spec.template: no", "volumes");
	assert_int_equal(deployments_tried, 1);
}

static void tenants_paths_deny_all_but_connect(void **state)
{
	static const char *const paths[] = { ADMISSION_PATH_FREEZE, ADMISSION_PATH_WRITE_PERMISSION };

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		JSON_CLEANUP json_t *deny = ask(paths[i], "UPDATE", json_object(), json_object());
		JSON_CLEANUP json_t *connect = ask(paths[i], "CONNECT", NULL, NULL);

		assert_false(json_boolean_or(deny, "allowed", true));
		assert_true(json_boolean_or(connect, "allowed", false));
	}
	JSON_CLEANUP json_t *telemetry = ask(ADMISSION_PATH_TELEMETRY, "DELETE", NULL, NULL);

	assert_true(json_boolean_or(telemetry, "allowed", false));
}

static void what_is_no_review_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"kind\":\"AdmissionReview\"}",
		"{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\"}",
		"{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1beta1\",\"request\":{}}",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		BUFFER_CLEANUP struct buffer body = { 0 };

		assert_int_equal(admission_answer(&admission, ADMISSION_PATH_VALIDATE, texts[i], strlen(texts[i]), NULL, &body), 400);
		assert_true(body.length > 1);
	}
	BUFFER_CLEANUP struct buffer body = { 0 };

	assert_int_equal(admission_answer(&admission, "/nowhere", "{}", 2, NULL, &body), 404);
}

static void conversion_keeps_the_one_version(void **state)
{
	static const char text[] =
		"{\"kind\":\"ConversionReview\",\"apiVersion\":\"apiextensions.k8s.io/v1\",\"request\":{\"uid\":\"c\","
		"\"desiredAPIVersion\":\"%s\",\"objects\":[{\"apiVersion\":\"kamaji.clastix.io/v1alpha1\",\"spec\":{\"a\":1}}]}}";
	static const char *const wanted[] = { "kamaji.clastix.io/v1alpha1", "kamaji.clastix.io/v2" };

	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		BUFFER_CLEANUP struct buffer request = { 0 }, body = { 0 };
		struct error err = { 0 };

		(void)buffer_append(&request, text, strstr(text, "%s") - text);
		(void)buffer_append_string(&request, wanted[i]);
		(void)buffer_append_string(&request, strstr(text, "%s") + 2);
		assert_int_equal(admission_answer(&admission, ADMISSION_PATH_CONVERT, request.data, request.length, NULL, &body), 200);
		JSON_CLEANUP json_t *answer = json_parse(body.data, body.length, &err);

		assert_string_equal(json_string_at(answer, "response.uid"), "c");
		assert_string_equal(json_string_at(answer, "response.result.status"), i == 0 ? "Success" : "Failure");
		assert_int_equal(json_array_size(json_at(answer, "response.convertedObjects")), i == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_patched_with_their_parents),
		cmocka_unit_test(nothing_to_default_is_no_patch),
		cmocka_unit_test(a_network_that_cannot_be_read_is_refused_by_defaulting),
		cmocka_unit_test(what_is_new_is_refused_and_what_was_there_is_warned_of),
		cmocka_unit_test(a_stuck_object_can_lose_its_finalizer),
		cmocka_unit_test(data_stays_with_its_driver),
		cmocka_unit_test(overrides_need_a_main_store_of_etcd),
		cmocka_unit_test(the_deployment_is_tried_when_pods_are_extended),
		cmocka_unit_test(tenants_paths_deny_all_but_connect),
		cmocka_unit_test(what_is_no_review_is_refused),
		cmocka_unit_test(conversion_keeps_the_one_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
