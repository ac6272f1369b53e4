/* SPDX-License-Identifier: Apache-2.0 */
/* Further nodes of the admin cluster as data: names, addresses, what is rendered for one, its certificates, its record in the state file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/secret.h"
#include "io/file.h"
#include "local/cluster_pods.h"
#include "local/environment.h"
#include "local/local_pki.h"
#include "local/node_admin.h"
#include "local/node_config.h"
#include "local/node_images.h"
#include "node_fixture.h"
#include "pki/certificate.h"
#include "pki/check.h"

static struct local_address_plan make_plan(void)
{
	struct local_address_plan plan;
	struct error err;
	assert_int_equal(local_address_plan_make(local_slot_block(5), &plan, &err), 0);
	return plan;
}

static struct node_admin_options make_options(unsigned number)
{
	struct node_admin_options options = node_fixture_options(number, 2, ALL_CAPABILITIES);
	options.directory = "/state/demo/nodes/it";
	options.pki = "/state/demo/pki/it";
	return options;
}

static void test_addresses_and_names(void **state)
{
	struct local_address_plan plan = make_plan();
	char text[LOCAL_CIDR_TEXT_MAX];
	FREE_CLEANUP char *first = local_admin_node_id(1);
	FREE_CLEANUP char *last = local_admin_node_id(LOCAL_ADMIN_NODES_MAX);
	assert_string_equal(first, "admin");
	assert_string_equal(last, "admin-8");
	for (unsigned i = 1; i <= LOCAL_ADMIN_NODES_MAX; i++) {
		struct local_cidr pods = local_admin_node_pods(&plan, i);
		assert_true(local_cidr_contains(plan.pods, pods.address) && local_cidr_contains(plan.pods, pods.address + 0xfff));
		assert_true(local_cidr_contains(plan.nodes, local_admin_node_address(&plan, i)));
		for (unsigned j = 1; j < i; j++)
			assert_false(local_cidr_overlaps(pods, local_admin_node_pods(&plan, j)));
	}
	assert_int_equal(local_admin_node_address(&plan, 1), plan.admin_node);
	local_cidr_format(local_admin_node_pods(&plan, 2), text);
	assert_string_equal(text, "10.205.144.0/20");
	/* Workers of tenants begin behind the last of them. */
	struct local_worker worker = { .number = 1 };
	assert_int_equal(local_worker_address(&plan, &worker), local_admin_node_address(&plan, LOCAL_ADMIN_NODES_MAX) + 1);
}

static bool has_route(const struct node_config *config, const char *route)
{
	for (char **at = config->routes; *at; at++)
		if (string_equal(*at, route))
			return true;
	return false;
}

static void test_further_node_runs_pods_only(void **state)
{
	struct node_admin_options options = make_options(2);
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct node_config config;
	struct error err;
	JSON_CLEANUP json_t *json = node_admin_config(&options);
	FREE_CLEANUP char *text = json_text(json);
	assert_int_equal(node_config_parse(text, strlen(text), arena, &config, &err), 0);
	assert_string_equal(config.name, "admin-2");
	assert_string_equal(config.hostname, "demo-admin-2");
	assert_string_equal(config.address, "10.205.0.3/24");
	static const char *const wanted[] = { "containerd", "kubelet", "kube-proxy" };
	assert_int_equal(config.process_count, ARRAY_LENGTH(wanted));
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++)
		assert_string_equal(config.processes[i].name, wanted[i]);
	/* Nothing waits for an API server that is on another node. */
	assert_int_equal(config.processes[1].after_count, 1);
	assert_int_equal(config.processes[1].after[0], 0);
	assert_int_equal(config.processes[2].after_count, 0);
	assert_true(has_route(&config, "10.205.128.0/20 via 10.205.0.2"));
	assert_false(has_route(&config, "10.205.144.0/20 via 10.205.0.3"));
	FREE_CLEANUP char *kubelet = node_admin_kubelet_config(&options);
	assert_non_null(strstr(kubelet, "\"cgroupRoot\":\"/kamaji-demo/admin-2\""));
	FREE_CLEANUP char *pods = node_admin_cni_config(&options);
	assert_non_null(strstr(pods, "\"subnet\":\"10.205.144.0/20\""));
}

static void test_admin_node_has_the_way_to_all_others(void **state)
{
	struct node_admin_options options = make_options(1);
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct node_config config;
	struct error err;
	JSON_CLEANUP json_t *json = node_admin_config(&options);
	FREE_CLEANUP char *text = json_text(json);
	assert_int_equal(node_config_parse(text, strlen(text), arena, &config, &err), 0);
	assert_string_equal(config.name, "admin");
	assert_false(has_route(&config, "10.205.128.0/20 via 10.205.0.2"));
	assert_true(has_route(&config, "10.205.144.0/20 via 10.205.0.3"));
	assert_true(has_route(&config, "10.205.240.0/20 via 10.205.0.9"));
}

static void test_state_file(void **state)
{
	struct local_state written = { .phase = LOCAL_UP, .admin = { .pid = 5, .start_ticks = 6, .pid_namespace = 7 }, .further_count = 2 };
	struct local_state read;
	struct error err;
	*local_state_node(&written, 3) = (struct node_identity){ .pid = 42, .start_ticks = 43, .pid_namespace = 44 };
	FREE_CLEANUP char *text = local_state_write(&written);
	assert_int_equal(local_state_parse(text, strlen(text), &read, &err), 0);
	assert_int_equal(local_state_node_count(&read), 3);
	assert_int_equal(local_state_node(&read, 1)->pid, 5);
	/* One that is away keeps its record. */
	assert_int_equal(local_state_node(&read, 2)->pid, 0);
	assert_int_equal(local_state_node(&read, 3)->pid, 42);
	local_state_free(&read);
	static const char old[] = "{\"version\":1,\"phase\":\"up\",\"nodes\":{\"admin\":{}}}";
	assert_int_equal(local_state_parse(old, strlen(old), &read, &err), 0);
	assert_int_equal(local_state_node_count(&read), 1);
	local_state_free(&read);
}

