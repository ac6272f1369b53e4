/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "io/file.h"
#include "kube/config.h"
#include "kube/token_file.h"

static char folder[] = "/tmp/kube-config-XXXXXX";

static char *write_file(const char *name, const char *text)
{
	char *path = string_printf("%s/%s", folder, name);
	struct error err = { 0 };

	if (file_write_atomic(path, text, strlen(text), 0600, &err) != 0)
		abort();
	return path;
}

/* The usual kubeconfig, with the cluster's and user's bodies of the test. */
static char *text_of(const char *cluster, const char *user)
{
	return string_printf("apiVersion: v1\nkind: Config\ncurrent-context: main\n"
	                     "contexts:\n- name: main\n  context: {cluster: c, user: u, namespace: work}\n"
	                     "- name: bare\n  context: {cluster: c}\n"
	                     "clusters:\n- name: c\n  cluster: %s\nusers:\n- name: u\n  user: %s\n",
	                     cluster, user);
}

static struct kube_config *read_bytes(const char *cluster, const char *user, struct error *err)
{
	FREE_CLEANUP char *text = text_of(cluster, user);

	return kube_config_from_bytes(text, strlen(text), "secret x", NULL, err);
}

static void assert_refused(const char *cluster, const char *user, const char *first, const char *second)
{
	struct error err = { 0 };
	KUBE_CONFIG_CLEANUP struct kube_config *config = read_bytes(cluster, user, &err);

	assert_null(config);
	assert_int_equal(err.class, ERROR_INVALID);
	if (strstr(err.message, first) == NULL || strstr(err.message, second) == NULL)
		fail_msg("\"%s\" does not say %s and %s", err.message, first, second);
}

static void test_good(void **state)
{
	struct error err = { 0 };
	KUBE_CONFIG_CLEANUP struct kube_config *config =
		read_bytes("{server: 'https://[fd00::1]:6443/prefix/', certificate-authority-data: Q0E=, tls-server-name: api, proxy-url: "
	                   "'http://p:1'}",
	                   "{client-certificate-data: Q1JU, client-key-data: S0VZ, token: t0ken}", &err);

	assert_non_null(config);
	assert_string_equal(config->host, "fd00::1");
	assert_int_equal(config->port, 6443);
	assert_string_equal(config->path_prefix, "/prefix");
	assert_false(config->plaintext);
	assert_string_equal(config->namespace, "work");
	assert_string_equal(config->context, "main");
	assert_string_equal(config->user, "u");
	assert_string_equal(config->ca_pem, "CA");
	assert_string_equal(config->certificate_pem, "CRT");
	assert_string_equal(config->key_pem, "KEY");
	assert_string_equal(config->token, "t0ken");
	assert_string_equal(config->tls_server_name, "api");
	assert_string_equal(config->proxy_url, "http://p:1");
}

static void test_ports(void **state)
{
	struct error err = { 0 };
	KUBE_CONFIG_CLEANUP struct kube_config *config = read_bytes("{server: 'https://example'}", "{}", &err);
	KUBE_CONFIG_CLEANUP struct kube_config *loopback = read_bytes("{server: 'http://127.0.0.1:8080'}", "{}", &err);

	assert_int_equal(config->port, 443);
	assert_string_equal(config->path_prefix, "");
	assert_true(loopback->plaintext);
	assert_int_equal(loopback->port, 8080);
}

