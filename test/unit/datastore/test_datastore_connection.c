/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "datastore/driver.h"
#include "store_fixture.h"

/* Secrets as {"namespace/name": {"key": "text"}}. */
static int resolve(void *argument, const char *namespace_name, const char *name, const char *key, struct buffer *out, struct error *err)
{
	char *path FREE_CLEANUP = string_printf("%s/%s", namespace_name, name);
	const json_t *secret = json_object_get(argument, path), *value = json_object_get(secret, key);

	if (secret == NULL)
		return error_set(err, ERROR_NOT_FOUND, "Secret %s does not exist", path);
	if (value == NULL)
		return error_set(err, ERROR_NOT_FOUND, "Secret %s has no key %s", path, key);
	buffer_append(out, json_string_value(value), json_string_length(value));
	return 0;
}

static void test_inline_contents(void **state)
{
	struct store_fixture fixture STORE_FIXTURE_CLEANUP;
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };

	store_fixture_make(&fixture);
	store_fixture_connect(&fixture, "default", "etcd-0.etcd.svc:2379", &connection);
	assert_string_equal(connection.name, "default");
	assert_string_equal(connection.driver, "etcd");
	assert_int_equal(connection.endpoints.count, 1);
	assert_string_equal(connection.endpoints.items[0], "etcd-0.etcd.svc:2379");
	assert_string_equal(connection.authority_certificate.data, fixture.authority.certificate.data);
	assert_string_equal(connection.authority_key.data, fixture.authority.key.data);
	assert_string_equal(connection.client_certificate.data, fixture.client.certificate.data);
	assert_string_equal(connection.client_key.data, fixture.client.key.data);
	assert_int_equal(connection.username.length + connection.password.length, 0);
	assert_int_equal(strlen(connection.digest), 64);
}

static void test_references(void **state)
{
	struct store_fixture fixture STORE_FIXTURE_CLEANUP;
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };
	json_t *object JSON_CLEANUP = NULL, *secrets JSON_CLEANUP = NULL;
	struct error err = { 0 };

	store_fixture_make(&fixture);
	object = store_fixture_object(&fixture, "default", "10.0.0.1:2379");
	json_put(
		object, "spec.tlsConfig.certificateAuthority.privateKey",
		json_build("{s:{s:s, s:s, s:s}}", "secretReference", "name", "etcd-ca", "namespace", "kamaji-system", "keyPath", "ca.key"));
	secrets = json_build("{}");
	assert_int_equal(datastore_connection_read(object, resolve, secrets, &connection, &err), -1);
	assert_string_equal(err.message, "spec.tlsConfig.certificateAuthority.privateKey: Secret kamaji-system/etcd-ca does not exist");
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_null(connection.name);
	json_object_set_new(secrets, "kamaji-system/etcd-ca", json_build("{s:s}", "ca.crt", "x"));
	assert_int_equal(datastore_connection_read(object, resolve, secrets, &connection, &err), -1);
	assert_string_equal(err.message, "spec.tlsConfig.certificateAuthority.privateKey: Secret kamaji-system/etcd-ca has no key ca.key");
	json_object_set_new(secrets, "kamaji-system/etcd-ca", json_build("{s:s}", "ca.key", fixture.authority.key.data));
	assert_int_equal(datastore_connection_read(object, resolve, secrets, &connection, &err), 0);
	assert_string_equal(connection.authority_key.data, fixture.authority.key.data);
}

static void test_inline_beats_reference(void **state)
{
	struct store_fixture fixture STORE_FIXTURE_CLEANUP;
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };
	json_t *object JSON_CLEANUP = NULL;
	struct error err = { 0 };

	store_fixture_make(&fixture);
	object = store_fixture_object(&fixture, "default", "10.0.0.1:2379");
	json_put(object, "spec.tlsConfig.certificateAuthority.privateKey.secretReference",
	         json_build("{s:s, s:s, s:s}", "name", "absent", "namespace", "x", "keyPath", "k"));
	assert_int_equal(datastore_connection_read(object, resolve, NULL, &connection, &err), 0);
}

static void expect_refusal(json_t *object, enum error_class class, const char *wanted)
{
	struct datastore_connection connection = { 0 };
	struct error err = { 0 };

	assert_int_equal(datastore_connection_read(object, resolve, NULL, &connection, &err), -1);
	if (strstr(err.message, wanted) == NULL || err.class != class)
		fail_msg("\"%s\" (%s) instead of \"%s\" (%s)", err.message, error_class_name(err.class), wanted, error_class_name(class));
	assert_null(connection.name);
	assert_null(strstr(err.message, "PRIVATE"));
	json_decref(object);
}

static json_t *changed(const struct store_fixture *fixture, const char *path, json_t *value)
{
	json_t *object = store_fixture_object(fixture, "default", "10.0.0.1:2379");

	json_put(object, path, value);
	return object;
}

