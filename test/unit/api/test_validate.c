/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/tenant_control_plane.h"
#include "base/strings.h"
#include "base/yaml.h"

static json_t *tenant_with(struct arena *arena, const char *version, const char *spec)
{
	const char *text = arena_printf(arena, "metadata: {name: a, namespace: n}\nspec:\n  kubernetes: {version: '%s', kubelet: {}}\n%s",
	                                version, spec);
	struct error err = { 0 };
	json_t *value = yaml_parse(text, strlen(text), &err);

	assert_string_equal(err.message, "");
	return value;
}

struct validation {
	const char *version, *spec;
	const char *field; /* of the first problem; NULL: none */
	bool upstream, hint;
};

static void bad_input_names_field_and_remedy(void **state)
{
	static const struct validation cases[] = {
		{ "v1.36.0", "", NULL },
		{ "v1.36.9", "", NULL },
		{ "v1.30.2", "", NULL },
		{ "v1.37.0", "", "spec.kubernetes.version", true },
		{ "v1.36", "", "spec.kubernetes.version", true },
		{ "latest", "", "spec.kubernetes.version", true },
		{ "v1.36.0+k3s1", "", "spec.kubernetes.version" },
		{ "1.36.0", "", "spec.kubernetes.version", false, true },
		{ "v1.36.0", "  networkProfile: {port: 0}\n", "spec.networkProfile.port" },
		{ "v1.36.0", "  networkProfile: {port: -1}\n", "spec.networkProfile.port" },
		{ "v1.36.0", "  networkProfile: {port: 70000}\n", "spec.networkProfile.port" },
		{ "v1.36.0", "  networkProfile: {address: abc}\n", "spec.networkProfile.address" },
		{ "v1.36.0", "  networkProfile: {advertiseAddress: abc}\n", "spec.networkProfile.advertiseAddress" },
		{ "v1.36.0", "  networkProfile: {dnsServiceIPs: [192.0.2.1]}\n", "spec.networkProfile.dnsServiceIPs", true },
		{ "v1.36.0", "  networkProfile: {dnsServiceIPs: [x]}\n", "spec.networkProfile.dnsServiceIPs", true },
		{ "v1.36.0", "  networkProfile: {serviceCidrs: [10.0.0.0/16, 10.1.0.0/16]}\n", "spec.networkProfile.serviceCidrs" },
		{ "v1.36.0", "  networkProfile: {serviceCidrs: [abc]}\n", "spec.networkProfile.serviceCidrs", true },
		{ "v1.36.0", "  networkProfile: {podCidr: 10.96.0.0/12}\n", "spec.networkProfile.podCidrs" },
		{ "v1.36.0", "  networkProfile: {certSANs: ['*.a.example', 192.0.2.1, x]}\n", NULL },
		{ "v1.36.0", "  networkProfile: {certSANs: ['a_b']}\n", "spec.networkProfile.certSANs", true },
		{ "v1.36.0", "  controlPlane: {service: {serviceType: NodePort}}\n  networkProfile: {port: 30443}\n",
		  "spec.networkProfile.address" },
		{ "v1.36.0", "  controlPlane: {service: {serviceType: NodePort}}\n  networkProfile: {address: 192.0.2.1}\n",
		  "spec.networkProfile.port", false, true },
		{ "v1.36.0", "  controlPlane: {ingress: {}}\n", "spec.controlPlane.ingress.hostname" },
		{ "v1.36.0", "  controlPlane: {ingress: {hostname: a.b}, gateway: {hostname: a.b}}\n", "spec.controlPlane", true },
		{ "v1.36.0", "  controlPlane: {deployment: {replicas: -1}}\n", "spec.controlPlane.deployment.replicas", true },
		{ "v1.36.0", "  controlPlane: {deployment: {strategy: {type: Foo}}}\n", "spec.controlPlane.deployment.strategy.type" },
		{ "v1.36.0", "  controlPlane: {deployment: {podAdditionalMetadata: {labels: {kamaji.clastix.io/name: x}}}}\n",
		  "spec.controlPlane.deployment.podAdditionalMetadata.labels" },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalContainers: [{name: c}]}}\n",
		  "spec.controlPlane.deployment.additionalContainers" },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalContainers: [{name: kine}]}}\n", NULL },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalContainers: [{name: kube-apiserver, image: i}]}}\n",
		  "spec.controlPlane.deployment.additionalContainers" },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalContainers: [{name: a, image: i}, {name: a, image: i}]}}\n",
		  "spec.controlPlane.deployment.additionalContainers" },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalInitContainers: [{name: chmod, image: i}]}}\n", NULL },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalContainers: [{name: konnectivity-server, image: i}]}}\n", NULL },
		{ "v1.36.0",
		  "  controlPlane: {deployment: {additionalContainers: [{name: konnectivity-server, image: i}]}}\n"
		  "  addons: {konnectivity: {}}\n",
		  "spec.controlPlane.deployment.additionalContainers" },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalVolumes: [{name: etc-kubernetes-pki}]}}\n",
		  "spec.controlPlane.deployment.additionalVolumes" },
		{ "v1.36.0", "  controlPlane: {deployment: {additionalVolumeMounts: {scheduler: [{mountPath: /a}, {mountPath: /a}]}}}\n",
		  "spec.controlPlane.deployment.additionalVolumeMounts.scheduler" },
		{ "v1.36.0", "  dataStoreSchema: 'a-b;drop'\n", "spec.dataStoreSchema" },
		{ "v1.36.0", "  dataStoreOverrides: [{resource: /events, dataStore: a}, {resource: /events, dataStore: b}]\n",
		  "spec.dataStoreOverrides", true },
		{ "v1.36.0", "  addons: {konnectivity: {server: {port: 70000}}}\n", "spec.addons.konnectivity.server.port" },
		{ "v1.36.0", "  addons: {konnectivity: {server: {port: 6443}}}\n", "spec.addons.konnectivity.server.port" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct arena *arena ARENA_CLEANUP = arena_new();
		json_t *object JSON_CLEANUP = tenant_with(arena, cases[i].version, cases[i].spec);
		const struct field_problem *problem = tenant_validate(arena, object, NULL);

		if (!cases[i].field) {
			assert_null(problem);
			continue;
		}
		assert_non_null(problem);
		assert_string_equal(problem->field, cases[i].field);
		assert_int_equal(problem->upstream, cases[i].upstream);
		assert_int_equal(problem->hint, cases[i].hint);
		assert_false(string_empty(problem->remedy));
		assert_non_null(strstr(field_problems_text(arena, problem), problem->remedy));
		assert_int_equal(field_problems_blocking(problem) == NULL, cases[i].hint && !problem->next);
	}
}

