/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConfigMap kube-system/kubelet-config: the KubeletConfiguration that joining nodes take. All defaults are spelled out, as kubeadm's
 * upload-config writes them: those of the 1.36 types, less what a kubelet of the tenant's own version would refuse or take for another
 * wish than its default.
 */
#include <stdio.h>
#include <string.h>

#include "base/strings.h"
#include "base/version.h"
#include "base/yaml.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"
#include "cluster/json_patch.h"

static const char kubelet_defaults[] = "address: 0.0.0.0\n"
				       "apiVersion: kubelet.config.k8s.io/v1beta1\n"
				       "authentication:\n"
				       "  anonymous:\n"
				       "    enabled: false\n"
				       "  webhook:\n"
				       "    cacheTTL: 2m0s\n"
				       "    enabled: true\n"
				       "  x509:\n"
				       "    clientCAFile: /etc/kubernetes/pki/ca.crt\n"
				       "authorization:\n"
				       "  mode: Webhook\n"
				       "  webhook:\n"
				       "    cacheAuthorizedTTL: 5m0s\n"
				       "    cacheUnauthorizedTTL: 30s\n"
				       "cgroupsPerQOS: true\n"
				       "configMapAndSecretChangeDetectionStrategy: Watch\n"
				       "containerLogMaxFiles: 5\n"
				       "containerLogMaxSize: 10Mi\n"
				       "containerLogMaxWorkers: 1\n"
				       "containerLogMonitorInterval: 10s\n"
				       "containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n"
				       "contentType: application/vnd.kubernetes.protobuf\n"
				       "cpuCFSQuota: true\n"
				       "cpuCFSQuotaPeriod: 100ms\n"
				       "cpuManagerPolicy: none\n"
				       "cpuManagerReconcilePeriod: 10s\n"
				       "crashLoopBackOff:\n"
				       "  maxContainerRestartPeriod: 5m0s\n"
				       "enableControllerAttachDetach: true\n"
				       "enableDebugFlagsHandler: true\n"
				       "enableDebuggingHandlers: true\n"
				       "enableProfilingHandler: true\n"
				       "enableServer: true\n"
				       "enableSystemLogHandler: true\n"
				       "enforceNodeAllocatable:\n"
				       "- pods\n"
				       "eventBurst: 100\n"
				       "eventRecordQPS: 50\n"
				       "evictionPressureTransitionPeriod: 5m0s\n"
				       "failCgroupV1: true\n"
				       "failSwapOn: true\n"
				       "fileCheckFrequency: 20s\n"
				       "hairpinMode: promiscuous-bridge\n"
				       "healthzBindAddress: 127.0.0.1\n"
				       "healthzPort: 10248\n"
				       "httpCheckFrequency: 20s\n"
				       "imageGCHighThresholdPercent: 85\n"
				       "imageGCLowThresholdPercent: 80\n"
				       "imageMaximumGCAge: 0s\n"
				       "imageMinimumGCAge: 2m0s\n"
				       "imagePullCredentialsVerificationPolicy: NeverVerifyPreloadedImages\n"
				       "iptablesDropBit: 15\n"
				       "iptablesMasqueradeBit: 14\n"
				       "kind: KubeletConfiguration\n"
				       "kubeAPIBurst: 100\n"
				       "kubeAPIQPS: 50\n"
				       "localStorageCapacityIsolation: true\n"
				       "logging:\n"
				       "  flushFrequency: 5s\n"
				       "  format: text\n"
				       "  options:\n"
				       "    json:\n"
				       "      infoBufferSize: \"0\"\n"
				       "    text:\n"
				       "      infoBufferSize: \"0\"\n"
				       "  verbosity: 0\n"
				       "makeIPTablesUtilChains: true\n"
				       "maxOpenFiles: 1000000\n"
				       "maxPods: 110\n"
				       "memoryManagerPolicy: None\n"
				       "memoryReservationPolicy: None\n"
				       "memorySwap: {}\n"
				       "memoryThrottlingFactor: 0.9\n"
				       "mergeDefaultEvictionSettings: false\n"
				       "nodeLeaseDurationSeconds: 40\n"
				       "nodeStatusMaxImages: 50\n"
				       "nodeStatusReportFrequency: 5m0s\n"
				       "nodeStatusUpdateFrequency: 10s\n"
				       "oomScoreAdj: -999\n"
				       "podLogsDir: /var/log/pods\n"
				       "podPidsLimit: -1\n"
				       "port: 10250\n"
				       "registerNode: true\n"
				       "registryBurst: 10\n"
				       "registryPullQPS: 5\n"
				       "rotateCertificates: true\n"
				       "runtimeRequestTimeout: 2m0s\n"
				       "seccompDefault: false\n"
				       "serializeImagePulls: true\n"
				       "shutdownGracePeriod: 0s\n"
				       "shutdownGracePeriodCriticalPods: 0s\n"
				       "staticPodPath: /etc/kubernetes/manifests\n"
				       "streamingConnectionIdleTimeout: 4h0m0s\n"
				       "syncFrequency: 1m0s\n"
				       "topologyManagerPolicy: none\n"
				       "topologyManagerScope: container\n"
				       "volumePluginDir: /usr/libexec/kubernetes/kubelet-plugins/volume/exec/\n"
				       "volumeStatsAggPeriod: 1m0s\n";

