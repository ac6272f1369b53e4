/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/strings.h"
#include "pass_fixture.h"

static struct fixture fixture;

static void start(const char *spec)
{
	struct error err = { 0 };

	fixture_open(&fixture, spec);
	if (fixture_run(&fixture, &err) != 0)
		fail_msg("%s", err.message);
}

static const char *data_of(const char *secret, const char *key)
{
	return json_string_value(json_object_get(json_object_get(fixture_secret(&fixture, secret), "data"), key));
}

static void run_again(void)
{
	struct error err = { 0 };

	if (fixture_run(&fixture, &err) != 0)
		fail_msg("%s", err.message);
}

static void one_pass_makes_everything_and_the_next_changes_nothing(void **state)
{
	start("");
	assert_int_equal(fixture_changes(&fixture), 14); /* Service, ConfigMap, 11 Secrets, Deployment */
	assert_string_equal(json_string_at(fixture.pass->status, "controlPlaneEndpoint"), "10.96.7.7:6443");
	assert_string_equal(fixture.pass->grant->user, "uid-1");
	assert_int_equal(fixture.generated, 13);
	fixture_settle(&fixture);
	run_again();
	assert_int_equal(fixture_changes(&fixture), 0);
	assert_int_equal(fixture.generated, 13);
	assert_true(status_equal(fixture.pass->status, fixture.tenant.status, true));
}

static void kubeconfigs_and_certificates_follow_a_rotated_authority(void **state)
{
	static const char *const follow[] = { "t-api-server-certificate", "t-api-server-kubelet-client-certificate", "t-admin-kubeconfig",
		                              "t-controller-manager-kubeconfig", "t-scheduler-kubeconfig" };
	static const char *const stay[] = { "t-front-proxy-ca-certificate", "t-front-proxy-client-certificate", "t-sa-certificate",
		                            "t-datastore-certificate", "t-datastore-config" };

	start("");
	fixture_settle(&fixture);
	json_put(fixture_secret(&fixture, "t-ca"), "metadata.annotations",
	         json_build("{s:s,s:s}", ANNOTATION_CHECKSUM, "0", ANNOTATION_ROTATE, ""));
	run_again();
	for (size_t i = 0; i < ARRAY_LENGTH(follow); i++)
		assert_false(json_equal(json_object_get(fixture_object(&fixture, OBJECT_SECRET, follow[i]), "data"),
		                        json_object_get(fixture_secret(&fixture, follow[i]), "data")));
	for (size_t i = 0; i < ARRAY_LENGTH(stay); i++)
		assert_true(json_equal(json_object_get(fixture_object(&fixture, OBJECT_SECRET, stay[i]), "data"),
		                       json_object_get(fixture_secret(&fixture, stay[i]), "data")));
	assert_int_not_equal(strlen(json_string_value(json_object_get(
				     json_at(fixture_object(&fixture, OBJECT_SECRET, "t-ca"), "metadata.annotations"), ANNOTATION_ROTATE))),
	                     0);
	assert_true(fixture.pass->admin_kubeconfig_changed);
}

static void the_rotation_mark_stays_ours(void **state)
{
	start("");
	fixture_settle(&fixture);
	json_object_set_new(json_at(fixture_secret(&fixture, "t-sa-certificate"), "metadata.annotations"), ANNOTATION_ROTATE,
	                    json_string(""));
	run_again();
	fixture_settle(&fixture);
	run_again();
	assert_int_equal(fixture_changes(&fixture), 0);
	assert_non_null(json_object_get(json_at(fixture_object(&fixture, OBJECT_SECRET, "t-sa-certificate"), "metadata.annotations"),
	                                ANNOTATION_ROTATE));
}

/* Upstream's first file takes the request, and the other two stay. */
static void the_whole_admin_secret_is_rotated(void **state)
{
	static const char *const files[] = { KEY_ADMIN_CONF, KEY_ADMIN_SVC, KEY_SUPER_ADMIN_CONF, KEY_SUPER_ADMIN_SVC };

	start("");
	fixture_settle(&fixture);
	json_object_set_new(json_at(fixture_secret(&fixture, "t-admin-kubeconfig"), "metadata.annotations"), ANNOTATION_ROTATE,
	                    json_string(""));
	run_again();
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
		assert_string_not_equal(
			data_of("t-admin-kubeconfig", files[i]),
			json_string_value(json_object_get(
				json_object_get(fixture_object(&fixture, OBJECT_SECRET, "t-admin-kubeconfig"), "data"), files[i])));
}

