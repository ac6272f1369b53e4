/* SPDX-License-Identifier: Apache-2.0 */
/* Workers as data: records in the state file, what is rendered for a node, the join, routes between workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/secret.h"
#include "local/environment.h"
#include "local/host_settings.h"
#include "local/node_config.h"
#include "local/node_worker.h"
#include "local/worker_task.h"

static struct local_worker *add(struct local_worker_list *list, const char *tenant, const char *name, const char *pods)
{
	struct error err;
	struct local_worker *worker = local_worker_new(list, "default", tenant, name, &err);
	assert_non_null(worker);
	free(worker->pods);
	worker->pods = string_dup(pods);
	return worker;
}

static void test_tenant_names(void **state)
{
	FREE_CLEANUP char *namespace = NULL;
	FREE_CLEANUP char *name = NULL;
	struct error err;
	assert_int_equal(local_tenant_parse("shop/blue", &namespace, &name, &err), 0);
	assert_string_equal(namespace, "shop");
	assert_string_equal(name, "blue");
	free(namespace);
	free(name);
	assert_int_equal(local_tenant_parse("blue", &namespace, &name, &err), 0);
	assert_string_equal(namespace, "default");
	static const char *const bad[] = { "", "/", "a/", "/b", "a/b/c", "A/b", "../x", "a b" };
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		char *no_namespace, *no_name;
		assert_int_equal(local_tenant_parse(bad[i], &no_namespace, &no_name, &err), -1);
		assert_int_equal(err.class, ERROR_INVALID);
	}
}

static void test_numbers_are_given_again(void **state)
{
	struct local_worker_list list = { 0 };
	struct error err;
	add(&list, "blue", "one", "");
	add(&list, "green", "one", "");
	add(&list, "blue", "two", "");
	assert_int_equal(local_worker_find(&list, "default", "green", "one")->number, 2);
	assert_null(local_worker_find(&list, "other", "green", "one"));
	local_worker_remove(&list, local_worker_find(&list, "default", "green", "one"));
	assert_int_equal(list.count, 2);
	assert_int_equal(add(&list, "green", "late", "")->number, 2);
	assert_int_equal(list.items[1].number, 2);
	assert_null(local_worker_new(&list, "default", "blue", "No_Name", &err));
	assert_int_equal(err.class, ERROR_INVALID);
	while (list.count < LOCAL_WORKERS_MAX) {
		FREE_CLEANUP char *name = string_printf("w-%zu", list.count);
		add(&list, "blue", name, "");
	}
	assert_null(local_worker_new(&list, "default", "blue", "more", &err));
	assert_int_equal(err.class, ERROR_EXHAUSTED);
	local_worker_list_free(&list);
}

static void test_state_file(void **state)
{
	struct local_state written = { .phase = LOCAL_UP, .admin = { .pid = 5, .start_ticks = 6, .pid_namespace = 7 } }, read;
	struct error err;
	struct local_worker *worker = add(&written.workers, "blue", "one", "10.244.3.0/24");
	worker->identity = (struct node_identity){ .pid = 42, .start_ticks = 43, .pid_namespace = 44 };
	worker->joined = true;
	add(&written.workers, "green", "one", "")->leaving = true;
	FREE_CLEANUP char *text = local_state_write(&written);
	assert_int_equal(local_state_parse(text, strlen(text), &read, &err), 0);
	assert_int_equal(read.workers.count, 2);
	const struct local_worker *first = &read.workers.items[0], *second = &read.workers.items[1];
	assert_string_equal(first->tenant, "blue");
	assert_string_equal(first->pods, "10.244.3.0/24");
	assert_int_equal(first->identity.pid, 42);
	assert_true(first->joined && !first->leaving && second->leaving && !second->joined);
	assert_int_equal(second->identity.pid, 0);
	local_state_free(&written);
	local_state_free(&read);
	static const char *const bad[] = { "\"worker-1\":{}", "\"worker-0\":{\"namespace\":\"a\",\"tenant\":\"b\",\"name\":\"c\"}",
		                           "\"worker-9999\":{\"namespace\":\"a\",\"tenant\":\"b\",\"name\":\"c\"}",
		                           "\"worker-x\":{\"namespace\":\"a\",\"tenant\":\"b\",\"name\":\"c\"}",
		                           "\"worker-1\":{\"namespace\":\"a\",\"tenant\":\"b\",\"name\":\"../c\"}" };
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		FREE_CLEANUP char *damaged = string_printf("{\"version\":1,\"phase\":\"up\",\"nodes\":{%s}}", bad[i]);
		assert_int_equal(local_state_parse(damaged, strlen(damaged), &read, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
	}
}

static struct node_worker_options make_options(int cgroup_version)
{
	struct node_worker_options options = {
		.facts = { .cgroup = { .version = cgroup_version }, .bounding = UINT64_C(0x1ffffffffff) },
		.id = "worker-1",
		.directory = "/state/demo/nodes/worker-1",
		.components_root = "/c",
		.program = "/opt/kamaji",
		.kubelet = "/c/kubelet",
		.containerd = "/c/containerd",
		.runc = "/c/runc",
		.cni_folder = "/c/cni",
		.pause_image = "registry.example/pause:1",
		.resolv_conf = "nameserver 192.0.2.53\n",
		.hosts = "10.205.0.1 door.example.test\n",
		.tenant_pods = "10.244.0.0/16",
		.bridge_netfilter = true,
	};
	struct local_worker worker = { .number = 1, .name = (char *)"one" };
	struct error err;
	assert_int_equal(local_names_make("demo", &options.names, &err), 0);
	assert_int_equal(local_worker_names("demo", &worker, &options.node, &err), 0);
	assert_int_equal(local_address_plan_make(local_slot_block(5), &options.plan, &err), 0);
	options.address = local_worker_address(&options.plan, &worker);
	return options;
}

static void test_node_config(void **state)
{
	struct node_worker_options options = make_options(1);
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct node_config config;
	struct error err;
	JSON_CLEANUP json_t *json = node_worker_config(&options);
	FREE_CLEANUP char *text = json_text(json);
	assert_int_equal(node_config_parse(text, strlen(text), arena, &config, &err), 0);
	assert_string_equal(config.role, "worker");
	assert_string_equal(config.hostname, "one");
	assert_string_equal(config.address, "10.205.0.10/24");
	assert_string_equal(config.routes[0], "10.205.1.0/24 via 10.205.0.2");
	assert_non_null(config.routes[2]);
	assert_null(config.routes[3]);
	assert_true(config.modules_folder);
	assert_non_null(strstr(config.firewall, "ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16"));
	assert_non_null(strstr(config.hosts, "\n10.205.0.10 one\n10.205.0.1 door.example.test\n"));
	assert_int_equal(config.process_count, 2);
	assert_string_equal(config.processes[1].name, "kubelet");
	assert_string_equal(config.processes[1].needs, NODE_WORKER_ENVIRONMENT_FILE);
	assert_null(config.processes[0].needs);
	options.tenant_pods = "";
	JSON_CLEANUP json_t *without = node_worker_config(&options);
	assert_string_equal(json_string_at(without, "firewall"), "");
	assert_string_not_equal(json_string_at(without, "digest"), json_string_at(json, "digest"));
}

/* What the tenant's people could read on their node must not tell of the environment's own cluster. */
static void test_nothing_of_the_admin_cluster_is_bound(void **state)
{
	struct node_worker_options options = make_options(2);
	JSON_CLEANUP json_t *json = node_worker_config(&options);
	const json_t *binds = json_object_get(json, "binds");
	for (size_t i = 0; i < json_array_size(binds); i++) {
		const char *from = json_string_at(json_array_get(binds, i), "from");
		assert_true(string_has_prefix(from, options.directory) || string_equal(from, "/c") || string_equal(from, "/dev/null") ||
		            string_equal(from, "/opt/kamaji"));
	}
}

