/* SPDX-License-Identifier: Apache-2.0 */
/* The objects inside a tenant, compared with those of a running upstream installation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strings.h"
#include "base/yaml.h"
#include "cluster/cluster_objects.h"
#include "cluster/cluster_watches.h"
#include "io/file.h"

static const char cluster_configuration[] =
	"{\"ComponentConfigs\":null,\"Etcd\":{\"Local\":null,\"External\":{\"Endpoints\":[\"10.244.0.1:2379\"],\"HTTPEndpoints\":null,"
	"\"CAFile\":\"\",\"CertFile\":\"\",\"KeyFile\":\"\"}},\"Networking\":{\"ServiceSubnet\":\"10.96.0.0/16\",\"PodSubnet\":"
	"\"10.244.0.0/16\",\"DNSDomain\":\"cluster.local\"},\"KubernetesVersion\":\"v1.36.3\",\"CIKubernetesVersion\":\"\","
	"\"ControlPlaneEndpoint\":\"10.96.39.88:6443\",\"APIServer\":{\"ExtraArgs\":[{\"Name\":\"etcd-compaction-interval\",\"Value\":"
	"\"0s\"},{\"Name\":\"etcd-prefix\",\"Value\":\"/live\"}],\"ExtraVolumes\":null,\"ExtraEnvs\":null,\"CertSANs\":[\"127.0.0.1\","
	"\"localhost\",\"live\",\"live.golden.svc\",\"live.golden.svc.cluster.local\",\"10.96.39.88\"],\"TimeoutForControlPlane\":\"0s\"},"
	"\"ControllerManager\":{\"ExtraArgs\":null,\"ExtraVolumes\":null,\"ExtraEnvs\":null},\"Scheduler\":{\"ExtraArgs\":null,"
	"\"ExtraVolumes\":null,\"ExtraEnvs\":null},\"DNS\":{\"ImageRepository\":\"\",\"ImageTag\":\"\",\"Disabled\":false},\"Proxy\":"
	"{\"Disabled\":false},\"CertificatesDir\":\"/etc/kubernetes/pki\",\"ImageRepository\":\"registry.k8s.io\",\"CIImageRepository\":"
	"\"\",\"FeatureGates\":null,\"ClusterName\":\"live\",\"EncryptionAlgorithm\":\"RSA-2048\",\"CertificateValidityPeriod\":"
	"\"8760h0m0s\",\"CACertificateValidityPeriod\":\"87600h0m0s\"}\n";

static const char tenant_text[] = "apiVersion: kamaji.clastix.io/v1alpha1\n"
				  "kind: TenantControlPlane\n"
				  "metadata: {name: live, namespace: golden, uid: x}\n"
				  "spec:\n"
				  "  dataStore: default\n"
				  "  controlPlane: {deployment: {replicas: 1}, service: {serviceType: ClusterIP}}\n"
				  "  kubernetes: {version: v1.36.3, kubelet: {cgroupfs: systemd}}\n"
				  "  networkProfile: {port: 6443}\n"
				  "  addons: {coreDNS: {}, kubeProxy: {}}\n";

struct fixture {
	struct arena *arena;
	struct tenant_control_plane tenant;
	struct cluster_inputs inputs;
	json_t *reference; /* array */
};

static json_t *find(const json_t *objects, const json_t *like)
{
	size_t index;
	json_t *object;

	json_array_foreach(objects, index, object) {
		if (string_equal(json_string_at(object, "kind"), json_string_at(like, "kind")) &&
		    string_equal(json_string_at(object, "metadata.name"), json_string_at(like, "metadata.name")) &&
		    string_equal(json_string_at(object, "metadata.namespace"), json_string_at(like, "metadata.namespace")))
			return object;
	}
	return NULL;
}