static void read_text(const char *folder, const char *file, struct buffer *text)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, file);
	struct error err;
	assert_int_equal(file_read(path, PEM_MAXIMUM_BYTES, text, &err), 0);
}

static bool is_kubelet_certificate(const char *folder, const char *name, const char *authority, unsigned usage, const char *const *sans)
{
	BUFFER_CLEANUP struct buffer certificate = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer key = { 0 };
	FREE_CLEANUP char *certificate_file = string_printf("%s.crt", name);
	FREE_CLEANUP char *key_file = string_printf("%s.key", name);
	struct check_reason reason;
	read_text(folder, certificate_file, &certificate);
	read_text(folder, key_file, &key);
	const struct check_certificate check = { .certificate = pem_text(&certificate),
		                                 .key = pem_text(&key),
		                                 .authority = pem_text_string(authority),
		                                 .usage = usage,
		                                 .sans = sans,
		                                 .common_name = "system:node:demo-admin-2" };
	return check_certificate(NULL, &check, &reason);
}

static void test_certificates(void **state)
{
	char folder[] = "/tmp/kamaji-nodes-XXXXXX";
	static const char *const sans[] = { "10.205.0.3", "demo-admin-2", NULL };
	struct error err;
	assert_non_null(mkdtemp(folder));
	FREE_CLEANUP char *own = string_printf("%s/admin-2", folder);
	FREE_CLEANUP char *authority_key = string_printf("%s/ca.key", own);
	const struct local_pki_options options = {
		.directory = folder, .environment = "demo", .hostname = "demo-admin", .plan = make_plan()
	};
	assert_int_equal(local_pki_ensure(&options, &err), 0);
	assert_int_equal(local_pki_ensure_node(&options, own, "demo-admin-2", local_admin_node_address(&options.plan, 2), &err), 0);
	BUFFER_CLEANUP struct buffer authority = { 0 }, copy = { 0 }, kept = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer kubeconfig = { 0 };
	read_text(folder, "ca.crt", &authority);
	read_text(own, "ca.crt", &copy);
	assert_string_equal(authority.data, copy.data);
	assert_false(file_exists(authority_key));
	assert_true(is_kubelet_certificate(own, "kubelet-server", authority.data, CERTIFICATE_SERVER_AUTH, sans));
	assert_true(is_kubelet_certificate(own, "kubelet-client", authority.data, CERTIFICATE_CLIENT_AUTH, NULL));
	read_text(own, "kubelet.kubeconfig", &kubeconfig);
	assert_non_null(strstr(kubeconfig.data, "https://10.205.0.2:6443"));
	/* The second time everything is kept. */
	buffer_clear(&copy);
	read_text(own, "kubelet-server.crt", &copy);
	assert_int_equal(local_pki_ensure_node(&options, own, "demo-admin-2", local_admin_node_address(&options.plan, 2), &err), 0);
	read_text(own, "kubelet-server.crt", &kept);
	assert_string_equal(copy.data, kept.data);
	assert_int_equal(file_remove_tree(folder, &err), 0);
}

static json_t *make_node(const char *status, const char *heartbeat)
{
	return json_build("{s:{s:[{s:s, s:s}, {s:s, s:s, s:s}]}}", "status", "conditions", "type", "DiskPressure", "status", "False",
	                  "type", "Ready", "status", status, "lastHeartbeatTime", heartbeat);
}

static void test_a_nodes_word_is_of_this_life(void **state)
{
	JSON_CLEANUP json_t *ready = make_node("True", "2026-11-20T12:00:05Z");
	JSON_CLEANUP json_t *gone = make_node("Unknown", "2026-11-20T12:00:05Z");
	JSON_CLEANUP json_t *mute = make_node("True", "at noon");
	JSON_CLEANUP json_t *nothing = json_object();
	int64_t at_five = 1795176005; /* 2026-11-20T12:00:05Z */
	assert_true(cluster_node_is_fresh(ready, at_five));
	assert_false(cluster_node_is_fresh(ready, at_five + 1));
	assert_false(cluster_node_is_fresh(gone, at_five));
	assert_false(cluster_node_is_fresh(mute, 0));
	assert_false(cluster_node_is_fresh(nothing, 0));
}

static void test_images_of_the_admin_cluster_and_of_tenants(void **state)
{
	static const struct {
		const char *reference;
		bool base;
	} rows[] = {
		{ "registry.k8s.io/pause:3.10.2", true },
		{ "localhost/kamaji:local", true },
		{ "registry.k8s.io/coredns/coredns:v1.14.7", true },
		{ "registry.k8s.io/kube-apiserver:v1.36.3", false },
		{ "registry.k8s.io/kube-proxy:v1.36.3", false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct image_entry entry = { .references = { rows[i].reference } };
		assert_int_equal(node_images_is_base(&entry), rows[i].base);
		assert_int_equal(node_images_is_tenants(&entry), !rows[i].base);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_and_names),
		cmocka_unit_test(test_further_node_runs_pods_only),
		cmocka_unit_test(test_admin_node_has_the_way_to_all_others),
		cmocka_unit_test(test_state_file),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_a_nodes_word_is_of_this_life),
		cmocka_unit_test(test_images_of_the_admin_cluster_and_of_tenants),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