static void test_kubelet_patch(void **state)
{
	struct node_worker_options old = make_options(1), modern = make_options(2);
	struct error err;
	FREE_CLEANUP char *text = node_worker_kubelet_patch(&old);
	FREE_CLEANUP char *modern_text = node_worker_kubelet_patch(&modern);
	JSON_CLEANUP json_t *patch = json_parse(text, strlen(text), &err);
	assert_string_equal(json_string_at(patch, "cgroupRoot"), "/kamaji-demo/worker-1");
	assert_string_equal(json_string_at(patch, "cgroupDriver"), "cgroupfs");
	assert_false(json_boolean_or(patch, "failCgroupV1", true));
	assert_null(strstr(modern_text, "failCgroupV1"));
}

static void test_join(void **state)
{
	static const char printed[] = "kubeadm join 10.200.1.10:6443 --token ffv3hg.t7jnc40fxikx4stg --discovery-token-ca-cert-hash "
				      "sha256:ed7d20f96506ac972b03bb03616d90ba1f3e419aaae1c964784ee35fdf4e1b6c \n";
	SECRET_CLEANUP char *token = NULL;
	FREE_CLEANUP char *hash = NULL;
	struct error err;
	assert_int_equal(worker_join_parse(printed, &token, &hash, &err), 0);
	assert_string_equal(token, "ffv3hg.t7jnc40fxikx4stg");
	assert_string_equal(hash, "sha256:ed7d20f96506ac972b03bb03616d90ba1f3e419aaae1c964784ee35fdf4e1b6c");
	static const char *const bad[] = { "", "kubeadm join a:1 --token ",
		                           "kubeadm join a:1 --token x --discovery-token-ca-cert-hash md5:1" };
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		char *no_token, *no_hash;
		assert_int_equal(worker_join_parse(bad[i], &no_token, &no_hash, &err), -1);
	}
	SECRET_CLEANUP char *now = worker_join_config("v1.36.3", "a.example:6443", token, hash, "one");
	SECRET_CLEANUP char *before = worker_join_config("v1.30.9", "a.example:6443", token, hash, "one");
	JSON_CLEANUP json_t *config = json_parse(now, strlen(now), &err);
	assert_string_equal(json_string_at(config, "apiVersion"), "kubeadm.k8s.io/v1beta4");
	assert_string_equal(json_string_at(config, "discovery.bootstrapToken.apiServerEndpoint"), "a.example:6443");
	assert_string_equal(json_string_at(config, "discovery.bootstrapToken.caCertHashes[0]"), hash);
	assert_string_equal(json_string_at(config, "nodeRegistration.name"), "one");
	assert_string_equal(json_string_at(config, "patches.directory"), "/etc/kubernetes/patches");
	/* Members that the older version does not know would be refused. */
	assert_non_null(strstr(before, "kubeadm.k8s.io/v1beta3"));
	assert_null(strstr(before, "timeouts"));
}

