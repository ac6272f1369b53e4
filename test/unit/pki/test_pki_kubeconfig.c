/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strings.h"
#include "pki/kubeconfig.h"

static void test_shape_is_upstreams(void **state)
{
	static const char wanted[] = "apiVersion: v1\n"
				     "clusters:\n"
				     "- cluster:\n"
				     "    certificate-authority-data: Q0E=\n"
				     "    server: https://127.0.0.1:6443\n"
				     "  name: plain\n"
				     "contexts:\n"
				     "- context:\n"
				     "    cluster: plain\n"
				     "    user: system:kube-scheduler\n"
				     "  name: system:kube-scheduler@plain\n"
				     "current-context: system:kube-scheduler@plain\n"
				     "kind: Config\n"
				     "users:\n"
				     "- name: system:kube-scheduler\n"
				     "  user:\n"
				     "    client-certificate-data: Q0VSVA==\n"
				     "    client-key-data: S0VZ\n";
	struct kubeconfig_content content = {
		.server = "https://127.0.0.1:6443",
		.cluster = "plain",
		.user = "system:kube-scheduler",
		.authority = pem_text_string("CA"),
		.certificate = pem_text_string("CERT"),
		.key = pem_text_string("KEY"),
	};
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };

	kubeconfig_write(&content, &text);
	assert_string_equal(text.data, wanted);
}

static void round_trip(const char *server, const char *cluster, const char *user)
{
	struct kubeconfig_content content = { .server = server,
		                              .cluster = cluster,
		                              .user = user,
		                              .authority = pem_text_string("CA\n"),
		                              .certificate = pem_text_string("CERT"),
		                              .key = pem_text_string("KEY") };
	struct kubeconfig_credentials found KUBECONFIG_CREDENTIALS_CLEANUP = { 0 };
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };
	char *context FREE_CLEANUP = string_printf("%s@%s", user, cluster);
	struct error err = { 0 };

	kubeconfig_write(&content, &text);
	if (kubeconfig_read(pem_text(&text), &found, &err))
		fail_msg("%s\n%s", err.message, text.data);
	assert_string_equal(found.server, server);
	assert_string_equal(found.cluster, cluster);
	assert_string_equal(found.user, user);
	assert_string_equal(found.context, context);
	assert_string_equal(found.authority.data, "CA\n");
	assert_string_equal(found.certificate.data, "CERT");
	assert_string_equal(found.key.data, "KEY");
}

static void test_round_trips(void **state)
{
	round_trip("https://10.96.171.202:6443", "minimal", "kubernetes-admin");
	round_trip("https://[fd00::1]:6443", "true", "system:konnectivity-server");
	round_trip("https://tenant.example.com:443", "1e3", "a: b # c");
	round_trip("https://x:1", "0123", "user \"quoted\" 'name'");
}

static void test_without_user(void **state)
{
	struct kubeconfig_content content = { .server = "https://x:1", .cluster = "c", .user = "u", .authority = pem_text_string("CA") };
	struct kubeconfig_credentials found KUBECONFIG_CREDENTIALS_CLEANUP = { 0 };
	struct buffer text BUFFER_CLEANUP = { 0 };
	struct error err = { 0 };

	kubeconfig_write(&content, &text);
	assert_non_null(strstr(text.data, "  user: {}\n"));
	assert_int_equal(kubeconfig_read(pem_text(&text), &found, &err), 0);
	assert_int_equal(found.certificate.length, 0);
	assert_int_equal(found.key.length, 0);
}

static void test_json_and_foreign_members(void **state)
{
	static const char text[] =
		"{\"kind\":\"Config\",\"apiVersion\":\"v1\",\"preferences\":{},\"current-context\":\"b\","
		"\"contexts\":[{\"name\":\"a\",\"context\":{\"cluster\":\"x\",\"user\":\"y\"}},{\"name\":\"b\",\"context\":{\"cluster\":"
		"\"x\",\"user\":\"y\",\"namespace\":\"n\"}}],"
		"\"clusters\":[{\"name\":\"x\",\"cluster\":{\"server\":\"https://s\",\"certificate-authority\":\"/etc/passwd\"}}],"
		"\"users\":[{\"name\":\"y\",\"user\":{\"token\":\"t\"}}]}";
	struct kubeconfig_credentials found KUBECONFIG_CREDENTIALS_CLEANUP = { 0 };
	struct error err = { 0 };

	assert_int_equal(kubeconfig_read(pem_text_string(text), &found, &err), 0);
	assert_string_equal(found.context, "b");
	assert_string_equal(found.server, "https://s");
	assert_int_equal(found.authority.length, 0); /* files are not followed */
}

