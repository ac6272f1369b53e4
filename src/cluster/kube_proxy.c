/* SPDX-License-Identifier: Apache-2.0 */
/* The kube-proxy add-on, as kubeadm installs it; its own defaults apply at run time, so the configuration spells out zero values. */
#include "base/strings.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

#define OWNER "kubeadm:node-proxier"

static const char proxy_configuration[] = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
					  "bindAddress: 0.0.0.0\n"
					  "bindAddressHardFail: false\n"
					  "clientConnection:\n"
					  "  acceptContentTypes: \"\"\n"
					  "  burst: 0\n"
					  "  contentType: \"\"\n"
					  "  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf\n"
					  "  qps: 0\n"
					  "clusterCIDR: \"\"\n"
					  "configSyncPeriod: 0s\n"
					  "conntrack:\n"
					  "  maxPerCore: null\n"
					  "  min: null\n"
					  "  tcpBeLiberal: false\n"
					  "  tcpCloseWaitTimeout: null\n"
					  "  tcpEstablishedTimeout: null\n"
					  "  udpStreamTimeout: 0s\n"
					  "  udpTimeout: 0s\n"
					  "detectLocal:\n"
					  "  bridgeInterface: \"\"\n"
					  "  interfaceNamePrefix: \"\"\n"
					  "detectLocalMode: \"\"\n"
					  "enableProfiling: false\n"
					  "healthzBindAddress: \"\"\n"
					  "hostnameOverride: \"\"\n"
					  "iptables:\n"
					  "  localhostNodePorts: null\n"
					  "  masqueradeAll: false\n"
					  "  masqueradeBit: null\n"
					  "  minSyncPeriod: 0s\n"
					  "  syncPeriod: 0s\n"
					  "ipvs:\n"
					  "  excludeCIDRs: null\n"
					  "  minSyncPeriod: 0s\n"
					  "  scheduler: \"\"\n"
					  "  strictARP: false\n"
					  "  syncPeriod: 0s\n"
					  "  tcpFinTimeout: 0s\n"
					  "  tcpTimeout: 0s\n"
					  "  udpTimeout: 0s\n"
					  "kind: KubeProxyConfiguration\n"
					  "logging:\n"
					  "  flushFrequency: 0\n"
					  "  options:\n"
					  "    json:\n"
					  "      infoBufferSize: \"0\"\n"
					  "    text:\n"
					  "      infoBufferSize: \"0\"\n"
					  "  verbosity: 0\n"
					  "metricsBindAddress: \"\"\n"
					  "mode: \"\"\n"
					  "nftables:\n"
					  "  masqueradeAll: false\n"
					  "  masqueradeBit: null\n"
					  "  minSyncPeriod: 0s\n"
					  "  syncPeriod: 0s\n"
					  "nodePortAddresses: null\n"
					  "oomScoreAdj: null\n"
					  "portRange: \"\"\n"
					  "showHiddenMetricsForVersion: \"\"\n"
					  "winkernel:\n"
					  "  enableDSR: false\n"
					  "  forwardHealthCheckVip: false\n"
					  "  networkName: \"\"\n"
					  "  rootHnsEndpointName: \"\"\n"
					  "  sourceVip: \"\"";

/* In kubeadm's own order, without a newline at the end. */
static const char proxy_kubeconfig[] = "apiVersion: v1\n"
				       "kind: Config\n"
				       "clusters:\n"
				       "- cluster:\n"
				       "    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt\n"
				       "    server: https://%s\n"
				       "  name: default\n"
				       "contexts:\n"
				       "- context:\n"
				       "    cluster: default\n"
				       "    namespace: default\n"
				       "    user: default\n"
				       "  name: default\n"
				       "current-context: default\n"
				       "users:\n"
				       "- name: default\n"
				       "  user:\n"
				       "    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token";

static json_t *config_map(const struct cluster_inputs *inputs)
{
	json_t *object = cluster_object("v1", "ConfigMap", "kube-system", "kube-proxy");
	FREE_CLEANUP char *kubeconfig =
		string_printf(proxy_kubeconfig, json_string_or(inputs->cluster_configuration, "ControlPlaneEndpoint", ""));

	json_put(object, "metadata.labels", json_build("{s:s}", "app", "kube-proxy"));
	json_put(object, "data", json_build("{s:s, s:s}", "config.conf", proxy_configuration, "kubeconfig.conf", kubeconfig));
	cluster_mark_add_on(object, OWNER, NULL);
	return object;
}

