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
	FREE_CLEANUP char *path = string_printf("%s/test/unit/cluster/reference/in-tenant.yaml", getenv("KAMAJI_SOURCE_ROOT"));
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

/* Every member we build is in the reference, and texts are equal to the byte. */
static void test_objects_are_in_reference(void **state)
{
	const struct fixture *fixture = *state;
	JSON_CLEANUP json_t *objects = build_all(fixture);
	size_t index;
	json_t *object;

	json_array_foreach(objects, index, object) {
		const json_t *reference = find(fixture->reference, object);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_objects_are_in_reference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reference_is_complete, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inputs_refuse_wrong_kubeconfig, set_up, tear_down),
		cmocka_unit_test(test_kubelet_config_name_follows_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