static void a_new_host_name_is_in_the_certificate(void **state)
{
	start("  controlPlane: {ingress: {hostname: old.example.com}}\n");
	fixture_settle(&fixture);
	fixture.tenant.ingress_hostname = "new.example.com";
	run_again();
	/* ConfigMap, certificate, admin kubeconfig, Deployment (it carries the certificate's digest), Ingress. */
	assert_int_equal(fixture_changes(&fixture), 5);
	assert_string_not_equal(data_of("t-api-server-certificate", KEY_API_SERVER_CERTIFICATE),
	                        json_string_value(json_object_get(
					json_object_get(fixture_object(&fixture, OBJECT_SECRET, "t-api-server-certificate"), "data"),
					KEY_API_SERVER_CERTIFICATE)));
}

static void an_edited_kubeconfig_is_made_anew(void **state)
{
	start("");
	fixture_settle(&fixture);
	json_put_string(json_object_get(fixture_secret(&fixture, "t-admin-kubeconfig"), "data"), "extra", "eA==");
	run_again();
	assert_int_equal(fixture_changes(&fixture), 1);
	assert_string_not_equal(
		json_string_value(json_object_get(json_object_get(fixture_object(&fixture, OBJECT_SECRET, "t-admin-kubeconfig"), "data"),
	                                          "admin.conf")),
		data_of("t-admin-kubeconfig", "admin.conf"));
}

static void a_deleted_secret_comes_back_and_rolls_the_pods(void **state)
{
	json_t *before, *after;

	start("");
	fixture_settle(&fixture);
	before = json_at(fixture.input.deployment, "spec.template.metadata.labels");
	json_put_string(fixture_secret(&fixture, "t-api-server-certificate"), "metadata.name", "gone");
	run_again();
	assert_int_equal(fixture_changes(&fixture), 2);
	after = json_at(fixture_object(&fixture, OBJECT_DEPLOYMENT, "t"), "spec.template.metadata.labels");
	assert_string_not_equal(json_string_value(json_object_get(before, LABEL_HASH_PREFIX "api-server-certificate")),
	                        json_string_value(json_object_get(after, LABEL_HASH_PREFIX "api-server-certificate")));
	assert_string_equal(json_string_value(json_object_get(before, LABEL_HASH_PREFIX "ca")),
	                    json_string_value(json_object_get(after, LABEL_HASH_PREFIX "ca")));
}

static void the_password_survives_unless_the_secret_was_edited(void **state)
{
	const char *password;

	start("");
	fixture_settle(&fixture);
	run_again();
	password = data_of("t-datastore-config", KEY_DB_PASSWORD);
	assert_string_equal(json_string_at(fixture_object(&fixture, OBJECT_SECRET, "t-datastore-config"), "data.DB_PASSWORD"), password);
	json_put_string(json_object_get(fixture_secret(&fixture, "t-datastore-config"), "data"), KEY_DB_USER, "eA==");
	run_again();
	assert_string_not_equal(json_string_at(fixture_object(&fixture, OBJECT_SECRET, "t-datastore-config"), "data.DB_PASSWORD"),
	                        password);
}

static int64_t later_micros;

static int64_t later(void)
{
	return later_micros;
}

static void certificates_are_renewed_before_their_end(void **state)
{
	int64_t moment;

	start("");
	fixture_settle(&fixture);
	moment = pass_next_renewal(fixture.pass);
	assert_in_range(moment - clock_wall_seconds(), 363 * 86400, 365 * 86400);
	later_micros = (moment + 1) * 1000000;
	clock_set_for_test(NULL, later);
	fixture.input.now = moment + 1;
	run_again();
	clock_set_for_test(NULL, NULL);
	/* Three leaf certificates, three kubeconfig Secrets, the Deployment. */
	assert_int_equal(fixture_changes(&fixture), 7);
	assert_true(pass_next_renewal(fixture.pass) > moment);
}

static void a_new_address_reissues_what_names_it(void **state)
{
	json_t *service;

	start("");
	fixture_settle(&fixture);
	service = json_deep_copy(fixture.input.service);
	json_put_string(service, "spec.clusterIP", "10.96.8.8");
	fixture.input.service = service;
	run_again();
	/* ConfigMap, API server certificate, admin kubeconfig, Deployment; the components' kubeconfigs name the loopback address. */
	assert_int_equal(fixture_changes(&fixture), 4);
	json_decref(service);
}

static void exposure_waits_say_what_is_missing(void **state)
{
	static const struct {
		const char *spec, *reason;
		enum error_class class;
	} cases[] = {
		{ "  controlPlane: {service: {serviceType: LoadBalancer}}\n", "LoadBalancerPending", ERROR_PENDING },
		{ "  networkProfile: {port: 99999}\n", "InvalidSpec", ERROR_INVALID },
		{ "  networkProfile: {address: abc}\n", "InvalidSpec", ERROR_INVALID },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error err = { 0 };
		const json_t *condition;

		fixture_open(&fixture, cases[i].spec);
		assert_int_equal(fixture_run(&fixture, &err), -1);
		assert_int_equal(err.class, cases[i].class);
		assert_string_equal(fixture.pass->blocked.reason, cases[i].reason);
		pass_fail(fixture.pass, &err);
		condition = status_condition(fixture.pass->status, CONDITION_READY);
		assert_string_equal(json_string_at(condition, "status"), "False");
		assert_string_equal(json_string_at(condition, "reason"), cases[i].reason);
		fixture_close(&fixture);
	}
	fixture_open(&fixture, "");
}