/* Members of the defaults above that came later than 1.30. */
static const struct {
	const char *member;
	unsigned minor; /* written from here on */
} later_members[] = {
	{ "crashLoopBackOff", 35 },                       /* 1.32 to 1.34 refuse it while its feature gate is off, their default */
	{ "imagePullCredentialsVerificationPolicy", 35 }, /* likewise 1.33 and 1.34 */
	{ "failCgroupV1", 35 },                           /* known since 1.31, where the default is false */
	{ "mergeDefaultEvictionSettings", 33 },           /* unknown before */
	{ "memoryReservationPolicy", 36 },                /* unknown before */
};

static void drop_later_members(json_t *configuration, const struct version *version)
{
	for (size_t i = 0; i < ARRAY_LENGTH(later_members); i++) {
		if (version->major == 1 && version->minor < later_members[i].minor)
			(void)json_object_del(configuration, later_members[i].member);
	}
}

static json_t *string_list(const struct string_array *strings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < strings->count; i++)
		(void)json_array_append_new(list, json_string_new(strings->items[i]));
	return list;
}

static json_t *kubelet_configuration(const struct tenant_control_plane *tenant, struct error *err)
{
	const char *driver = json_string_at(tenant->spec, "kubernetes.kubelet.cgroupfs");
	struct version version;
	json_t *configuration;

	if (version_parse(tenant->version, "spec.kubernetes.version", &version, err) < 0)
		return NULL;
	configuration = yaml_parse(kubelet_defaults, sizeof(kubelet_defaults) - 1, err);
	if (!configuration)
		return NULL;
	drop_later_members(configuration, &version);
	if (!string_empty(driver))
		json_put_string(configuration, "cgroupDriver", driver);
	if (tenant->dns_service_ips.count > 0)
		json_put(configuration, "clusterDNS", string_list(&tenant->dns_service_ips));
	if (!string_empty(tenant->cluster_domain))
		json_put_string(configuration, "clusterDomain", tenant->cluster_domain);
	if (json_patch_apply(&configuration, json_at(tenant->spec, "kubernetes.kubelet.configurationJSONPatches"), err) < 0) {
		error_wrap(err, "spec.kubernetes.kubelet.configurationJSONPatches");
		json_decref(configuration);
		return NULL;
	}
	return configuration;
}

int cluster_kubelet_config_name(const char *version, char *name, size_t size, struct error *err)
{
	struct version parsed;

	if (version_parse(version, "spec.kubernetes.version", &parsed, err) < 0)
		return -1;
	if (parsed.major > 1 || parsed.minor >= 24)
		(void)snprintf(name, size, "kubelet-config");
	else
		(void)snprintf(name, size, "kubelet-config-%u.%u", parsed.major, parsed.minor);
	return 0;
}

int cluster_build_kubelet_config(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	static const char role[] = "kubeadm:kubelet-config";
	char name[256];

	if (cluster_kubelet_config_name(inputs->tenant->version, name, sizeof(name), err) < 0)
		return -1;
	JSON_CLEANUP json_t *configuration = kubelet_configuration(inputs->tenant, err);

	if (!configuration)
		return -1;
	FREE_CLEANUP char *text = yaml_text(configuration, true);
	json_t *config_map = cluster_object("v1", "ConfigMap", "kube-system", name);

	json_put(config_map, "data", json_build("{s:s}", "kubelet", text));
	(void)json_array_append_new(objects, config_map);
	(void)json_array_append_new(objects, cluster_role("kube-system", role, cluster_rule_get_config_map(name)));
	(void)json_array_append_new(objects, cluster_binding("kube-system", role, role,
	                                                     json_build("[o, o]", cluster_subject_group("system:nodes"),
	                                                                cluster_subject_group(CLUSTER_BOOTSTRAPPERS_GROUP))));
	return 0;
}
