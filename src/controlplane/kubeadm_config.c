/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConfigMap <tenant>-kubeadmconfig: kubeadm's internal InitConfiguration and ClusterConfiguration as Go prints them, in declaration order,
 * each on one line. Upstream's kubeconfig checksums hash this text, so every byte counts.
 */
#include <string.h>

#include "controlplane/kubeadm_text.h"
#include "controlplane/pass.h"

static json_t *string_items(const char *const *items, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string_new(items[i]));
	return list;
}

static char *joined(const struct string_array *items, struct arena *arena)
{
	struct string_list list STRING_LIST_CLEANUP = { 0 };
	char *text FREE_CLEANUP = NULL;

	for (size_t i = 0; i < items->count; i++)
		string_list_add(&list, items->items[i]);
	text = string_list_join(&list, ",");
	return arena_strdup(arena, text ? text : "");
}

static json_t *component(void)
{
	return json_build("{s:n,s:n,s:n}", "ExtraArgs", "ExtraVolumes", "ExtraEnvs");
}

static json_t *etcd_endpoints(struct pass *pass)
{
	const struct data_store *store = pass->input->data_store.store;

	if (store->driver != DATA_STORE_ETCD)
		return json_build("[s]", "127.0.0.1:2379");
	return string_items(store->endpoints.items, store->endpoints.count);
}

static json_t *api_server_configuration(struct pass *pass)
{
	size_t count = 0;

	while (pass->state->certificate_sans[count])
		count++;
	return json_build("{s:[{s:s,s:s},{s:s,s:o}],s:n,s:n,s:o,s:s}", "ExtraArgs", "Name", "etcd-compaction-interval", "Value", "0s",
	                  "Name", "etcd-prefix", "Value", json_string_printf("/%s", pass->input->tenant->name), "ExtraVolumes", "ExtraEnvs",
	                  "CertSANs", string_items(pass->state->certificate_sans, count), "TimeoutForControlPlane", "0s");
}

static json_t *cluster_configuration(struct pass *pass)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	json_t *object = json_object();

	json_put(object, "ComponentConfigs", json_null());
	json_put(object, "Etcd",
	         json_build("{s:n,s:{s:o,s:n,s:s,s:s,s:s}}", "Local", "External", "Endpoints", etcd_endpoints(pass), "HTTPEndpoints",
	                    "CAFile", "", "CertFile", "", "KeyFile", ""));
	json_put(object, "Networking",
	         json_build("{s:s,s:s,s:s}", "ServiceSubnet", joined(&tenant->service_cidrs, pass->arena), "PodSubnet",
	                    joined(&tenant->pod_cidrs, pass->arena), "DNSDomain", tenant->cluster_domain));
	json_put_string(object, "KubernetesVersion", tenant->version);
	json_put_string(object, "CIKubernetesVersion", "");
	json_put_string(object, "ControlPlaneEndpoint", tenant_kubeadm_endpoint(pass->arena, tenant, &pass->state->endpoint));
	json_put(object, "APIServer", api_server_configuration(pass));
	json_put(object, "ControllerManager", component());
	json_put(object, "Scheduler", component());
	json_put(object, "DNS", json_build("{s:s,s:s,s:b}", "ImageRepository", "", "ImageTag", "", "Disabled", 0));
	json_put(object, "Proxy", json_build("{s:b}", "Disabled", 0));
	json_put_string(object, "CertificatesDir", "/etc/kubernetes/pki");
	json_put_string(object, "ImageRepository", "registry.k8s.io");
	json_put_string(object, "CIImageRepository", "");
	json_put(object, "FeatureGates", json_null());
	json_put_string(object, "ClusterName", tenant->name);
	json_put_string(object, "EncryptionAlgorithm", "RSA-2048");
	json_put_string(object, "CertificateValidityPeriod", "8760h0m0s");
	json_put_string(object, "CACertificateValidityPeriod", "87600h0m0s");
	return object;
}