static void test_malformed(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{ "[]", "not an object" },
		{ "a: [", "kubeconfig" },
		{ "kind: Pod\n", "kind is not Config" },
		{ "kind: Config\n", "current-context is missing" },
		{ "kind: Config\ncurrent-context: 5\n", "current-context is missing" },
		{ "kind: Config\ncurrent-context: c\n", "no entry \"c\" in contexts" },
		{ "kind: Config\ncurrent-context: c\ncontexts: {}\n", "no entry \"c\" in contexts" },
		{ "kind: Config\ncurrent-context: c\ncontexts: [5, {name: c}]\n", "has no member context" },
		{ "kind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: x}}]\n", "user is missing" },
		{ "kind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: x, user: y}}]\n",
		  "no entry \"x\" in clusters" },
		{ "kind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: x, user: y}}]\n"
		  "clusters: [{name: x, cluster: {certificate-authority-data: 7}}]\nusers: [{name: y, user: {}}]\n",
		  "certificate-authority-data is not a string" },
		{ "kind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: x, user: y}}]\n"
		  "clusters: [{name: x, cluster: {}}]\nusers: [{name: y, user: {client-key-data: \"?\"}}]\n",
		  "client-key-data is not valid base64" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct kubeconfig_credentials found = { 0 };
		struct error err = { 0 };

		assert_int_equal(kubeconfig_read(pem_text_string(cases[i].text), &found, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
		if (strstr(err.message, cases[i].wanted) == NULL)
			fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.message, cases[i].wanted);
		assert_null(found.context);
	}
}

static void test_certificate_alone(void **state)
{
	static const struct {
		const char *text, *certificate; /* NULL: none */
	} cases[] = {
		{ "{\"kind\":\"Config\",\"current-context\":\"a\",\"contexts\":[{\"name\":\"a\",\"context\":{\"cluster\":\"c\",\"user\":"
		  "\"u\"}}],"
		  "\"clusters\":[{\"name\":\"c\",\"cluster\":{}}],\"users\":[{\"name\":\"u\",\"user\":{\"client-certificate-data\":"
		  "\"Q0VSVA==\"}}]}",
		  "CERT" },
		/* Two users: the context chooses. */
		{ "kind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  "
		  "cluster: {}\n"
		  "users:\n- name: v\n  user:\n    client-certificate-data: T1RIRVI=\n- name: u\n  user:\n    client-certificate-data: "
		  "Q0VSVA==\n",
		  "CERT" },
		{ "kind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  "
		  "cluster: {}\n"
		  "users:\n- name: u\n  user: {}\n",
		  NULL },
		{ "client-certificate-data: %%\n", NULL },
		{ "client-certificate-data: Q0VSVA==", NULL },
		{ "client-certificate-data: ", NULL },
		{ "", NULL },
	};
	struct kubeconfig_content content = {
		.server = "https://x:1", .cluster = "c", .user = "u", .certificate = pem_text_string("CERT")
	};
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 }, written BUFFER_CLEANUP = { 0 };
	struct error err = { 0 };

	kubeconfig_write(&content, &text);
	assert_int_equal(kubeconfig_read_certificate(pem_text(&text), &written, &err), 0);
	assert_string_equal(written.data, "CERT");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buffer certificate BUFFER_CLEANUP = { 0 };
		int result = kubeconfig_read_certificate(pem_text_string(cases[i].text), &certificate, &err);

		assert_int_equal(result, cases[i].certificate != NULL ? 0 : -1);
		if (cases[i].certificate != NULL)
			assert_string_equal(certificate.data, cases[i].certificate);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape_is_upstreams),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_without_user),
		cmocka_unit_test(test_certificate_alone),
		cmocka_unit_test(test_json_and_foreign_members),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
