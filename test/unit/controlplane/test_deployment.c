/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/strings.h"
#include "pass_fixture.h"

static struct fixture fixture;

static json_t *render(const char *spec)
{
	struct error err = { 0 };

	fixture_open(&fixture, spec);
	if (fixture_run(&fixture, &err) != 0)
		fail_msg("%s", err.message);
	return fixture_object(&fixture, OBJECT_DEPLOYMENT, "t");
}

static json_t *named(const json_t *list, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (string_equal(json_string_at(item, "name"), name))
			return item;
	fail_msg("no %s", name);
	return NULL;
}

static json_t *container(const json_t *deployment, const char *name)
{
	return named(json_at(deployment, "spec.template.spec.containers"), name);
}

static bool has_argument(const json_t *deployment, const char *name, const char *argument)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(container(deployment, name), "args"), i, item)
		if (string_equal(json_string_value(item), argument))
			return true;
	return false;
}

/* Every key file a volume shows, as "secret/key". */
static bool volume_shows(const json_t *deployment, const char *volume, const char *key)
{
	char *text FREE_CLEANUP = json_text(named(json_at(deployment, "spec.template.spec.volumes"), volume));
	char *wanted FREE_CLEANUP = string_printf("\"key\":\"%s\"", key);

	return strstr(text, wanted) != NULL;
}

static void native_gives_ca_keys_only_to_the_signer(void **state)
{
	static const char *const trust[] = { "etc-ca-certificates", "usr-share-ca-certificates", "usr-local-share-ca-certificates" };
	json_t *deployment = render("");

	assert_false(volume_shows(deployment, "etc-kubernetes-pki", "ca.key"));
	assert_false(volume_shows(deployment, "etc-kubernetes-pki", "front-proxy-ca.key"));
	assert_true(volume_shows(deployment, "etc-kubernetes-pki", "sa.key"));
	assert_true(volume_shows(deployment, "controller-manager-pki", "ca.key"));
	assert_false(volume_shows(deployment, "controller-manager-pki", "front-proxy-ca.key"));
	for (size_t i = 0; i < ARRAY_LENGTH(trust); i++) {
		assert_true(volume_shows(deployment, trust[i], "ca.crt"));
		assert_false(volume_shows(deployment, trust[i], "ca.key"));
	}
}

