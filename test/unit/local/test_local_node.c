/* SPDX-License-Identifier: Apache-2.0 */
/* A node as data: what is rendered for it, how its configuration is read back, its state file, restarts, logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "io/file.h"
#include "local/environment.h"
#include "local/log_file.h"
#include "local/node_admin.h"
#include "local/node_config.h"
#include "local/process_backoff.h"
#include "node_fixture.h"

#define WITHOUT_RESOURCE UINT64_C(0x1fffeffffff)

static void test_exceptions_follow_facts(void **state)
{
	struct node_admin_options modern = node_fixture_options(1, 2, ALL_CAPABILITIES), old = node_fixture_options(1, 1, WITHOUT_RESOURCE);
	FREE_CLEANUP char *modern_kubelet = node_admin_kubelet_config(&modern);
	FREE_CLEANUP char *old_kubelet = node_admin_kubelet_config(&old);
	FREE_CLEANUP char *modern_containerd = node_admin_containerd_config(&modern);
	FREE_CLEANUP char *old_containerd = node_admin_containerd_config(&old);
	assert_null(strstr(modern_kubelet, "failCgroupV1"));
	assert_non_null(strstr(old_kubelet, "\"failCgroupV1\":false"));
	assert_non_null(strstr(modern_containerd, "restrict_oom_score_adj = false"));
	assert_non_null(strstr(old_containerd, "restrict_oom_score_adj = true"));
}

static void test_kubelet_config(void **state)
{
	struct node_admin_options options = node_fixture_options(1, 1, WITHOUT_RESOURCE);
	struct error err;
	FREE_CLEANUP char *text = node_admin_kubelet_config(&options);
	JSON_CLEANUP json_t *config = json_parse(text, strlen(text), &err);
	assert_non_null(config);
	assert_string_equal(json_string_at(config, "cgroupRoot"), "/kamaji-demo/admin");
	assert_string_equal(json_string_at(config, "cgroupDriver"), "cgroupfs");
	assert_string_equal(json_string_at(config, "clusterDNS[0]"), "10.205.16.10");
	assert_string_equal(json_string_at(config, "imagePullCredentialsVerificationPolicy"), "NeverVerify");
	assert_string_equal(json_string_at(config, "containerRuntimeEndpoint"), "unix:///state/demo/nodes/admin/containerd.sock");
	assert_string_equal(json_string_at(config, "authentication.x509.clientCAFile"), "/state/demo/pki/ca.crt");
	assert_false(json_boolean_or(config, "authentication.anonymous.enabled", true));
	assert_false(json_boolean_or(config, "failSwapOn", true));
	assert_int_equal(json_integer_or(config, "imageGCHighThresholdPercent", 0), 100);
}

static void test_proxy_and_pod_network(void **state)
{
	struct node_admin_options options = node_fixture_options(1, 2, ALL_CAPABILITIES);
	struct error err;
	FREE_CLEANUP char *proxy = node_admin_kube_proxy_config(&options);
	JSON_CLEANUP json_t *proxy_json = json_parse(proxy, strlen(proxy), &err);
	assert_string_equal(json_string_at(proxy_json, "mode"), "nftables");
	assert_string_equal(json_string_at(proxy_json, "clusterCIDR"), "10.205.128.0/17");
	assert_int_equal(json_integer_or(proxy_json, "conntrack.maxPerCore", -1), 0);
	FREE_CLEANUP char *bridge = node_admin_cni_config(&options);
	JSON_CLEANUP json_t *bridge_json = json_parse(bridge, strlen(bridge), &err);
	assert_string_equal(json_string_at(bridge_json, "plugins[0].type"), "bridge");
	assert_string_equal(json_string_at(bridge_json, "plugins[0].ipam.ranges[0][0].subnet"), "10.205.128.0/20");
	options.nftables = options.bridge_netfilter = false;
	FREE_CLEANUP char *iptables = node_admin_kube_proxy_config(&options);
	assert_non_null(strstr(iptables, "\"mode\":\"iptables\""));
	FREE_CLEANUP char *links = node_admin_cni_config(&options);
	JSON_CLEANUP json_t *links_json = json_parse(links, strlen(links), &err);
	assert_string_equal(json_string_at(links_json, "plugins[0].type"), "ptp");
	assert_null(json_at(links_json, "plugins[0].bridge"));
}

static void test_resolv_conf(void **state)
{
	static const struct {
		const char *host, *node;
		bool server;
	} rows[] = {
		{ "nameserver 192.0.2.53\nsearch example.org\n", "nameserver 192.0.2.53\nsearch example.org\n", true },
		{ "# made by hand\nnameserver 127.0.0.53\noptions edns0\n", "options edns0\n", false },
		{ "search x\nnameserver 127.0.0.1\nnameserver   192.0.2.1", "search x\nnameserver   192.0.2.1\n", true },
		{ "nameserver ::1\n\n; nothing\n", "", false },
		{ "", "", false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		FREE_CLEANUP char *text = node_admin_resolv_conf(rows[i].host);
		assert_string_equal(text, rows[i].node);
		assert_int_equal(node_admin_has_nameserver(text), rows[i].server);
	}
}

static size_t find_process(const struct node_config *config, const char *name)
{
	for (size_t i = 0; i < config->process_count; i++)
		if (string_equal(config->processes[i].name, name))
			return i;
	fail_msg("no process %s", name);
	return 0;
}

static bool has_argument(const struct node_process *process, const char *argument)
{
	for (size_t i = 0; process->argv[i]; i++)
		if (string_equal(process->argv[i], argument))
			return true;
	return false;
}

static void test_config_round_trip(void **state)
{
	struct node_admin_options options = node_fixture_options(1, 2, ALL_CAPABILITIES);
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct node_config config;
	struct error err;
	JSON_CLEANUP json_t *json = node_admin_config(&options);
	FREE_CLEANUP char *text = json_text(json);
	assert_int_equal(node_config_parse(text, strlen(text), arena, &config, &err), 0);
	assert_string_equal(config.hostname, "demo-admin");
	assert_string_equal(config.address, "10.205.0.2/24");
	assert_string_equal(config.gateway, "10.205.0.1");
	assert_int_equal(strlen(config.digest), 64);
	assert_true(config.bridge_netfilter);
	size_t etcd = find_process(&config, "etcd"), api = find_process(&config, "kube-apiserver"),
	       kubelet = find_process(&config, "kubelet");
	assert_true(config.processes[etcd].stop_last && config.processes[find_process(&config, "datastore")].stop_last);
	assert_int_equal(config.processes[api].after_count, 1);
	assert_int_equal(config.processes[api].after[0], etcd);
	assert_int_equal(config.processes[api].probe, NODE_PROBE_EXEC);
	assert_string_equal(config.processes[api].probe_argv[3], "--kubeconfig=/state/demo/pki/admin.kubeconfig");
	assert_int_equal(config.processes[kubelet].after_count, 2);
	assert_true(has_argument(&config.processes[api], "--service-cluster-ip-range=10.205.16.0/20"));
	assert_false(has_argument(&config.processes[api], "--audit-log-path=/state/demo/nodes/admin/log/audit.log"));
	assert_true(has_argument(&config.processes[find_process(&config, "balancer")], "--first=10.205.1.10"));
}

static void test_digest_tells_changes(void **state)
{
	struct node_admin_options options = node_fixture_options(1, 2, ALL_CAPABILITIES);
	JSON_CLEANUP json_t *first = node_admin_config(&options);
	JSON_CLEANUP json_t *again = node_admin_config(&options);
	assert_string_equal(json_string_at(first, "digest"), json_string_at(again, "digest"));
	options.audit = true;
	JSON_CLEANUP json_t *audited = node_admin_config(&options);
	assert_string_not_equal(json_string_at(first, "digest"), json_string_at(audited, "digest"));
	/* A change in a file that a process reads counts, too. */
	options.audit = false;
	options.pause_image = "registry.example/pause:2";
	JSON_CLEANUP json_t *other_pause = node_admin_config(&options);
	assert_string_not_equal(json_string_at(first, "digest"), json_string_at(other_pause, "digest"));
}