static void test_refusals_name_the_field(void **state)
{
	struct store_fixture f STORE_FIXTURE_CLEANUP, other STORE_FIXTURE_CLEANUP;
	struct certificate_pair expired CERTIFICATE_PAIR_CLEANUP = { 0 };
	json_t *object;

	store_fixture_make(&f);
	store_fixture_make(&other);
	expect_refusal(changed(&f, "metadata.name", json_string_new("")), ERROR_INVALID, "metadata.name is required");
	expect_refusal(changed(&f, "spec.driver", json_null()), ERROR_INVALID, "spec.driver is required");
	expect_refusal(changed(&f, "spec.endpoints", json_array()), ERROR_INVALID, "spec.endpoints: at least one");
	expect_refusal(changed(&f, "spec.endpoints", json_build("[s, s]", "a:1", "https://b:2379")), ERROR_INVALID,
	               "spec.endpoints[1]: \"https://b:2379\" must be host:port without a scheme");
	expect_refusal(changed(&f, "spec.endpoints", json_build("[s]", "host")), ERROR_INVALID, "spec.endpoints[0]");
	expect_refusal(changed(&f, "spec.endpoints", json_build("[i]", 5)), ERROR_INVALID, "spec.endpoints[0]");
	expect_refusal(changed(&f, "spec.tlsConfig", json_null()), ERROR_INVALID, "spec.tlsConfig is required for etcd");
	expect_refusal(changed(&f, "spec.tlsConfig.certificateAuthority.privateKey", json_null()), ERROR_INVALID,
	               "spec.tlsConfig.certificateAuthority.privateKey is required");
	expect_refusal(changed(&f, "spec.tlsConfig.clientCertificate", json_null()), ERROR_INVALID,
	               "spec.tlsConfig.clientCertificate.certificate is required");
	expect_refusal(changed(&f, "spec.tlsConfig.clientCertificate.privateKey", json_build("{}")), ERROR_INVALID,
	               "spec.tlsConfig.clientCertificate.privateKey: neither content nor secretReference");
	expect_refusal(changed(&f, "spec.tlsConfig.clientCertificate.privateKey", json_build("{s:s}", "content", "%%%")), ERROR_INVALID,
	               "spec.tlsConfig.clientCertificate.privateKey: content is not valid base64");
	expect_refusal(changed(&f, "spec.tlsConfig.clientCertificate.privateKey", json_build("{s:{s:s}}", "secretReference", "name", "n")),
	               ERROR_INVALID, "secretReference needs name, namespace and keyPath");
	expect_refusal(changed(&f, "spec.tlsConfig.clientCertificate.privateKey", store_fixture_content(&other.client.key)), ERROR_INVALID,
	               "spec.tlsConfig.clientCertificate: key does not match");
	expect_refusal(changed(&f, "spec.tlsConfig.certificateAuthority.privateKey", store_fixture_content(&other.authority.key)),
	               ERROR_INVALID, "spec.tlsConfig.certificateAuthority: key does not match");
	expect_refusal(changed(&f, "spec.tlsConfig.certificateAuthority.certificate", json_build("{s:s}", "content", "anVuaw==")),
	               ERROR_INVALID, "spec.tlsConfig.certificateAuthority: no certificate in the PEM text");

	store_fixture_issue(&f, "root", clock_wall_seconds() - 60, &expired);
	object = changed(&f, "spec.tlsConfig.clientCertificate.privateKey", store_fixture_content(&expired.key));
	json_put(object, "spec.tlsConfig.clientCertificate.certificate", store_fixture_content(&expired.certificate));
	expect_refusal(object, ERROR_INVALID, "spec.tlsConfig.clientCertificate: expired on ");
}

static void test_sql_needs_less(void **state)
{
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };
	json_t *object JSON_CLEANUP =
		json_build("{s:{s:s}, s:{s:s, s:[s], s:{s:{s:s}, s:{s:s}}}}", "metadata", "name", "pg", "spec", "driver", "PostgreSQL",
	                   "endpoints", "pg:5432", "basicAuth", "username", "content", "a2FtYWpp", "password", "content", "c2VjcmV0");
	struct error err = { 0 };

	assert_int_equal(datastore_connection_read(object, resolve, NULL, &connection, &err), 0);
	assert_string_equal(connection.username.data, "kamaji");
	assert_string_equal(connection.password.data, "secret");
	assert_int_equal(connection.authority_certificate.length, 0);
	assert_null(datastore_driver_find(connection.driver, &err));
	assert_int_equal(err.class, ERROR_INVALID);
	assert_string_equal(err.message, "spec.driver: PostgreSQL is not supported by this build (supported: etcd)");
}

static void test_digest_follows_every_part(void **state)
{
	struct store_fixture f STORE_FIXTURE_CLEANUP;
	struct datastore_connection one DATASTORE_CONNECTION_CLEANUP = { 0 }, same DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore_connection moved DATASTORE_CONNECTION_CLEANUP = { 0 }, renewed DATASTORE_CONNECTION_CLEANUP = { 0 };

	store_fixture_make(&f);
	store_fixture_connect(&f, "a", "10.0.0.1:2379", &one);
	store_fixture_connect(&f, "a", "10.0.0.1:2379", &same);
	store_fixture_connect(&f, "a", "10.0.0.2:2379", &moved);
	certificate_pair_free(&f.client);
	store_fixture_issue(&f, "root", 0, &f.client);
	store_fixture_connect(&f, "a", "10.0.0.1:2379", &renewed);
	assert_string_equal(one.digest, same.digest);
	assert_string_not_equal(one.digest, moved.digest);
	assert_string_not_equal(one.digest, renewed.digest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inline_contents),        cmocka_unit_test(test_references),
		cmocka_unit_test(test_inline_beats_reference), cmocka_unit_test(test_refusals_name_the_field),
		cmocka_unit_test(test_sql_needs_less),         cmocka_unit_test(test_digest_follows_every_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