static void test_refused(void **state)
{
	static const char good[] = "{server: 'https://x'}";

	assert_refused("{}", "{}", "cluster \"c\"", "server is missing");
	assert_refused("{server: x}", "{}", "server \"x\"", "https://");
	assert_refused("{server: 'http://10.0.0.1'}", "{}", "http://", "loopback");
	assert_refused("{server: 'https://x:0'}", "{}", "port", "0");
	assert_refused("{server: 'https://x:99999'}", "{}", "port", "99999");
	assert_refused("{server: 'https://user@x'}", "{}", "server", "only scheme");
	assert_refused("{server: 'https://[::1'}", "{}", "bracket", "server");
	assert_refused("{server: 'https://'}", "{}", "server", "no host");
	assert_refused("{server: 'https://x', insecure-skip-tls-verify: true}", "{}", "insecure-skip-tls-verify",
	               "certificate-authority-data");
	assert_refused("{server: 'https://x', proxy-url: 'socks5://y'}", "{}", "proxy-url", "CONNECT");
	assert_refused("{server: 'https://x', certificate-authority: /etc/passwd}", "{}", "certificate-authority",
	               "certificate-authority-data");
	assert_refused(good, "{exec: {command: aws}}", "user \"u\": exec", "token");
	assert_refused(good, "{auth-provider: {name: gcp}}", "auth-provider", "token");
	assert_refused(good, "{username: a}", "username", "client certificate");
	assert_refused(good, "{as: root}", "as is not supported", "impersonation");
	assert_refused(good, "{client-certificate-data: Q1JU}", "client-key", "missing");
	assert_refused(good, "{client-key: /etc/shadow, client-certificate-data: Q1JU}", "client-key", "client-key-data");
	assert_refused(good, "{tokenFile: /etc/shadow}", "tokenFile", "token");
	assert_refused(good, "{token: \"a\\nb\"}", "token", "line break");
	assert_refused(good, "{client-certificate-data: AA==, client-key-data: AA==}", "client-certificate-data", "PEM");
}

static void test_not_a_kubeconfig(void **state)
{
	static const char *const texts[] = {
		"", "[]", "just text", "{kind: Pod}", "{clusters: {}}", "{}", "a: b: c", "{current-context: x}"
	};

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct error err = { 0 };

		assert_null(kube_config_from_bytes(texts[i], strlen(texts[i]), "source", NULL, &err));
		assert_non_null(strstr(err.message, "source"));
	}
}

static void test_context_choice(void **state)
{
	FREE_CLEANUP char *text = text_of("{server: 'https://x'}", "{token: a}");
	struct error err = { 0 };
	KUBE_CONFIG_CLEANUP struct kube_config *bare = kube_config_from_bytes(text, strlen(text), "s", "bare", &err);

	assert_non_null(bare);
	assert_null(bare->token);
	assert_string_equal(bare->namespace, "default");
	assert_null(kube_config_from_bytes(text, strlen(text), "s", "absent", &err));
	assert_non_null(strstr(err.message, "context \"absent\" does not exist"));
}

/* The first file that says something wins, as with kubectl; paths are relative to their own file. */
static void test_merge(void **state)
{
	FREE_CLEANUP char *first = write_file("first", "current-context: a\nclusters:\n- name: c\n  cluster: {server: 'https://first'}\n");
	FREE_CLEANUP char *ca = write_file("ca.pem", "CA of the second");
	FREE_CLEANUP char *second =
		write_file("second", "current-context: b\nclusters:\n- name: c\n  cluster: {server: 'https://second'}\n"
	                             "- name: d\n  cluster: {server: 'https://d', certificate-authority: ca.pem}\n"
	                             "contexts:\n- name: a\n  context: {cluster: c, user: u}\n- name: b\n  context: {cluster: d, user: u}\n"
	                             "users:\n- name: u\n  user: {tokenFile: token}\n");
	FREE_CLEANUP char *empty = write_file("empty", "");
	FREE_CLEANUP char *list = string_printf("%s/absent:%s:%s::%s", folder, first, empty, second);
	FREE_CLEANUP char *token = string_printf("%s/token", folder);
	struct error err = { 0 };
	KUBE_CONFIG_CLEANUP struct kube_config *config = kube_config_from_files(list, NULL, &err);
	KUBE_CONFIG_CLEANUP struct kube_config *other = kube_config_from_files(list, "b", &err);

	assert_non_null(ca);
	assert_non_null(config);
	assert_string_equal(config->server, "https://first");
	assert_string_equal(config->token_file, token);
	assert_string_equal(other->ca_pem, "CA of the second");
	assert_null(kube_config_from_files("/nowhere/config", NULL, &err));
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_null(kube_config_from_files("/nowhere/a:/nowhere/b", NULL, &err));
	assert_non_null(strstr(err.message, "none of the files"));
}

