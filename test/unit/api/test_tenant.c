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

static struct arena *arena;

static json_t *read_yaml(const char *text)
{
	struct error err = { 0 };
	json_t *value = yaml_parse(text, strlen(text), &err);

	assert_string_equal(err.message, "");
	assert_non_null(value);
	return value;
}

static struct tenant_control_plane parse(const char *text)
{
	struct tenant_control_plane tenant;
	struct error err = { 0 };
	json_t *object JSON_CLEANUP = read_yaml(text);

	assert_int_equal(tenant_parse(arena, object, "default", &tenant, &err), 0);
	return tenant;
}

static void an_empty_spec_gets_every_default(void **state)
{
	struct tenant_control_plane tenant = parse("metadata: {name: a, namespace: n, uid: u}\n");

	assert_int_equal(tenant.replicas, 2);
	assert_int_equal(tenant.port, 6443);
	assert_string_equal(tenant.data_store, "default");
	assert_string_equal(tenant.schema, "u");
	assert_string_equal(tenant.user, "u");
	assert_string_equal(tenant.service_cidrs.items[0], "10.96.0.0/16");
	assert_string_equal(tenant.pod_cidrs.items[0], "10.244.0.0/16");
	assert_int_equal(tenant.dns_service_ips.count, 1);
	assert_string_equal(tenant.dns_service_ips.items[0], "10.96.0.10");
	assert_string_equal(tenant.cluster_domain, "cluster.local");
	assert_string_equal(json_string_at(tenant.deployment, "strategy.rollingUpdate.maxSurge"), "100%");
	assert_int_equal(json_array_size(json_at(tenant.spec, "kubernetes.admissionControllers")), 17);
	assert_null(tenant.konnectivity);
	assert_false(tenant.deleting);
}

static void dual_stack_addresses_follow_the_webhook(void **state)
{
	struct tenant_control_plane tenant =
		parse("metadata: {name: a, namespace: n}\n"
	              "spec: {networkProfile: {serviceCidrs: ['fd00:112::/112', 10.112.0.0/16, 10.112.0.0/16]}}\n");

	assert_int_equal(tenant.dns_service_ips.count, 3);
	assert_string_equal(tenant.dns_service_ips.items[0], "fd00:112::10");
	assert_string_equal(tenant.dns_service_ips.items[1], "10.112.0.10");
	/* Effective networks: sorted as text, without repeats. */
	assert_int_equal(tenant.service_cidrs.count, 2);
	assert_string_equal(tenant.service_cidrs.items[0], "10.112.0.0/16");
	assert_string_equal(tenant.service_cidrs.items[1], "fd00:112::/112");
}

static void the_last_byte_wraps_as_upstream_lets_it(void **state)
{
	struct tenant_control_plane tenant =
		parse("metadata: {name: a, namespace: n}\nspec: {networkProfile: {serviceCidr: 10.96.0.250/16}}\n");

	assert_string_equal(tenant.dns_service_ips.items[0], "10.96.0.4");
}

static void status_decides_schema_and_user(void **state)
{
	struct tenant_control_plane tenant = parse("metadata: {name: a, namespace: n, uid: u}\n"
	                                           "spec: {dataStoreSchema: s, dataStoreUsername: t}\n"
	                                           "status: {storage: {setup: {schema: old}}}\n");

	assert_string_equal(tenant.schema, "old");
	assert_string_equal(tenant.user, "t");
}

static void endpoints_follow_the_most_outward_name(void **state)
{
	static const struct {
		const char *spec, *wanted;
	} cases[] = {
		{ "{}", "10.0.0.1:6443" },
		{ "{networkProfile: {advertiseAddress: 192.0.2.1}}", "192.0.2.1:6443" },
		{ "{networkProfile: {advertiseAddress: 'fd00::1'}}", "[fd00::1]:6443" },
		{ "{controlPlane: {gateway: {hostname: g.example}}}", "g.example:6443" },
		{ "{controlPlane: {ingress: {hostname: 'i.example:443'}, gateway: {hostname: g.example}}}", "i.example:443" },
		{ "{controlPlane: {ingress: {hostname: i.example}}}", "i.example:6443" },
	};
	struct endpoint endpoint = { "10.0.0.1", 6443 };

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct tenant_control_plane tenant =
			parse(arena_printf(arena, "metadata: {name: a, namespace: n}\nspec: %s\n", cases[i].spec));

		assert_string_equal(tenant_kubeadm_endpoint(arena, &tenant, &endpoint), cases[i].wanted);
	}
}

static void endpoint_text_is_read_in_both_families(void **state)
{
	struct endpoint endpoint;
	struct error err;

	assert_int_equal(endpoint_parse(arena, "10.0.0.1:6443", &endpoint, &err), 0);
	assert_string_equal(endpoint.host, "10.0.0.1");
	assert_int_equal(endpoint_parse(arena, "[fd00::1]:31443", &endpoint, &err), 0);
	assert_string_equal(endpoint.host, "fd00::1");
	assert_int_equal(endpoint.port, 31443);
	assert_int_equal(endpoint_parse(arena, "", &endpoint, &err), -1);
	assert_int_equal(err.class, ERROR_PENDING);
}

static void konnectivity_is_completed(void **state)
{
	struct tenant_control_plane tenant = parse("metadata: {name: a, namespace: n}\nspec: {addons: {konnectivity: {}}}\n");

	assert_int_equal(json_integer_or(tenant.konnectivity, "server.port", 0), 8132);
	assert_string_equal(json_string_at(tenant.konnectivity, "agent.mode"), "DaemonSet");
	assert_string_equal(json_string_at(tenant.konnectivity, "agent.tolerations[0].key"), "CriticalAddonsOnly");
	assert_false(json_boolean_or(tenant.konnectivity, "agent.hostNetwork", true));
}

static void wrong_types_are_named(void **state)
{
	static const char *const texts[] = { "[]",
		                             "metadata: 1",
		                             "metadata: {name: a, namespace: n}\nspec: {networkProfile: 3}",
		                             "metadata: {name: a, namespace: n}\nspec: {controlPlane: {deployment: []}}",
		                             "metadata: {name: a}",
		                             "status: x" };

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		json_t *object JSON_CLEANUP = read_yaml(texts[i]);
		struct tenant_control_plane tenant;
		struct error err = { 0 };

		assert_int_equal(tenant_parse(arena, object, NULL, &tenant, &err), -1);
		assert_int_equal(err.class, ERROR_INVALID);
	}
}

static void the_object_read_is_not_changed(void **state)
{
	json_t *object JSON_CLEANUP = read_yaml("metadata: {name: a, namespace: n}\nspec: {networkProfile: {}}\n");
	json_t *before JSON_CLEANUP = json_deep_copy(object);
	struct tenant_control_plane tenant;
	struct error err;

	assert_int_equal(tenant_parse(arena, object, "x", &tenant, &err), 0);
	assert_true(json_equal(object, before));
}

static int setup(void **state)
{
	arena = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_spec_gets_every_default, setup, teardown),
		cmocka_unit_test_setup_teardown(dual_stack_addresses_follow_the_webhook, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_byte_wraps_as_upstream_lets_it, setup, teardown),
		cmocka_unit_test_setup_teardown(status_decides_schema_and_user, setup, teardown),
		cmocka_unit_test_setup_teardown(endpoints_follow_the_most_outward_name, setup, teardown),
		cmocka_unit_test_setup_teardown(endpoint_text_is_read_in_both_families, setup, teardown),
		cmocka_unit_test_setup_teardown(konnectivity_is_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_types_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(the_object_read_is_not_changed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
