/* SPDX-License-Identifier: Apache-2.0 */
/* TLSRoutes, what is recorded of them, and where clients reach them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "pass_fixture.h"

static const char spec[] =
	"  controlPlane: {gateway: {hostname: t.example.com, parentRefs: [{name: edge, namespace: infra, sectionName: api}]}}\n"
	"  addons: {konnectivity: {}}\n";
static struct fixture fixture;
static const json_t *gateways[2];

static json_t *parse(const char *text)
{
	struct error err = { 0 };
	json_t *value = yaml_parse(text, strlen(text), &err);

	assert_non_null(value);
	return value;
}

/* A route as it is once a Gateway controller has seen it; `reference` is YAML of the parentRef's members. */
static json_t *taken(const char *name, const char *reference, const char *accepted)
{
	char *text FREE_CLEANUP = string_printf("{metadata: {name: %s, namespace: n, uid: u}, spec: {hostnames: [t.example.com]}, status: "
	                                        "{parents: [{parentRef: {%s}, controllerName: example.com/c, conditions: [{type: "
	                                        "Accepted, status: '%s'}]}]}}",
	                                        name, reference, accepted);
	return parse(text);
}

static json_t *gateway(const char *programmed)
{
	char *text FREE_CLEANUP =
		string_printf("{metadata: {name: edge, namespace: infra, uid: g}, status: {conditions: [{type: Programmed, status: "
	                      "'%s'}]}, spec: {listeners: [{name: api, port: 6443, protocol: TLS}, {name: konnectivity-server, port: "
	                      "8132, protocol: TLS}, {name: web, port: 443, protocol: HTTPS}]}}",
	                      programmed);
	return parse(text);
}

static int run(json_t *route, json_t *konnectivity_route, json_t *edge)
{
	struct error err = { 0 };

	fixture.input.route = route;
	fixture.input.konnectivity_route = konnectivity_route;
	gateways[0] = edge;
	fixture.input.gateways = gateways;
	fixture.input.gateway_count = edge ? 1 : 0;
	return fixture_run(&fixture, &err);
}

static json_t *points(const char *path)
{
	char *whole FREE_CLEANUP = string_printf("%s.accessPoints", path);

	return json_at(fixture.pass->status, whole);
}

static int start(void **state)
{
	fixture_open(&fixture, spec);
	fixture.options.gateway_served = true;
	return 0;
}

static int end(void **state)
{
	fixture_close(&fixture);
	return 0;
}

static void the_konnectivity_route_follows_the_main_one(void **state)
{
	json_t *main JSON_CLEANUP = taken("t", "name: edge, namespace: infra, sectionName: api", "True"), *found;

	assert_int_equal(run(NULL, NULL, NULL), -1);
	assert_string_equal(fixture.pass->blocked.step, "gateway_routes");
	assert_non_null(fixture_object(&fixture, OBJECT_TLS_ROUTE, "t"));
	assert_null(fixture_object(&fixture, OBJECT_TLS_ROUTE, "t-konnectivity"));
	assert_int_equal(run(main, NULL, NULL), -1);
	assert_string_equal(fixture.pass->blocked.step, "konnectivity_gateway_routes");
	assert_string_equal(fixture.pass->blocked.reason, "RoutePending");
	found = fixture_object(&fixture, OBJECT_TLS_ROUTE, "t-konnectivity");
	assert_string_equal(json_string_at(found, "spec.parentRefs[0].sectionName"), "konnectivity-server");
	assert_int_equal(json_integer_or(found, "spec.parentRefs[0].port", 0), 8132);
	assert_int_equal(json_integer_or(found, "spec.rules[0].backendRefs[0].port", 0), 8132);
	assert_string_equal(json_string_at(found, "spec.hostnames[0]"), "t.example.com");
}