static json_t *init_configuration(const struct endpoint *endpoint)
{
	json_t *object = json_object();

	json_put(object, "BootstrapTokens",
	         json_build("[{s:s,s:s,s:[ss],s:[s]}]", "token", "abcdef.0123456789abcdef", "ttl", "24h0m0s", "usages", "signing",
	                    "authentication", "groups", "system:bootstrappers:kubeadm:default-node-token"));
	json_put(object, "DryRun", json_false());
	json_put(object, "NodeRegistration",
	         json_build("{s:s,s:s,s:n,s:n,s:n,s:s,s:b}", "Name", "node", "CRISocket", "unix:///var/run/containerd/containerd.sock",
	                    "Taints", "KubeletExtraArgs", "IgnorePreflightErrors", "imagePullPolicy", "IfNotPresent", "ImagePullSerial",
	                    1));
	json_put(object, "LocalAPIEndpoint", json_build("{s:s,s:i}", "AdvertiseAddress", endpoint->host, "BindPort", (int)endpoint->port));
	json_put_string(object, "CertificateKey", "");
	json_put(object, "SkipPhases", json_null());
	json_put(object, "Patches", json_null());
	json_put(object, "Timeouts",
	         json_build("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "ControlPlaneComponentHealthCheck", "4m0s", "KubeletHealthCheck", "4m0s",
	                    "KubernetesAPICall", "1m0s", "EtcdAPICall", "2m0s", "TLSBootstrap", "5m0s", "Discovery", "5m0s",
	                    "UpgradeManifests", "5m0s"));
	return object;
}

/* kubeadm's certSANs: fixed names, the assigned address, the user's in order, the advertised address when it is another one. */
static const char *const *certificate_sans(struct pass *pass)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const char **names = arena_alloc(pass->arena, (tenant->certificate_names.count + 8) * sizeof(*names));
	const char *host = names_service_host(pass->arena, tenant->name, tenant->namespace);
	size_t count = 0;

	names[count++] = "127.0.0.1";
	names[count++] = "localhost";
	names[count++] = tenant->name;
	names[count++] = host;
	names[count++] = arena_printf(pass->arena, "%s.cluster.local", host);
	names[count++] = pass->state->endpoint.host;
	for (size_t i = 0; i < tenant->certificate_names.count; i++)
		names[count++] = tenant->certificate_names.items[i];
	if (!string_empty(tenant->advertise_address) && strcmp(tenant->advertise_address, pass->state->endpoint.host) != 0)
		names[count++] = tenant->advertise_address;
	return names;
}

static const char *text_of(struct arena *arena, json_t *object)
{
	char *text FREE_CLEANUP = json_text(object);

	json_decref(object);
	return arena_strdup(arena, text);
}

int kubeadm_config_plan(struct pass *pass, struct error *err)
{
	const char *name = names_object(pass->arena, pass->input->tenant->name, SUFFIX_KUBEADM_CONFIG);
	struct digest_entry entries[2];
	char checksum[DIGEST_HEX_SIZE];
	const char *init, *cluster;
	json_t *object;

	pass->state->certificate_sans = certificate_sans(pass);
	init = arena_printf(pass->arena, "%s\n", text_of(pass->arena, init_configuration(&pass->state->endpoint)));
	cluster = arena_printf(pass->arena, "%s\n", text_of(pass->arena, cluster_configuration(pass)));
	entries[0] = (struct digest_entry){ KEY_CLUSTER_CONFIGURATION, cluster, strlen(cluster) };
	entries[1] = (struct digest_entry){ KEY_INIT_CONFIGURATION, init, strlen(init) };
	digest_entries_hex(entries, ARRAY_LENGTH(entries), checksum);

	object = pass_new_object(pass, "v1", "ConfigMap", name, "kubeadmconfig");
	json_put(object, "metadata.annotations", json_build("{s:s}", ANNOTATION_CHECKSUM, checksum));
	json_put(object, "data", json_build("{s:s,s:s}", KEY_CLUSTER_CONFIGURATION, cluster, KEY_INIT_CONFIGURATION, init));
	pass_want(pass, "kubeadmconfig", OBJECT_CONFIG_MAP, name, object, pass->input->kubeadm_config_map);
	pass_record(pass, STAGE_CREDENTIALS, "kubeadmconfig", json_build("{s:s,s:s}", "configmapName", name, "checksum", checksum), true);
	return 0;
}