static void test_config_errors(void **state)
{
#define HEAD \
	"{\"name\":\"n\",\"role\":\"worker\",\"hostname\":\"h\",\"directory\":\"/" \
	"d\",\"link\":\"l\",\"address\":\"a\",\"gateway\":\"g\",\"hosts\":\"\"," \
	"\"resolvConf\":\"\",\"binds\":[],\"processes\":["
	static const struct {
		const char *text, *complaint;
	} rows[] = {
		{ "", "node configuration" },
		{ "{}", "'name'" },
		{ HEAD "{\"name\":\"a\"}]}", "argv" },
		{ HEAD "{\"name\":\"a\",\"argv\":[\"bin/x\"]}]}", "absolute" },
		{ HEAD "{\"name\":\"a\",\"argv\":[7]}]}", "list of strings" },
		{ HEAD "{\"name\":\"a\",\"argv\":[\"/x\"]},{\"name\":\"a\",\"argv\":[\"/x\"]}]}", "two processes" },
		{ HEAD "{\"name\":\"a\",\"argv\":[\"/x\"],\"after\":[\"b\"]},{\"name\":\"b\",\"argv\":[\"/x\"]}]}", "no earlier process" },
		{ HEAD "{\"name\":\"a\",\"argv\":[\"/x\"],\"ready\":{\"kind\":\"magic\"}}]}", "ready.kind" },
		{ HEAD "{\"name\":\"a\",\"argv\":[\"/x\"],\"ready\":{\"kind\":\"unix\"}}]}", "target" },
		{ HEAD "{\"name\":\"../a\",\"argv\":[\"/x\"]}]}", "DNS label" },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		ARENA_CLEANUP struct arena *arena = arena_new();
		struct node_config config;
		struct error err;
		assert_int_equal(node_config_parse(rows[i].text, strlen(rows[i].text), arena, &config, &err), -1);
		if (!strstr(err.message, rows[i].complaint))
			fail_msg("row %zu: %s", i, err.message);
	}
}