static json_t *container(const struct tenant_control_plane *tenant)
{
	const char *repository = json_string_or(tenant->kube_proxy, "imageRepository", "");
	const char *tag = json_string_or(tenant->kube_proxy, "imageTag", "");

	return json_build(
		"{s:s, s:o, s:s, s:[s,s,s], s:[{s:s, s:{s:{s:s, s:s}}}], s:{s:b}, s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s, s:b}]}", "name",
		"kube-proxy", "image",
		json_string_printf("%s/kube-proxy:%s", *repository ? repository : "registry.k8s.io", *tag ? tag : tenant->version),
		"imagePullPolicy", "IfNotPresent", "command", "/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf",
		"--hostname-override=$(NODE_NAME)", "env", "name", "NODE_NAME", "valueFrom", "fieldRef", "apiVersion", "v1", "fieldPath",
		"spec.nodeName", "securityContext", "privileged", 1, "volumeMounts", "name", "kube-proxy", "mountPath",
		"/var/lib/kube-proxy", "name", "xtables-lock", "mountPath", "/run/xtables.lock", "name", "lib-modules", "mountPath",
		"/lib/modules", "readOnly", 1);
}

static json_t *daemon_set(const struct tenant_control_plane *tenant)
{
	json_t *object = cluster_object("apps/v1", "DaemonSet", "kube-system", "kube-proxy");

	json_put(object, "metadata.labels", json_build("{s:s}", "k8s-app", "kube-proxy"));
	json_put(object, "spec.selector.matchLabels", json_build("{s:s}", "k8s-app", "kube-proxy"));
	json_put(object, "spec.updateStrategy", json_build("{s:s}", "type", "RollingUpdate"));
	json_put(object, "spec.template.metadata.labels", json_build("{s:s}", "k8s-app", "kube-proxy"));
	json_put(object, "spec.template.spec",
	         json_build("{s:s, s:[o], s:b, s:s, s:{s:s}, s:[{s:s}], s:[{s:s, s:{s:s}}, {s:s, s:{s:s, s:s}}, {s:s, s:{s:s}}]}",
	                    "priorityClassName", "system-node-critical", "containers", container(tenant), "hostNetwork", 1,
	                    "serviceAccountName", "kube-proxy", "nodeSelector", "kubernetes.io/os", "linux", "tolerations", "operator",
	                    "Exists", "volumes", "name", "kube-proxy", "configMap", "name", "kube-proxy", "name", "xtables-lock",
	                    "hostPath", "path", "/run/xtables.lock", "type", "FileOrCreate", "name", "lib-modules", "hostPath", "path",
	                    "/lib/modules"));
	return object;
}

int cluster_build_kube_proxy(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err)
{
	if (!inputs->tenant->kube_proxy)
		return 0;
	json_t *owner = cluster_binding(NULL, OWNER, "system:node-proxier",
	                                json_build("[o]", cluster_subject_service_account("kube-system", "kube-proxy")));

	cluster_mark_add_on(owner, OWNER, NULL);
	(void)json_array_append_new(objects, owner);
	if (!owner_uid)
		return 0;

	json_t *owned[] = {
		cluster_object("v1", "ServiceAccount", "kube-system", "kube-proxy"),
		cluster_role("kube-system", "kube-proxy", cluster_rule_get_config_map("kube-proxy")),
		cluster_binding("kube-system", "kube-proxy", "kube-proxy",
		                json_build("[o]", cluster_subject_group(CLUSTER_BOOTSTRAPPERS_GROUP))),
		daemon_set(inputs->tenant),
	};

	(void)json_array_append_new(objects, config_map(inputs));
	for (size_t i = 0; i < ARRAY_LENGTH(owned); i++) {
		cluster_mark_add_on(owned[i], OWNER, owner_uid);
		(void)json_array_append_new(objects, owned[i]);
	}
	return 0;
}