/*
 * Upstream's Configuration.Checksum(): MD5 over the InitConfiguration as sorted YAML, then the JSON of an empty kubeconfig, then the JSON of
 * empty parameters. For kubeconfigs of pods the advertised address is replaced by the loopback address first.
 */
void kubeadm_config_checksum(const char *address, uint16_t port, char hex[DIGEST_HEX_SIZE])
{
	static const char before[] = "BootstrapTokens:\n"
				     "- groups:\n"
				     "  - system:bootstrappers:kubeadm:default-node-token\n"
				     "  token: abcdef.0123456789abcdef\n"
				     "  ttl: 24h0m0s\n"
				     "  usages:\n"
				     "  - signing\n"
				     "  - authentication\n"
				     "CertificateKey: \"\"\n"
				     "DryRun: false\n"
				     "LocalAPIEndpoint:\n"
				     "  AdvertiseAddress: ";
	static const char after[] = "NodeRegistration:\n"
				    "  CRISocket: unix:///var/run/containerd/containerd.sock\n"
				    "  IgnorePreflightErrors: null\n"
				    "  ImagePullSerial: true\n"
				    "  KubeletExtraArgs: null\n"
				    "  Name: node\n"
				    "  Taints: null\n"
				    "  imagePullPolicy: IfNotPresent\n"
				    "Patches: null\n"
				    "SkipPhases: null\n"
				    "Timeouts:\n"
				    "  ControlPlaneComponentHealthCheck: 4m0s\n"
				    "  Discovery: 5m0s\n"
				    "  EtcdAPICall: 2m0s\n"
				    "  KubeletHealthCheck: 4m0s\n"
				    "  KubernetesAPICall: 1m0s\n"
				    "  TLSBootstrap: 5m0s\n"
				    "  UpgradeManifests: 5m0s\n";
	static const char kubeconfig[] = "{\"preferences\":{},\"clusters\":null,\"users\":null,\"contexts\":null,\"current-context\":\"\"}";
	static const char parameters[] =
		"{\"TenantControlPlaneName\":\"\",\"TenantControlPlaneNamespace\":\"\",\"TenantControlPlaneEndpoint\":\"\","
		"\"TenantControlPlaneAddress\":\"\",\"TenantControlPlaneCertSANs\":null,\"TenantControlPlanePort\":0,"
		"\"TenantControlPlaneClusterDomain\":\"\",\"TenantControlPlanePodCIDR\":null,\"TenantControlPlaneServiceCIDR\":null,"
		"\"TenantDNSServiceIPs\":null,\"TenantControlPlaneVersion\":\"\",\"TenantControlPlaneCGroupDriver\":\"\",\"ETCDs\":null,"
		"\"CertificatesDir\":\"\",\"KubeconfigDir\":\"\",\"KubeProxyOptions\":null,\"CoreDNSOptions\":null}";
	struct digest *digest DIGEST_CLEANUP = digest_new(DIGEST_MD5);
	char *endpoint FREE_CLEANUP = string_printf("%s\n  BindPort: %u\n", address, port);

	digest_add_string(digest, before);
	digest_add_string(digest, endpoint);
	digest_add_string(digest, after);
	digest_add_string(digest, kubeconfig);
	digest_add_string(digest, parameters);
	digest_finish_hex(digest, hex);
}