static void test_backoff(void **state)
{
	static const uint32_t wanted[] = { 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct process_backoff backoff = { 0 };
	uint64_t now = 1000;
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		assert_int_equal(process_backoff_next(&backoff, now, now + 50), wanted[i]);
		now += 50 + wanted[i];
	}
	/* A healthy run is forgiven everything. */
	assert_int_equal(process_backoff_next(&backoff, now, now + PROCESS_BACKOFF_HEALTHY_MS), 200);
	assert_int_equal(process_backoff_next(&backoff, now, now + PROCESS_BACKOFF_HEALTHY_MS - 1), 400);
	/* A clock that seems to go back is a short run. */
	assert_int_equal(process_backoff_next(&backoff, now, now - 5), 800);
}

/* A store that is killed every few seconds is away for 2 s at most: it works, and everybody waits for it. */
static void test_backoff_of_what_works(void **state)
{
	static const uint32_t wanted[] = { 200, 400, 800, 1600, 2000, 2000 };
	struct process_backoff backoff = { 0 };
	uint64_t now = 1000;
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		assert_int_equal(process_backoff_next(&backoff, now, now + PROCESS_BACKOFF_SETTLED_MS), wanted[i]);
		now += PROCESS_BACKOFF_SETTLED_MS + wanted[i];
	}
	/* One that never got ready backs off further, and is forgiven when it works again. */
	assert_int_equal(process_backoff_next(&backoff, 0, now), 4000);
	assert_int_equal(process_backoff_next(&backoff, 0, now), 8000);
	assert_int_equal(process_backoff_next(&backoff, 0, now), 10000);
	assert_int_equal(process_backoff_next(&backoff, now, now + PROCESS_BACKOFF_SETTLED_MS), 2000);
}