static void test_routes(void **state)
{
	static const char now[] =
		"[{\"dst\":\"10.244.1.0/24\",\"gateway\":\"10.205.0.11\"},{\"dst\":\"10.244.7.0/24\",\"gateway\":\"10.205.0.17\"}]";
	struct local_worker_list list = { 0 };
	struct local_address_plan plan;
	struct error err;
	BUFFER_CLEANUP struct buffer batch = { 0 };
	assert_int_equal(local_address_plan_make(local_slot_block(5), &plan, &err), 0);
	add(&list, "blue", "one", "10.244.0.0/24");
	add(&list, "blue", "two", "10.244.1.0/24");
	add(&list, "green", "one", "10.244.0.0/24");
	add(&list, "blue", "joining", "");
	assert_int_equal(worker_routes_plan(now, strlen(now), &list, &list.items[0], &plan, &batch, &err), 0);
	assert_string_equal(batch.data, "route delete 10.244.7.0/24 protocol 222\n"
	                                "route replace 10.244.1.0/24 via 10.205.0.11 protocol 222\n");
	assert_int_equal(worker_routes_plan("x", 1, &list, &list.items[0], &plan, &batch, &err), -1);
	local_worker_list_free(&list);
}

static void test_connection_limit(void **state)
{
	/* pkg/proxy/conntrack/sysctls.go and the defaults of KubeProxyConfiguration */
	assert_int_equal(host_settings_connections(1), 131072);
	assert_int_equal(host_settings_connections(4), 131072);
	assert_int_equal(host_settings_connections(8), 262144);
	assert_int_equal(host_settings_connections(64), 1048576);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tenant_names),
		cmocka_unit_test(test_numbers_are_given_again),
		cmocka_unit_test(test_state_file),
		cmocka_unit_test(test_node_config),
		cmocka_unit_test(test_nothing_of_the_admin_cluster_is_bound),
		cmocka_unit_test(test_kubelet_patch),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_connection_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
