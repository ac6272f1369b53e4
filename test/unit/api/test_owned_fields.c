/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/owned_fields.h"
#include "base/strings.h"
#include "base/yaml.h"

static json_t *read_yaml(const char *text)
{
	struct error err = { 0 };
	json_t *value = yaml_parse(text, strlen(text), &err);

	assert_string_equal(err.message, "");
	return value;
}

static void quantities_compare_by_amount(void **state)
{
	assert_true(quantity_equal("1Gi", "1024Mi"));
	assert_true(quantity_equal("0.5", "500m"));
	assert_true(quantity_equal("1e3", "1k"));
	assert_true(quantity_equal("1E", "1e18"));
	assert_true(quantity_equal("-1", "-1000m"));
	assert_true(quantity_equal("0", "0m"));
	assert_false(quantity_equal("1", "1m"));
	assert_false(quantity_equal("1Gi", "1G"));
	assert_false(quantity_equal("", ""));
	assert_false(quantity_equal("x", "x"));
	assert_false(quantity_equal("1e99", "1e99"));
}

static void wanted_fields_are_looked_for_as_the_server_stores_them(void **state)
{
	static const struct {
		const char *wanted, *live;
		bool match;
	} cases[] = {
		{ "{a: 1}", "{a: 1, b: 2}", true },
		{ "{a: 1, b: 2}", "{a: 1}", false },
		{ "{resources: {}}", "{}", true },
		{ "{args: [a]}", "{args: [a, b]}", false },
		{ "{args: [a, b]}", "{args: [b, a]}", false },
		{ "{limits: {cpu: 1, memory: 1Gi}}", "{limits: {cpu: '1', memory: 1024Mi}}", true },
		{ "{limits: {cpu: 1}}", "{limits: {cpu: '2'}}", false },
		{ "{emptyDir: {sizeLimit: 1Gi}}", "{emptyDir: {sizeLimit: 1024Mi}}", true },
		{ "{value: '1'}", "{value: 1}", false },
		{ "{containers: [{name: b, image: x}]}", "{containers: [{name: a}, {name: b, image: x, terminationMessagePath: t}]}",
		  true },
		{ "{containers: [{name: b, image: x}]}", "{containers: [{name: a}, {name: b, image: y}]}", false },
		{ "{containers: [{name: b}]}", "{containers: []}", false },
		{ "{ports: [{port: 1, protocol: TCP}]}", "{ports: [{port: 1, protocol: UDP}, {port: 1, protocol: TCP, nodePort: 5}]}",
		  true },
		{ "{ports: [{containerPort: 1}]}", "{ports: [{containerPort: 1, protocol: TCP}]}", true },
		{ "{volumeMounts: [{name: a, mountPath: /a, readOnly: false}]}", "{volumeMounts: [{name: a, mountPath: /a}]}", true },
		{ "{automountServiceAccountToken: false}", "{}", false },
		{ "{replicas: 0}", "{}", false },
		{ "{finalizers: [a]}", "{finalizers: [b, a]}", true },
		{ "{finalizers: [a]}", "{finalizers: [b]}", false },
		{ "{ownerReferences: [{uid: u, name: n}]}", "{ownerReferences: [{uid: v}, {uid: u, name: n}]}", true },
		{ "{a: {b: {}}}", "{a: {}}", true },
		{ "{a: 1}", "{a: null}", false },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_t *wanted JSON_CLEANUP = read_yaml(cases[i].wanted);
		json_t *live JSON_CLEANUP = read_yaml(cases[i].live);

		assert_int_equal(owned_fields_match(wanted, live), cases[i].match);
	}
	assert_false(owned_fields_match(NULL, NULL));
}

static const char live_text[] = "metadata:\n"
				"  name: a\n"
				"  labels: {x: y, foreign: z}\n"
				"  finalizers: [f]\n"
				"  managedFields:\n"
				"  - manager: kamaji\n"
				"    operation: Apply\n"
				"    fieldsV1:\n"
				"      'f:metadata': {'f:labels': {'f:x': {}}, 'f:finalizers': {'v:\"f\"': {}}}\n"
				"      'f:spec': {'f:containers': {'k:{\"name\":\"side\"}': {'.': {}, 'f:image': {}, 'f:name': {}}}, "
				"'f:ports': {'k:{\"port\":1,\"protocol\":\"TCP\"}': {'f:port': {}}}}\n"
				"  - manager: other\n"
				"    operation: Apply\n"
				"    fieldsV1: {'f:metadata': {'f:labels': {'f:foreign': {}}}}\n"
				"  - manager: kamaji\n"
				"    operation: Apply\n"
				"    subresource: status\n"
				"    fieldsV1: {'f:status': {'f:phase': {}}}\n"
				"spec: {containers: [{name: side, image: i}], ports: [{port: 1, protocol: TCP}]}\n";

static void what_we_own_and_want_no_more_is_seen(void **state)
{
	static const struct {
		const char *wanted;
		bool stale;
	} cases[] = {
		{ "{metadata: {labels: {x: y}, finalizers: [f]}, spec: {containers: [{name: side, image: i}], ports: [{port: 1}]}}",
		  false },
		{ "{metadata: {finalizers: [f]}, spec: {containers: [{name: side, image: i}], ports: [{port: 1}]}}", true },
		{ "{metadata: {labels: {x: y}}, spec: {containers: [{name: side, image: i}], ports: [{port: 1}]}}", true },
		{ "{metadata: {labels: {x: y}, finalizers: []}, spec: {containers: [{name: side, image: i}], ports: [{port: 1}]}}", true },
		{ "{metadata: {labels: {x: y}, finalizers: [f]}, spec: {containers: [{name: new, image: i}], ports: [{port: 1}]}}", true },
		{ "{metadata: {labels: {x: y}, finalizers: [f]}, spec: {containers: [{name: side}], ports: [{port: 1}]}}", true },
		{ "{metadata: {labels: {x: y}, finalizers: [f]}, spec: {containers: [{name: side, image: i}], ports: [{port: 2}]}}", true },
	};
	json_t *live JSON_CLEANUP = read_yaml(live_text);

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_t *wanted JSON_CLEANUP = read_yaml(cases[i].wanted);

		assert_int_equal(owned_fields_stale(wanted, live, "kamaji"), cases[i].stale);
		assert_false(owned_fields_stale(wanted, live, "nobody"));
		assert_int_equal(owned_fields_settled(wanted, live, "kamaji"), !cases[i].stale && owned_fields_match(wanted, live));
	}
}

static void strange_field_sets_do_no_harm(void **state)
{
	json_t *wanted JSON_CLEANUP = read_yaml("{spec: {a: 1, list: [1]}}");
	json_t *live JSON_CLEANUP = read_yaml(
		"{metadata: {managedFields: [1, {manager: kamaji, operation: Apply}, {manager: kamaji, operation: Apply, fieldsV1: [x]},"
		" {manager: kamaji, operation: Apply, fieldsV1: {'f:spec': {'q:': {}, 'i:0': {}, 'f:a': {'f:b': {}}, 'f:list': {'k:{': "
		"{}}}}}]},"
		" spec: {a: 1, list: [1]}}");

	assert_true(owned_fields_stale(wanted, live, "kamaji"));
	assert_true(owned_fields_match(wanted, live));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantities_compare_by_amount),
		cmocka_unit_test(wanted_fields_are_looked_for_as_the_server_stores_them),
		cmocka_unit_test(what_we_own_and_want_no_more_is_seen),
		cmocka_unit_test(strange_field_sets_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
