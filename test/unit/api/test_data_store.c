/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/data_store.h"
#include "base/strings.h"
#include "base/yaml.h"

static json_t *read_yaml(const char *text)
{
	struct error err = { 0 };
	json_t *value = yaml_parse(text, strlen(text), &err);

	assert_string_equal(err.message, "");
	return value;
}

#define REFERENCE(name, key) "{secretReference: {name: " name ", namespace: s, keyPath: " key "}}"
static const char etcd_text[] =
	"metadata: {name: default, finalizers: [kamaji.clastix.io/TenantControlPlane]}\n"
	"spec:\n"
	"  driver: etcd\n"
	"  endpoints: ['a:2379', 'b:2379']\n"
	"  tlsConfig:\n"
	"    certificateAuthority: {certificate: " REFERENCE("ca", "ca.crt") ", privateKey: " REFERENCE(
		"ca", "ca.key") "}\n"
				"    clientCertificate: {certificate: " REFERENCE("client", "tls.crt") ", privateKey: {content: a2V5}}\n"
												       "status: {ready: true}\n";

static void an_etcd_store_is_read(void **state)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	json_t *object JSON_CLEANUP = read_yaml(etcd_text);
	const char *secrets[DATA_STORE_REFERENCES];
	struct data_store store;
	struct error err;

	assert_int_equal(data_store_parse(arena, object, &store, &err), 0);
	assert_int_equal(store.driver, DATA_STORE_ETCD);
	assert_int_equal(store.endpoints.count, 2);
	assert_true(store.ready && store.has_tls && store.has_client_certificate && store.has_finalizer);
	assert_false(store.has_basic_auth || store.deleting);
	assert_int_equal(data_store_secrets(arena, &store, secrets), 2);
	assert_string_equal(secrets[0], "s/ca");
	assert_string_equal(secrets[1], "s/client");
	assert_null(data_store_validate(arena, object, object));
}

static void references_give_bytes_or_say_what_is_missing(void **state)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	json_t *object JSON_CLEANUP = read_yaml(etcd_text);
	json_t *secret JSON_CLEANUP = read_yaml("{data: {ca.crt: cGVt, bad: '***'}}");
	struct data_store store;
	const char *bytes;
	size_t length;
	struct error err;

	assert_int_equal(data_store_parse(arena, object, &store, &err), 0);
	assert_int_equal(content_reference_resolve(arena, &store.ca_certificate, secret, "CA", &bytes, &length, &err), 0);
	assert_string_equal(bytes, "pem");
	assert_int_equal(length, 3);
	assert_int_equal(content_reference_resolve(arena, &store.client_private_key, NULL, "key", &bytes, &length, &err), 0);
	assert_string_equal(bytes, "key");
	assert_int_equal(content_reference_resolve(arena, &store.ca_certificate, NULL, "CA", &bytes, &length, &err), -1);
	assert_int_equal(err.class, ERROR_PENDING);
	assert_non_null(strstr(err.message, "s/ca"));
	assert_int_equal(content_reference_resolve(arena, &store.ca_private_key, secret, "CA key", &bytes, &length, &err), -1);
	assert_non_null(strstr(err.message, "ca.key"));
	store.ca_certificate.key_path = "bad";
	assert_int_equal(content_reference_resolve(arena, &store.ca_certificate, secret, "CA", &bytes, &length, &err), -1);
	assert_int_equal(content_reference_resolve(arena, &store.username, NULL, "user", &bytes, &length, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
}

static void the_rules_of_the_schema_hold(void **state)
{
	static const struct {
		const char *spec, *field;
	} cases[] = {
		{ "{driver: etcd, endpoints: ['a:1']}", "spec.tlsConfig.certificateAuthority.certificate" },
		{ "{driver: Oracle, endpoints: ['a:1']}", "spec" },
		{ "{driver: etcd, endpoints: []}", "spec" },
		{ "{driver: MySQL, endpoints: ['a:1']}", "spec" },
		{ "{driver: MySQL, endpoints: ['a:1'], basicAuth: {username: {content: YQ==}, password: {}}}", "spec.basicAuth.password" },
		{ "{driver: MySQL, endpoints: ['a:1'], tlsConfig: {clientCertificate: {certificate: {}}}}",
		  "spec.tlsConfig.clientCertificate.certificate" },
		{ "{driver: NATS, endpoints: ['nats://a:1'], basicAuth: {username: {content: YQ==}, password: {content: YQ==}}}",
		  "spec.endpoints" },
		{ "{driver: NATS, endpoints: ['a'], basicAuth: {username: {content: YQ==}, password: {content: YQ==}}}", "spec.endpoints" },
		{ "{driver: NATS, endpoints: ['a:1'], basicAuth: {username: {content: '*'}, password: {content: YQ==}}}",
		  "spec.basicAuth.username" },
		{ "{driver: NATS, endpoints: ['a:1'], basicAuth: {username: {content: YQ==}, password: {secretReference: {keyPath: x}}}}",
		  "spec.basicAuth.password" },
		{ "{driver: PostgreSQL, endpoints: ['a:1'], basicAuth: {username: {content: YQ==}, password: {content: YQ==}}}", NULL },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct arena *arena ARENA_CLEANUP = arena_new();
		json_t *object JSON_CLEANUP = read_yaml(arena_printf(arena, "metadata: {name: d}\nspec: %s\n", cases[i].spec));
		const struct field_problem *problem = data_store_validate(arena, object, NULL);

		if (cases[i].field)
			assert_string_equal(problem->field, cases[i].field);
		else
			assert_null(problem);
	}
}

static void the_driver_cannot_change(void **state)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	json_t *object JSON_CLEANUP = read_yaml(etcd_text);
	json_t *before JSON_CLEANUP = read_yaml("{spec: {driver: MySQL}}");

	assert_string_equal(data_store_validate(arena, object, before)->field, "spec.driver");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_etcd_store_is_read),
		cmocka_unit_test(references_give_bytes_or_say_what_is_missing),
		cmocka_unit_test(the_rules_of_the_schema_hold),
		cmocka_unit_test(the_driver_cannot_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