static void a_load_balancer_gives_the_address(void **state)
{
	struct error err = { 0 };
	json_t *service;

	fixture_open(&fixture, "  controlPlane: {service: {serviceType: LoadBalancer}}\n");
	assert_int_equal(fixture_run(&fixture, &err), -1);
	service = json_deep_copy(fixture.input.service);
	json_put(service, "status.loadBalancer.ingress", json_build("[{s:s,s:[{s:i}]}]", "ip", "192.0.2.9", "ports", "port", 1));
	fixture.input.service = service;
	run_again();
	assert_string_equal(json_string_at(fixture.pass->status, "controlPlaneEndpoint"), "192.0.2.9:6443");
	assert_null(json_at(fixture.pass->status, "kubernetesResources.service.loadBalancer.ingress[0].ports"));
	json_put(service, "status.loadBalancer.ingress", json_build("[{s:s}]", "hostname", "lb.example"));
	assert_int_equal(fixture_run(&fixture, &err), -1);
	assert_string_equal(fixture.pass->blocked.reason, "LoadBalancerHostname");
	json_decref(service);
}

static void a_wrong_authority_of_the_store_is_named(void **state)
{
	static const char *const wrong[] = { "", "no pem", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n" };

	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct error err = { 0 };

		fixture_open(&fixture, "");
		fixture.input.data_store.ca_private_key = wrong[i];
		assert_int_equal(fixture_run(&fixture, &err), -1);
		assert_string_equal(fixture.pass->blocked.step, "datastore-certificate");
		assert_string_equal(fixture.pass->blocked.reason, "DataStoreInvalid");
		pass_fail(fixture.pass, &err);
		assert_non_null(
			strstr(json_string_at(status_condition(fixture.pass->status, CONDITION_READY), "message"), "DataStore default"));
		fixture_close(&fixture);
	}
	fixture_open(&fixture, "");
}

static void keys_made_elsewhere_are_waited_for(void **state)
{
	struct error err = { 0 };

	fixture_open(&fixture, "");
	fixture.fail_key_after = 4;
	assert_int_equal(fixture_run(&fixture, &err), -1);
	assert_int_equal(err.class, ERROR_PENDING);
	fixture.fail_key_after = 0;
	run_again();
}

static void guards_stop_skips_of_versions_and_moves_of_data(void **state)
{
	struct error err = { 0 };

	start("");
	fixture_settle(&fixture);
	fixture.tenant.installed_version = "v1.34.0";
	assert_int_equal(fixture_run(&fixture, &err), -1);
	assert_string_equal(fixture.pass->blocked.reason, "VersionSkew");
	fixture.tenant.installed_version = "v1.35.4";
	fixture.tenant.used_data_store = "other";
	assert_int_equal(fixture_run(&fixture, &err), -1);
	assert_string_equal(fixture.pass->blocked.reason, "MigrationNotSupported");
	assert_string_equal(fixture.pass->blocked.step, "migrate");
}

static int end(void **state)
{
	fixture_close(&fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(one_pass_makes_everything_and_the_next_changes_nothing, end),
		cmocka_unit_test_teardown(kubeconfigs_and_certificates_follow_a_rotated_authority, end),
		cmocka_unit_test_teardown(the_rotation_mark_stays_ours, end),
		cmocka_unit_test_teardown(the_whole_admin_secret_is_rotated, end),
		cmocka_unit_test_teardown(a_new_host_name_is_in_the_certificate, end),
		cmocka_unit_test_teardown(an_edited_kubeconfig_is_made_anew, end),
		cmocka_unit_test_teardown(a_deleted_secret_comes_back_and_rolls_the_pods, end),
		cmocka_unit_test_teardown(the_password_survives_unless_the_secret_was_edited, end),
		cmocka_unit_test_teardown(certificates_are_renewed_before_their_end, end),
		cmocka_unit_test_teardown(a_new_address_reissues_what_names_it, end),
		cmocka_unit_test_teardown(exposure_waits_say_what_is_missing, end),
		cmocka_unit_test_teardown(a_load_balancer_gives_the_address, end),
		cmocka_unit_test_teardown(a_wrong_authority_of_the_store_is_named, end),
		cmocka_unit_test_teardown(keys_made_elsewhere_are_waited_for, end),
		cmocka_unit_test_teardown(guards_stop_skips_of_versions_and_moves_of_data, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