static void native_starts_fast_and_stops_softly(void **state)
{
	static const char *const names[] = { "kube-apiserver", "kube-scheduler", "kube-controller-manager" };
	json_t *deployment = render("");

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		const json_t *one = container(deployment, names[i]);

		assert_int_equal(json_integer_or(one, "startupProbe.periodSeconds", 0), 1);
		assert_int_equal(json_integer_or(one, "startupProbe.failureThreshold", 0), 300);
		assert_true(json_integer_or(one, "livenessProbe.failureThreshold", 0) *
		                    json_integer_or(one, "livenessProbe.periodSeconds", 0) >=
		            60);
		assert_string_equal(json_string_at(one, "imagePullPolicy"), "IfNotPresent");
		assert_false(json_boolean_or(one, "securityContext.allowPrivilegeEscalation", true));
	}
	assert_true(has_argument(deployment, "kube-apiserver", "--shutdown-delay-duration=5s"));
	assert_false(json_boolean_or(deployment, "spec.template.spec.automountServiceAccountToken", true));
	assert_string_equal(json_string_value(json_object_get(json_at(deployment, "metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE)),
	                    "native");
	assert_null(json_object_get(json_at(deployment, "spec.template.metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE));
}

static void users_win_over_native_defaults(void **state)
{
	json_t *deployment = render("  controlPlane:\n"
	                            "    deployment:\n"
	                            "      serviceAccountName: own\n"
	                            "      containerSecurityContexts: {apiServer: {runAsUser: 7}}\n"
	                            "      extraArgs: {apiServer: ['--shutdown-delay-duration=1s', '--authorization-config=/x']}\n"
	                            "      probes: {startup: {periodSeconds: 9}, scheduler: {startup: {periodSeconds: 8}}}\n");

	assert_null(json_at(deployment, "spec.template.spec.automountServiceAccountToken"));
	assert_int_equal(json_integer_or(container(deployment, "kube-apiserver"), "securityContext.runAsUser", 0), 7);
	assert_null(json_at(container(deployment, "kube-apiserver"), "securityContext.capabilities"));
	assert_null(json_at(container(deployment, "kube-scheduler"), "securityContext"));
	assert_true(has_argument(deployment, "kube-apiserver", "--shutdown-delay-duration=1s"));
	assert_false(has_argument(deployment, "kube-apiserver", "--shutdown-delay-duration=5s"));
	assert_false(has_argument(deployment, "kube-apiserver", "--authorization-mode=Node,RBAC"));
	assert_int_equal(json_integer_or(container(deployment, "kube-apiserver"), "startupProbe.periodSeconds", 0), 9);
	assert_int_equal(json_integer_or(container(deployment, "kube-scheduler"), "startupProbe.periodSeconds", 0), 8);
}

static void a_found_deployment_keeps_its_profile(void **state)
{
	struct error err;
	json_t *deployment, *live = json_build("{s:{s:s}}", "metadata", "name", "t");

	fixture_open(&fixture, "");
	fixture.input.deployment = live;
	assert_int_equal(fixture_run(&fixture, &err), 0);
	deployment = fixture_object(&fixture, OBJECT_DEPLOYMENT, "t");
	assert_true(volume_shows(deployment, "etc-kubernetes-pki", "ca.key"));
	assert_null(json_at(deployment, "metadata.annotations"));
	/* Ours once, then rendered anew by upstream, which leaves the annotation: the template decides. */
	json_put(live, "metadata.annotations", json_build("{s:s}", ANNOTATION_TEMPLATE_PROFILE, "native"));
	assert_int_equal(fixture_run(&fixture, &err), 0);
	deployment = fixture_object(&fixture, OBJECT_DEPLOYMENT, "t");
	assert_true(volume_shows(deployment, "etc-kubernetes-pki", "ca.key"));
	assert_string_equal(json_string_value(json_object_get(json_at(deployment, "metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE)),
	                    "upstream");
	json_put(live, "spec.template.spec.volumes", json_build("[{s:s}]", "name", "controller-manager-pki"));
	assert_int_equal(fixture_run(&fixture, &err), 0);
	assert_false(volume_shows(fixture_object(&fixture, OBJECT_DEPLOYMENT, "t"), "etc-kubernetes-pki", "ca.key"));
	json_put(fixture.tenant.object, "metadata.annotations", json_build("{s:s}", ANNOTATION_TEMPLATE_PROFILE, "upstream"));
	assert_int_equal(fixture_run(&fixture, &err), 0);
	deployment = fixture_object(&fixture, OBJECT_DEPLOYMENT, "t");
	assert_true(volume_shows(deployment, "etc-kubernetes-pki", "ca.key"));
	/* Never on the pods: the mark alone would restart them. */
	assert_null(json_object_get(json_at(deployment, "spec.template.metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE));
	json_decref(live);
}

static void what_would_be_there_twice_is_named(void **state)
{
	static const struct {
		const char *spec, *words;
	} cases[] = {
		{ "{additionalContainers: [{name: kube-scheduler, image: i}]}", "container \"kube-scheduler\"" },
		{ "{additionalVolumes: [{name: etc-kubernetes-pki}]}", "volume \"etc-kubernetes-pki\"" },
		{ "{additionalVolumes: [{name: v}], additionalVolumeMounts: {apiServer: [{name: v, mountPath: /etc/kubernetes/pki}]}}",
		  "of container kube-apiserver the mount path \"/etc/kubernetes/pki\"" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *spec FREE_CLEANUP = string_printf("  controlPlane: {deployment: %s}\n", cases[i].spec);
		json_t *live JSON_CLEANUP = json_build("{s:{s:s}}", "metadata", "name", "t");
		struct error err = { 0 };

		fixture_open(&fixture, spec);
		fixture.input.deployment = live; /* what exists already is not held to the rules of creation */
		assert_int_equal(fixture_run(&fixture, &err), -1);
		assert_string_equal(fixture.pass->blocked.step, "deployment");
		assert_non_null(strstr(err.message, cases[i].words));
		if (i + 1 < ARRAY_LENGTH(cases))
			fixture_close(&fixture);
	}
}

static void foreign_flags_stay_and_removed_ones_go(void **state)
{
	struct error err;
	json_t *live, *arguments;

	render("  controlPlane: {deployment: {extraArgs: {apiServer: ['--v=4']}}}\n");
	fixture_settle(&fixture);
	live = (json_t *)fixture.input.deployment;
	arguments = json_object_get(container(live, "kube-apiserver"), "args");
	json_array_append_new(arguments, json_string("--somebody=else"));
	assert_int_equal(fixture_run(&fixture, &err), 0);
	assert_true(has_argument(fixture_object(&fixture, OBJECT_DEPLOYMENT, "t"), "kube-apiserver", "--somebody=else"));
	assert_int_equal(
		json_array_size(json_object_get(container(fixture_object(&fixture, OBJECT_DEPLOYMENT, "t"), "kube-apiserver"), "args")),
		json_array_size(arguments));
	/* The user takes the flag away: what was theirs goes, with the digest that told it from foreign ones. */
	json_object_del(fixture.tenant.deployment, "extraArgs");
	assert_int_equal(fixture_run(&fixture, &err), 0);
	assert_false(has_argument(fixture_object(&fixture, OBJECT_DEPLOYMENT, "t"), "kube-apiserver", "--v=4"));
}

static void managed_flags_cannot_be_overridden(void **state)
{
	json_t *deployment = render("  controlPlane:\n"
	                            "    deployment:\n"
	                            "      extraArgs:\n"
	                            "        apiServer: ['--secure-port=1', '--etcd-servers=x', '--a=1', '--a=2', '--tls-cert-file']\n"
	                            "        controllerManager: ['--leader-elect=false', '--flag']\n"
	                            "        scheduler: ['--leader-elect=false', '--v=1']\n");
	const json_t *arguments = json_object_get(container(deployment, "kube-apiserver"), "args");
	size_t count = json_array_size(arguments);

	assert_false(has_argument(deployment, "kube-apiserver", "--secure-port=1"));
	assert_false(has_argument(deployment, "kube-apiserver", "--tls-cert-file"));
	assert_string_equal(json_string_value(json_array_get(arguments, count - 2)), "--a=1");
	assert_string_equal(json_string_value(json_array_get(arguments, count - 1)), "--a=2");
	assert_true(has_argument(deployment, "kube-controller-manager", "--leader-elect=false"));
	assert_true(has_argument(deployment, "kube-controller-manager", "--flag"));
	assert_true(has_argument(deployment, "kube-scheduler", "--leader-elect=true"));
	assert_true(has_argument(deployment, "kube-scheduler", "--v=1"));
}

static void the_selector_label_is_kept(void **state)
{
	struct error err;

	fixture_open(&fixture, "  controlPlane: {deployment: {podAdditionalMetadata: {labels: {kamaji.clastix.io/name: x, own: y}}}}\n");
	fixture.input.deployment = NULL;
	assert_int_equal(fixture_run(&fixture, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	fixture.tenant.status = fixture.tenant.spec; /* a tenant that is there already is served as well as can be */
	assert_int_equal(fixture_run(&fixture, &err), 0);
	assert_string_equal(
		json_string_value(json_object_get(
			json_at(fixture_object(&fixture, OBJECT_DEPLOYMENT, "t"), "spec.template.metadata.labels"), LABEL_NAME)),
		"t");
}

static void phases_follow_the_deployment(void **state)
{
	static const struct {
		int replicas, ready, updated, total, unavailable, observed;
		const char *installed, *phase, *condition;
		bool limited;
	} cases[] = {
		{ 0, 0, 0, 0, 0, 1, "", PHASE_SLEEPING, "False" },
		{ 2, 0, 0, 0, 2, 1, "", PHASE_NOT_READY, "False" },
		{ 2, 1, 2, 2, 1, 1, "", PHASE_PROVISIONING, "False" },
		{ 2, 2, 2, 2, 0, 1, "", PHASE_READY, "True" },
		{ 2, 2, 2, 2, 0, 0, "v1.36.0", PHASE_UNKNOWN, "True" },
		{ 2, 2, 1, 3, 0, 1, "v1.35.0", PHASE_UPGRADING, "True" },
		{ 2, 2, 2, 2, 0, 1, "v1.36.0", PHASE_WRITE_LIMITED, "True", true },
		{ 2, 0, 0, 2, 2, 1, "v1.36.0", PHASE_NOT_READY, "False", true },
	};

	render("");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_t *live JSON_CLEANUP = json_build("{s:{s:i},s:{s:i},s:{s:i,s:i,s:i,s:i,s:i}}", "metadata", "generation", 1, "spec",
		                                       "replicas", cases[i].replicas, "status", "observedGeneration", cases[i].observed,
		                                       "readyReplicas", cases[i].ready, "updatedReplicas", cases[i].updated, "replicas",
		                                       cases[i].total, "unavailableReplicas", cases[i].unavailable);
		struct error err;

		fixture.tenant.replicas = cases[i].replicas;
		fixture.tenant.installed_version = cases[i].installed;
		fixture.tenant.write_limited = cases[i].limited;
		fixture.input.deployment = live;
		fixture.pass = pass_new(fixture.arena, &fixture.input);
		assert_int_equal(pass_refresh(fixture.pass, &err), 0);
		assert_string_equal(json_string_at(fixture.pass->status, "kubernetesResources.version.status"), cases[i].phase);
		assert_string_equal(json_string_at(status_condition(fixture.pass->status, CONDITION_READY), "status"), cases[i].condition);
		assert_string_equal(json_string_at(status_condition(fixture.pass->status, CONDITION_AVAILABLE), "status"),
		                    cases[i].ready > 0 ? "True" : "False");
		assert_int_equal(json_integer_or(fixture.pass->status, "kubernetesResources.deployment.readyReplicas", -1), cases[i].ready);
	}
	fixture.input.deployment = NULL;
}

static void konnectivity_comes_and_goes(void **state)
{
	struct error err;
	json_t *deployment = render("  addons: {konnectivity: {}}\n");
	size_t gone = 0;

	assert_true(has_argument(deployment, "konnectivity-server", "--agent-port=8132"));
	fixture_settle(&fixture);
	fixture.tenant.konnectivity = NULL;
	assert_int_equal(fixture_run(&fixture, &err), 0);
	for (size_t i = 0; i < fixture.pass->object_count; i++)
		gone += fixture.pass->objects[i].object == NULL;
	assert_int_equal(gone, 3);
	assert_int_equal(json_array_size(json_at(fixture_object(&fixture, OBJECT_SERVICE, "t"), "spec.ports")), 1);
	assert_false(json_boolean_or(fixture.pass->status, "addons.konnectivity.enabled", true));
	assert_int_equal(json_object_size(json_at(fixture.pass->status, "addons.konnectivity.certificate")), 0);
}

static int end(void **state)
{
	fixture_close(&fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(native_gives_ca_keys_only_to_the_signer, end),
		cmocka_unit_test_teardown(native_starts_fast_and_stops_softly, end),
		cmocka_unit_test_teardown(users_win_over_native_defaults, end),
		cmocka_unit_test_teardown(a_found_deployment_keeps_its_profile, end),
		cmocka_unit_test_teardown(what_would_be_there_twice_is_named, end),
		cmocka_unit_test_teardown(foreign_flags_stay_and_removed_ones_go, end),
		cmocka_unit_test_teardown(managed_flags_cannot_be_overridden, end),
		cmocka_unit_test_teardown(the_selector_label_is_kept, end),
		cmocka_unit_test_teardown(phases_follow_the_deployment, end),
		cmocka_unit_test_teardown(konnectivity_comes_and_goes, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