static void test_in_cluster_and_order(void **state)
{
	FREE_CLEANUP char *ca = write_file("ca.crt", "CA"), *token = write_file("token", "abc\n"),
			  *namespace = write_file("namespace", "kamaji-system");
	FREE_CLEANUP char *named = write_file("named", "current-context: a\nclusters:\n- name: c\n  cluster: {server: 'https://named'}\n"
	                                               "contexts:\n- name: a\n  context: {cluster: c}\n");
	struct error err = { 0 };
	struct kube_config *config;

	assert_non_null(ca);
	assert_non_null(namespace);
	assert_int_equal(unsetenv("KUBERNETES_SERVICE_HOST"), 0);
	assert_null(kube_config_in_cluster(folder, &err));
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1), 0);
	assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
	config = kube_config_in_cluster(folder, &err);
	assert_non_null(config);
	assert_string_equal(config->host, "fd00::1");
	assert_string_equal(config->namespace, "kamaji-system");
	assert_string_equal(config->ca_pem, "CA");
	assert_string_equal(config->token_file, token);
	kube_config_free(config);
	assert_int_equal(setenv("KUBECONFIG", named, 1), 0);
	config = kube_config_load(NULL, NULL, &err);
	assert_string_equal(config->server, "https://named"); /* before in-cluster */
	kube_config_free(config);
	assert_int_equal(unsetenv("KUBECONFIG"), 0);
	assert_null(kube_config_load(NULL, NULL, &err)); /* in-cluster, whose folder is absent here */
	assert_non_null(strstr(err.message, "in-cluster"));
	assert_int_equal(unsetenv("KUBERNETES_SERVICE_HOST"), 0);
	assert_int_equal(setenv("HOME", folder, 1), 0);
	assert_null(kube_config_load(NULL, NULL, &err));
	assert_non_null(strstr(err.message, "--kubeconfig"));
}

static uint64_t fake_ns = 1000000000000;

static uint64_t fake_monotonic(void)
{
	return fake_ns;
}

static int64_t fake_wall(void)
{
	return 0;
}

static void assert_token(struct kube_token_file *file, const char *wanted)
{
	struct error err = { 0 };
	SECRET_CLEANUP char *token = kube_token_file_get(file, &err);

	assert_non_null(token);
	assert_string_equal(token, wanted);
}

static void test_token_rotation(void **state)
{
	FREE_CLEANUP char *path = write_file("rotated", "one\n"), *again = NULL;
	struct kube_token_file *file = kube_token_file_new(path);

	clock_set_for_test(fake_monotonic, fake_wall);
	assert_token(file, "one");
	again = write_file("rotated", "second");
	assert_token(file, "one"); /* looked at once a second */
	fake_ns += 1000000000;
	assert_token(file, "second");
	free(again);
	again = write_file("rotated", "third");
	kube_token_file_distrust(file);
	assert_token(file, "third");
	assert_int_equal(unlink(path), 0);
	fake_ns += 120000000000;
	assert_token(file, "third"); /* the last one that could be read */
	assert_false(kube_token_file_changed(file));
	free(again);
	again = write_file("rotated", "fourth");
	assert_true(kube_token_file_changed(file));
	kube_token_file_free(file);
	clock_set_for_test(NULL, NULL);
}

static int make_folder(void **state)
{
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
	struct error err = { 0 };

	return file_remove_tree(folder, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_a_kubeconfig),
		cmocka_unit_test(test_context_choice),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_in_cluster_and_order),
		cmocka_unit_test(test_token_rotation),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