static void versions_go_one_minor_at_a_time(void **state)
{
	static const struct {
		const char *from, *to;
		bool good;
	} cases[] = {
		{ "v1.35.0", "v1.36.0", true },  { "v1.35.2", "v1.35.1", true },  { "v1.34.0", "v1.36.0", false },
		{ "v1.36.0", "v1.35.9", false }, { "v1.36.0", "v1.37.0", false }, { "v1.36.0", "v1.36.0", true },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct arena *arena ARENA_CLEANUP = arena_new();
		json_t *before JSON_CLEANUP = tenant_with(arena, cases[i].from, "");
		json_t *after JSON_CLEANUP = tenant_with(arena, cases[i].to, "");
		const struct field_problem *problem = tenant_validate(arena, after, before);

		assert_int_equal(problem == NULL, cases[i].good);
		assert_true(cases[i].good || problem->upstream);
	}
}

static void a_long_name_is_refused_at_creation_only(void **state)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	json_t *object JSON_CLEANUP = tenant_with(arena, "v1.36.0", "");

	json_put_string(object, "metadata.name", "9-starts-with-a-digit");
	assert_string_equal(tenant_validate(arena, object, NULL)->field, "metadata.name");
	assert_null(tenant_validate(arena, object, object));
}

/* It becomes the value of a pod label, and the API server would refuse the Deployment for ever. */
static void a_data_store_name_must_fit_a_label(void **state)
{
	static const int lengths[] = { 63, 64 };

	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		struct arena *arena ARENA_CLEANUP = arena_new();
		json_t *object JSON_CLEANUP = tenant_with(arena, "v1.36.0", "");
		char name[80];
		const struct field_problem *problem;

		memset(name, 'd', sizeof(name));
		name[lengths[i]] = '\0';
		json_put_string(object, "spec.dataStore", name);
		problem = tenant_validate(arena, object, NULL);
		assert_int_equal(problem == NULL, lengths[i] <= 63);
		if (problem)
			assert_string_equal(problem->field, "spec.dataStore");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_input_names_field_and_remedy),
		cmocka_unit_test(versions_go_one_minor_at_a_time),
		cmocka_unit_test(a_long_name_is_refused_at_creation_only),
		cmocka_unit_test(a_data_store_name_must_fit_a_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