static void test_state_round_trip(void **state)
{
	struct local_state written = { .phase = LOCAL_UP,
		                       .own_store = true,
		                       .audit = true,
		                       .admin = { .pid = 4711, .start_ticks = 123456789, .pid_namespace = 4026532412 } };
	struct local_state read;
	struct error err;
	written.has_block = true;
	written.block = local_slot_block(7);
	written.times = json_build("[{s:s}]", "phase", "checks");
	FREE_CLEANUP char *text = local_state_write(&written);
	assert_int_equal(local_state_parse(text, strlen(text), &read, &err), 0);
	assert_int_equal(read.phase, LOCAL_UP);
	assert_true(read.audit && read.has_block && read.own_store);
	assert_int_equal(read.block.address, local_slot_block(7).address);
	assert_int_equal(read.admin.pid, 4711);
	assert_int_equal(read.admin.start_ticks, 123456789);
	assert_int_equal(read.admin.pid_namespace, 4026532412);
	assert_int_equal(json_array_size(read.times), 1);
	/* Every truncation is refused, none is half believed. */
	for (size_t length = 0; length < strlen(text); length++) {
		struct local_state cut;
		assert_int_equal(local_state_parse(text, length, &cut, &err), -1);
	}
	local_state_free(&written);
	local_state_free(&read);
}

static void test_state_damage(void **state)
{
	static const char *const bad[] = { "{}", "{\"version\":1}", "{\"version\":2,\"phase\":\"up\"}",
		                           "{\"version\":1,\"phase\":\"upward\"}", "[1]" };
	/* Identities that could hit somebody else's process are dropped. */
	static const char *const unfit[] = { "{\"pid\":1,\"startTicks\":5,\"pidNamespace\":6}",
		                             "{\"pid\":-1,\"startTicks\":5,\"pidNamespace\":6}",
		                             "{\"pid\":99999999999,\"startTicks\":5,\"pidNamespace\":6}", "{\"pid\":5}", "7" };
	struct local_state read;
	struct error err;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_int_equal(local_state_parse(bad[i], strlen(bad[i]), &read, &err), -1);
	for (size_t i = 0; i < ARRAY_LENGTH(unfit); i++) {
		FREE_CLEANUP char *text = string_printf("{\"version\":1,\"phase\":\"up\",\"nodes\":{\"admin\":%s}}", unfit[i]);
		assert_int_equal(local_state_parse(text, strlen(text), &read, &err), 0);
		assert_int_equal(read.admin.pid, 0);
		local_state_free(&read);
	}
}

static void test_identity(void **state)
{
	struct node_identity own;
	struct error err;
	assert_int_equal(node_identity_read(getpid(), &own, &err), 0);
	assert_true(node_identity_is_alive(&own));
	struct node_identity successor = own;
	successor.start_ticks++;
	assert_false(node_identity_is_alive(&successor));
	/* Not ours any more: nothing is signalled. */
	assert_int_equal(node_identity_end(&successor, 1000, &err), 0);
	assert_true(node_identity_is_alive(&own));
}

static void test_log_file(void **state)
{
	char path[] = "/tmp/kamaji-log-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	struct log_file log;
	struct error err;
	assert_int_equal(log_file_open(&log, path, 100, &err), 0);
	for (int i = 0; i < 20; i++) {
		char line[32];
		int length = snprintf(line, sizeof(line), "line %02d of the log\n", i);
		log_file_write(&log, line, (size_t)length);
	}
	log_file_close(&log);
	FREE_CLEANUP char *tail = log_file_tail(path, 1);
	assert_string_equal(tail, "line 19 of the log\n");
	FREE_CLEANUP char *older = string_printf("%s.1", path);
	BUFFER_CLEANUP struct buffer text = { 0 };
	assert_int_equal(file_read(older, 4096, &text, &err), 0);
	assert_true(text.length >= 100 && text.length < 200);
	FREE_CLEANUP char *none = log_file_tail("/nowhere/at/all", 3);
	assert_string_equal(none, "");
	unlink(path);
	unlink(older);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exceptions_follow_facts),
		cmocka_unit_test(test_kubelet_config),
		cmocka_unit_test(test_proxy_and_pod_network),
		cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_config_round_trip),
		cmocka_unit_test(test_digest_tells_changes),
		cmocka_unit_test(test_config_errors),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_backoff_of_what_works),
		cmocka_unit_test(test_state_round_trip),
		cmocka_unit_test(test_state_damage),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_log_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