static void access_points_are_the_listeners_that_the_route_is_on(void **state)
{
	json_t *main JSON_CLEANUP = taken("t", "name: edge, namespace: infra, sectionName: api", "True");
	json_t *other JSON_CLEANUP = taken("t-konnectivity", "name: edge, namespace: infra, port: 8132", "True");
	json_t *edge JSON_CLEANUP = gateway("True");
	const char *status = "kubernetesResources.gateway", *konnectivity = "addons.konnectivity.gateway";

	assert_int_equal(run(main, other, edge), 0);
	assert_int_equal(json_array_size(points(status)), 1);
	assert_string_equal(json_string_at(json_array_get(points(status), 0), "value"), "https://t.example.com:6443");
	assert_string_equal(json_string_at(json_array_get(points(status), 0), "type"), "Hostname");
	assert_int_equal(json_integer_or(json_array_get(points(status), 0), "port", 0), 6443);
	assert_int_equal(json_array_size(points(konnectivity)), 1);
	assert_string_equal(json_string_at(json_array_get(points(konnectivity), 0), "value"), "https://t.example.com:8132");
	assert_string_equal(json_string_at(fixture.pass->status, "addons.konnectivity.gateway.routeRef.name"), "t-konnectivity");
	assert_string_equal(json_string_at(fixture.pass->status, "kubernetesResources.gateway.routeRef.name"), "t");
}

static void without_a_section_every_tls_listener_counts(void **state)
{
	json_t *main JSON_CLEANUP = taken("t", "name: edge, namespace: infra", "True");
	json_t *edge JSON_CLEANUP = gateway("True");

	(void)run(main, NULL, edge);
	assert_int_equal(json_array_size(points("kubernetesResources.gateway")), 2); /* not the HTTPS one */
}

static void what_cannot_be_resolved_gives_none(void **state)
{
	static const struct {
		const char *reference, *accepted, *programmed;
	} cases[] = {
		{ "name: edge, namespace: infra", "False", "True" },
		{ "name: edge, namespace: infra", "True", "False" },
		{ "name: edge", "True", "True" }, /* the route's own namespace */
		{ "name: other, namespace: infra", "True", "True" },
		{ "name: edge, namespace: infra, sectionName: web", "True", "True" },
		{ "name: edge, namespace: infra, sectionName: api, port: 8132", "True", "True" },
		{ "name: edge, namespace: infra, kind: Service, group: ''", "True", "True" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_t *main JSON_CLEANUP = taken("t", cases[i].reference, cases[i].accepted);
		json_t *edge JSON_CLEANUP = gateway(cases[i].programmed);

		(void)run(main, NULL, edge);
		assert_non_null(json_at(fixture.pass->status, "kubernetesResources.gateway.parents"));
		assert_null(points("kubernetesResources.gateway"));
	}
}

static void all_of_it_goes_with_the_gateway(void **state)
{
	json_t *main JSON_CLEANUP = taken("t", "name: edge, namespace: infra, sectionName: api", "True");
	json_t *other JSON_CLEANUP = taken("t-konnectivity", "name: edge, namespace: infra, port: 8132", "True");
	json_t *edge JSON_CLEANUP = gateway("True");
	size_t removed = 0;

	assert_int_equal(run(main, other, edge), 0);
	fixture_settle(&fixture);
	for (json_t **route = (json_t *[]){ main, other, NULL }; *route; route++)
		json_put(*route, "metadata.ownerReferences", json_build("[{s:s,s:b}]", "uid", "uid-1", "controller", 1));
	fixture.tenant.gateway = NULL;
	fixture.tenant.gateway_hostname = "";
	assert_int_equal(run(main, other, edge), 0);
	for (size_t i = 0; i < fixture.pass->object_count; i++)
		removed += fixture.pass->objects[i].kind == OBJECT_TLS_ROUTE && !fixture.pass->objects[i].object;
	assert_int_equal(removed, 2);
	assert_null(json_at(fixture.pass->status, "kubernetesResources.gateway"));
	assert_null(json_at(fixture.pass->status, "addons.konnectivity.gateway"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_konnectivity_route_follows_the_main_one, start, end),
		cmocka_unit_test_setup_teardown(access_points_are_the_listeners_that_the_route_is_on, start, end),
		cmocka_unit_test_setup_teardown(without_a_section_every_tls_listener_counts, start, end),
		cmocka_unit_test_setup_teardown(what_cannot_be_resolved_gives_none, start, end),
		cmocka_unit_test_setup_teardown(all_of_it_goes_with_the_gateway, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