/* The admin kubeconfig that the captured cluster-info was made from. */
static char *kubeconfig_text(const json_t *reference)
{
	JSON_CLEANUP json_t *like =
		json_build("{s:s, s:{s:s, s:s}}", "kind", "ConfigMap", "metadata", "name", "cluster-info", "namespace", "kube-public");
	const char *text = json_string_at(find(reference, like), "data.kubeconfig");
	struct error err;
	JSON_CLEANUP json_t *info = yaml_parse(text, strlen(text), &err);

	return string_printf("apiVersion: v1\nkind: Config\nclusters:\n- name: live\n  cluster:\n    server: %s\n"
	                     "    certificate-authority-data: %s\nusers:\n- name: a\n  user:\n    client-key-data: c2VjcmV0\n",
	                     json_string_at(info, "clusters[0].cluster.server"),
	                     json_string_at(info, "clusters[0].cluster.certificate-authority-data"));
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	BUFFER_CLEANUP struct buffer text = { 0 };
	FREE_CLEANUP char *path = string_printf("%s/test/golden/reference/in-tenant.yaml", getenv("KAMAJI_SOURCE_ROOT"));
	struct error err = { 0 };
	JSON_CLEANUP json_t *object = yaml_parse(tenant_text, strlen(tenant_text), &err);
	JSON_CLEANUP json_t *config_map = json_build("{s:{s:s}}", "data", "ClusterConfiguration", cluster_configuration);

	fixture->arena = arena_new();
	assert_int_equal(file_read(path, 1024 * 1024, &text, &err), 0);
	fixture->reference = yaml_parse_all(text.data, text.length, &err);
	assert_non_null(fixture->reference);
	if (tenant_parse(fixture->arena, object, NULL, &fixture->tenant, &err) < 0)
		fail_msg("%s", err.message);
	FREE_CLEANUP char *kubeconfig = kubeconfig_text(fixture->reference);

	assert_int_equal(cluster_inputs_read(&fixture->inputs, &fixture->tenant, config_map, kubeconfig, strlen(kubeconfig), &err), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	cluster_inputs_free(&fixture->inputs);
	json_decref(fixture->reference);
	arena_free(fixture->arena);
	free(fixture);
	return 0;
}

/* The tenant of the capture with these members (YAML) in spec and in status. */
static void parse_tenant(struct fixture *fixture, const char *spec, const char *status)
{
	struct error err = { 0 };
	JSON_CLEANUP json_t *object = yaml_parse(tenant_text, strlen(tenant_text), &err);
	JSON_CLEANUP json_t *members = yaml_parse(spec, strlen(spec), &err);

	assert_non_null(members);
	assert_int_equal(json_object_update(json_at(object, "spec"), members), 0);
	json_put(object, "status", yaml_parse(status, strlen(status), &err));
	if (tenant_parse(fixture->arena, object, NULL, &fixture->tenant, &err) < 0)
		fail_msg("%s", err.message);
}

static json_t *build_all(const struct fixture *fixture)
{
	json_t *objects = json_array();
	struct error err = { 0 };

	assert_int_equal(cluster_build_bootstrap_rbac(&fixture->inputs, objects, &err), 0);
	assert_int_equal(cluster_build_kubeadm_config(&fixture->inputs, objects, &err), 0);
	assert_int_equal(cluster_build_kubelet_config(&fixture->inputs, objects, &err), 0);
	assert_int_equal(cluster_build_cluster_info(&fixture->inputs, objects, &err), 0);
	assert_int_equal(cluster_build_core_dns(&fixture->inputs, "<uid>", objects, &err), 0);
	assert_int_equal(cluster_build_kube_proxy(&fixture->inputs, "<uid>", objects, &err), 0);
	return objects;
}

/* The one deliberate difference: the store's address stays outside. */
static void show_store(json_t *config_map)
{
	static const char hidden[] = "    - 127.0.0.1:2379\n";
	const char *text = json_string_at(config_map, "data.ClusterConfiguration"), *at = strstr(text, hidden);

	assert_non_null(at);
	json_put(config_map, "data.ClusterConfiguration",
	         json_string_printf("%.*s    - 10.244.0.1:2379\n%s", (int)(at - text), text, at + sizeof(hidden) - 1));
}

/* Every member we build is in the reference, and texts are equal to the byte; a watch covers every object. */
static void test_objects_are_in_reference(void **state)
{
	const struct fixture *fixture = *state;
	JSON_CLEANUP json_t *objects = build_all(fixture);
	size_t index;
	json_t *object;

	json_array_foreach(objects, index, object) {
		const json_t *reference = find(fixture->reference, object);

		assert_true(cluster_watches_cover(object));
		if (string_equal(json_string_at(object, "metadata.name"), "kubeadm-config"))
			show_store(object);
		FREE_CLEANUP char *name = string_printf("%s %s", json_string_at(object, "kind"), json_string_at(object, "metadata.name"));

		if (!reference)
			fail_msg("%s is not in the reference", name);
		if (json_at(object, "data")) {
			const char *key;
			json_t *value;

			json_object_foreach(json_at(object, "data"), key, value)
				assert_string_equal(json_string_value(value),
				                    json_string_value(json_object_get(json_at(reference, "data"), key)));
			assert_int_equal(json_object_size(json_at(object, "data")), json_object_size(json_at(reference, "data")));
		}
		if (!json_is_subset(object, reference)) {
			FREE_CLEANUP char *ours = json_canonical(object);
			FREE_CLEANUP char *theirs = json_canonical(reference);

			fail_msg("%s differs:\n%s\n%s", name, ours, theirs);
		}
	}
}

static void test_reference_is_complete(void **state)
{
	const struct fixture *fixture = *state;
	JSON_CLEANUP json_t *objects = build_all(fixture);
	size_t index;
	json_t *reference;

	json_array_foreach(fixture->reference, index, reference) {
		if (!find(objects, reference))
			fail_msg("%s %s is not built", json_string_at(reference, "kind"), json_string_at(reference, "metadata.name"));
		/* RBAC is written out in full by both sides. */
		if (string_has_prefix(json_string_at(reference, "apiVersion"), "rbac."))
			assert_true(json_equal(find(objects, reference), reference));
	}
	assert_int_equal(json_array_size(objects), json_array_size(fixture->reference));
}

static void test_inputs_refuse_wrong_kubeconfig(void **state)
{
	const struct fixture *fixture = *state;
	JSON_CLEANUP json_t *config_map = json_build("{s:{s:s}}", "data", "ClusterConfiguration", cluster_configuration);
	JSON_CLEANUP json_t *empty = json_object();
	struct cluster_inputs inputs;
	struct error err = { 0 };
	static const char no_cluster[] = "apiVersion: v1\nkind: Config\nclusters: []\n";

	assert_int_equal(cluster_inputs_read(&inputs, &fixture->tenant, config_map, no_cluster, strlen(no_cluster), &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_int_equal(cluster_inputs_read(&inputs, &fixture->tenant, empty, no_cluster, strlen(no_cluster), &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
}

static void test_kubelet_config_name_follows_version(void **state)
{
	char name[256];
	struct error err = { 0 };

	assert_int_equal(cluster_kubelet_config_name("v1.36.3", name, sizeof(name), &err), 0);
	assert_string_equal(name, "kubelet-config");
	assert_int_equal(cluster_kubelet_config_name("1.23.9", name, sizeof(name), &err), 0);
	assert_string_equal(name, "kubelet-config-1.23");
	assert_int_equal(cluster_kubelet_config_name("latest", name, sizeof(name), &err), -1);
}

static json_t *kubelet_config_of(struct fixture *fixture, const char *version, const char *patches)
{
	FREE_CLEANUP char *text =
		string_printf("apiVersion: kamaji.clastix.io/v1alpha1\nkind: TenantControlPlane\n"
	                      "metadata: {name: live, namespace: golden}\n"
	                      "spec: {dataStore: d, kubernetes: {version: %s, kubelet: {configurationJSONPatches: %s}}}\n",
	                      version, patches);
	JSON_CLEANUP json_t *objects = json_array();
	struct error err = { 0 };
	JSON_CLEANUP json_t *object = yaml_parse(text, strlen(text), &err);

	if (!object || tenant_parse(fixture->arena, object, NULL, &fixture->tenant, &err) < 0 ||
	    cluster_build_kubelet_config(&fixture->inputs, objects, &err) < 0)
		fail_msg("%s", err.message);
	const char *configuration = json_string_at(json_array_get(objects, 0), "data.kubelet");

	return yaml_parse(configuration, strlen(configuration), &err);
}

/* What each kubelet knows and takes with its own feature gates, from its types and validation. */
static void test_kubelet_config_follows_version(void **state)
{
	static const struct {
		const char *version;
		bool back_off, pull_policy, fail_cgroup_v1, merge, reservation;
	} cases[] = {
		{ "v1.30.14", false, false, false, false, false }, { "v1.31.1", false, false, false, false, false },
		{ "v1.32.0", false, false, false, false, false },  { "v1.33.7", false, false, false, true, false },
		{ "v1.34.3", false, false, false, true, false },   { "v1.35.0", true, true, true, true, false },
		{ "v1.36.3", true, true, true, true, true },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		JSON_CLEANUP json_t *configuration = kubelet_config_of(*state, cases[i].version, "[]");

		assert_int_equal(json_object_get(configuration, "crashLoopBackOff") != NULL, cases[i].back_off);
		assert_int_equal(json_object_get(configuration, "imagePullCredentialsVerificationPolicy") != NULL, cases[i].pull_policy);
		assert_int_equal(json_object_get(configuration, "failCgroupV1") != NULL, cases[i].fail_cgroup_v1);
		assert_int_equal(json_object_get(configuration, "mergeDefaultEvictionSettings") != NULL, cases[i].merge);
		assert_int_equal(json_object_get(configuration, "memoryReservationPolicy") != NULL, cases[i].reservation);
		assert_non_null(json_object_get(configuration, "containerLogMaxWorkers"));
	}
}

static void test_documented_patches_fit_every_version(void **state)
{
	static const char patches[] = "[{op: remove, path: /crashLoopBackOff}, {op: replace, path: /cgroupDriver, value: systemd}]";
	JSON_CLEANUP json_t *old = kubelet_config_of(*state, "v1.32.0", patches);
	JSON_CLEANUP json_t *new = kubelet_config_of(*state, "v1.36.0", patches);

	assert_string_equal(json_string_at(old, "cgroupDriver"), "systemd");
	assert_null(json_object_get(new, "crashLoopBackOff"));
}

/* kubeadm 1.30 reads v1beta3 and nothing newer; 1.31 writes v1beta4. */
static void test_kubeadm_config_follows_version(void **state)
{
	struct fixture *fixture = *state;
	struct error err = { 0 };

	fixture->tenant.version = "v1.30.14";
	JSON_CLEANUP json_t *objects = json_array();

	assert_int_equal(cluster_build_kubeadm_config(&fixture->inputs, objects, &err), 0);
	const char *text = json_string_at(json_array_get(objects, 0), "data.ClusterConfiguration");

	assert_non_null(strstr(text, "apiVersion: kubeadm.k8s.io/v1beta3\n"));
	assert_non_null(strstr(text, "  extraArgs:\n    etcd-compaction-interval: 0s\n    etcd-prefix: /live\n"));
	assert_null(strstr(text, "alidityPeriod"));
	assert_null(strstr(text, "encryptionAlgorithm"));
	assert_null(strstr(text, "proxy:"));

	fixture->tenant.version = "v1.31.0";
	assert_int_equal(cluster_build_kubeadm_config(&fixture->inputs, objects, &err), 0);
	assert_non_null(strstr(json_string_at(json_array_get(objects, 3), "data.ClusterConfiguration"), "kubeadm.k8s.io/v1beta4"));
}

static json_t *kube_dns_of(struct fixture *fixture)
{
	JSON_CLEANUP json_t *objects = json_array();
	JSON_CLEANUP json_t *like =
		json_build("{s:s, s:{s:s, s:s}}", "kind", "Service", "metadata", "name", "kube-dns", "namespace", "kube-system");
	struct error err = { 0 };

	assert_int_equal(cluster_build_core_dns(&fixture->inputs, "u", objects, &err), 0);
	return json_incref(find(objects, like));
}

/* Kubelets are told dnsServiceIPs: that is where the Service must be, unless it already is elsewhere. */
static void test_dns_service_is_where_kubelets_ask(void **state)
{
	struct fixture *fixture = *state;

	parse_tenant(fixture, "networkProfile: {port: 6443, dnsServiceIPs: [10.96.0.53]}", "{}");
	JSON_CLEANUP json_t *fresh = kube_dns_of(fixture);

	assert_string_equal(json_string_at(fresh, "spec.clusterIP"), "10.96.0.53");
	fixture->inputs.dns_address = "10.96.0.10";
	JSON_CLEANUP json_t *existing = kube_dns_of(fixture);

	assert_string_equal(json_string_at(existing, "spec.clusterIP"), "10.96.0.10");
}

static json_t *agent_of(struct fixture *fixture, const char *konnectivity)
{
	FREE_CLEANUP char *members = string_printf("addons: {konnectivity: %s}", konnectivity);
	JSON_CLEANUP json_t *objects = json_array();
	struct error err = { 0 };
	size_t index;
	json_t *object;

	parse_tenant(fixture, members, "controlPlaneEndpoint: '[fd00::1]:6443'");
	if (cluster_build_konnectivity_agent(&fixture->inputs, objects, &err) < 0)
		fail_msg("%s", err.message);
	json_array_foreach(objects, index, object)
		assert_true(cluster_watches_cover(object));
	return json_incref(json_array_get(objects, 2));
}

static void test_agent_takes_its_options(void **state)
{
	JSON_CLEANUP json_t *daemon_set = agent_of(*state, "{server: {port: 8132}, agent: {mode: DaemonSet}}");
	JSON_CLEANUP json_t *deployment = agent_of(*state, "{server: {port: 9}, agent: {mode: Deployment, replicas: 3, version: v9, image: "
	                                                   "r/a, extraArgs: [--proxy-server-host=h, --v=1]}}");
	JSON_CLEANUP json_t *expected = json_build(
		"[s,s,s,s,s,s,s,s,s]", "--admin-server-port=8133", "--ca-cert=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
		"--health-server-port=8134", "--logtostderr=true", "--proxy-server-host=h", "--proxy-server-port=9",
		"--service-account-token-path=/var/run/secrets/tokens/konnectivity-agent-token", "--v=1", "-v=8");

	assert_string_equal(json_string_at(daemon_set, "kind"), "DaemonSet");
	assert_string_equal(json_string_at(daemon_set, "spec.template.spec.containers[0].args[4]"), "--proxy-server-host=fd00::1");
	assert_string_equal(json_string_at(daemon_set, "spec.template.spec.containers[0].image"),
	                    "registry.k8s.io/kas-network-proxy/proxy-agent:v0.36.0");
	assert_null(json_at(daemon_set, "spec.replicas"));
	assert_string_equal(json_string_at(deployment, "kind"), "Deployment");
	assert_int_equal(json_integer_or(deployment, "spec.replicas", 0), 3);
	assert_string_equal(json_string_at(deployment, "spec.template.spec.containers[0].image"), "r/a:v9");
	assert_true(json_equal(json_at(deployment, "spec.template.spec.containers[0].args"), expected));
}

/* Advertised where and as kube-apiserver itself writes it, in both families. */
static void test_own_endpoint(void **state)
{
	struct fixture *fixture = *state;
	JSON_CLEANUP json_t *objects = json_array();
	struct error err = { 0 };

	parse_tenant(fixture, "{}", "{}");
	assert_int_equal(cluster_build_own_endpoint(&fixture->inputs, objects, &err), -1);
	assert_int_equal(err.class, ERROR_PENDING);
	parse_tenant(fixture, "{}", "controlPlaneEndpoint: '[fd00::1]:6443'");
	assert_int_equal(cluster_build_own_endpoint(&fixture->inputs, objects, &err), 0);
	parse_tenant(fixture, "networkProfile: {port: 7443, advertiseAddress: 192.0.2.7}", "controlPlaneEndpoint: '10.0.0.1:7443'");
	assert_int_equal(cluster_build_own_endpoint(&fixture->inputs, objects, &err), 0);
	assert_int_equal(json_array_size(objects), 2);
	const json_t *six = json_array_get(objects, 0), *four = json_array_get(objects, 1);
	const json_t *labels = json_at(four, "metadata.labels");

	assert_true(cluster_watches_cover(four));
	assert_string_equal(json_string_value(json_object_get(labels, "kubernetes.io/service-name")), "kubernetes");
	assert_string_equal(json_string_at(four, "metadata.namespace"), "default");
	assert_string_equal(json_string_at(four, "addressType"), "IPv4");
	assert_string_equal(json_string_at(four, "endpoints[0].addresses[0]"), "192.0.2.7");
	assert_int_equal(json_integer_or(four, "ports[0].port", 0), 7443);
	assert_string_equal(json_string_at(six, "addressType"), "IPv6");
	assert_string_equal(json_string_at(six, "endpoints[0].addresses[0]"), "fd00::1");
}

static void test_guard_blocks_what_is_asked(void **state)
{
	struct fixture *fixture = *state;
	JSON_CLEANUP json_t *objects = json_array();
	struct error err = { 0 };

	parse_tenant(fixture, "writePermissions: {blockUpdate: true}", "{}");
	assert_int_equal(cluster_build_write_guard(&fixture->inputs, objects, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	fixture->inputs.guard_url = "https://operator/write-permission";
	assert_int_equal(cluster_build_write_guard(&fixture->inputs, objects, &err), -1);
	assert_int_equal(err.class, ERROR_PENDING);
	fixture->inputs.guard_authorities = "Y2E=";
	assert_int_equal(cluster_build_write_guard(&fixture->inputs, objects, &err), 0);
	const json_t *guard = json_array_get(objects, 0);

	assert_true(cluster_watches_cover(guard));
	/* New nodes make leases: that is a creation, which nobody blocked. */
	assert_int_equal(json_array_size(json_at(guard, "webhooks")), 1);
	assert_string_equal(json_string_at(guard, "webhooks[0].rules[0].operations[0]"), "UPDATE");
	assert_string_equal(json_string_at(guard, "webhooks[0].clientConfig.url"), "https://operator/write-permission");
	assert_string_equal(json_string_at(guard, "webhooks[0].failurePolicy"), "Fail");
}

static void test_entries_hold_what_is_ours(void **state)
{
	JSON_CLEANUP json_t *object =
		json_build("{s:s, s:{s:s, s:s, s:{s:s, s:s}, s:[{s:s, s:s, s:{s:{s:{s:{}}}, s:{s:{}}}}]}, s:{s:s, s:s}, s:{s:i}}", "kind",
	                   "ConfigMap", "metadata", "name", "coredns", "namespace", "kube-system", "labels", "ours", "1", "theirs", "2",
	                   "managedFields", "manager", "kamaji", "operation", "Apply", "fieldsV1", "f:metadata", "f:labels", "f:ours",
	                   "f:data", "f:Corefile", "data", "Corefile", "x", "mine", "y", "status", "replicas", 1);

	cluster_watches_reduce(object, NULL);
	assert_non_null(json_at(object, "metadata.labels.ours"));
	assert_null(json_at(object, "metadata.labels.theirs"));
	assert_string_equal(json_string_at(object, "data.Corefile"), "x");
	assert_null(json_at(object, "data.mine"));
	assert_null(json_at(object, "status"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_objects_are_in_reference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reference_is_complete, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inputs_refuse_wrong_kubeconfig, set_up, tear_down),
		cmocka_unit_test(test_kubelet_config_name_follows_version),
		cmocka_unit_test_setup_teardown(test_kubelet_config_follows_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_documented_patches_fit_every_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kubeadm_config_follows_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dns_service_is_where_kubelets_ask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_agent_takes_its_options, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_own_endpoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_guard_blocks_what_is_asked, set_up, tear_down),
		cmocka_unit_test(test_entries_hold_what_is_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
