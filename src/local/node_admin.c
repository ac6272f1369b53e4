/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_admin.h"

#include <stdio.h>
#include <string.h>

#include "io/file.h"
#include "local/local_pki.h"
#include "local/node_config.h"
#include "local/node_containerd.h"
#include "pki/digest.h"

char *node_admin_containerd_socket(const char *directory)
{
	return string_printf("%s/containerd.sock", directory);
}

char *node_admin_containerd_config(const struct node_admin_options *options)
{
	FREE_CLEANUP char *socket = node_admin_containerd_socket(options->directory);
	return node_containerd_config(&(struct node_containerd_options){
		.socket = socket,
		.state = "/run/containerd",
		.cni_folder = options->programs.cni_folder,
		.runc = options->programs.runc,
		.pause_image = options->pause_image,
		.facts = &options->facts,
	});
}

char *node_admin_kubelet_config(const struct node_admin_options *options)
{
	char dns[LOCAL_ADDRESS_TEXT_MAX];
	FREE_CLEANUP char *id = local_admin_node_id(options->number);
	local_address_format(options->plan.dns_service, dns);
	JSON_CLEANUP json_t *config = json_build(
		"{s:s, s:s, s:{s:{s:b}, s:{s:b}, s:{s:o}}, s:{s:s}, s:o, s:o, s:[s], s:s, s:s, s:o, s:b, s:b, s:i, s:s, s:i, s:o, s:s, "
		"s:s, s:s, s:s}",
		"apiVersion", "kubelet.config.k8s.io/v1beta1", "kind", "KubeletConfiguration", "authentication", "anonymous", "enabled", 0,
		"webhook", "enabled", 1, "x509", "clientCAFile", json_string_printf("%s/ca.crt", options->pki), "authorization", "mode",
		"Webhook", "tlsCertFile", json_string_printf("%s/kubelet-server.crt", options->pki), "tlsPrivateKeyFile",
		json_string_printf("%s/kubelet-server.key", options->pki), "clusterDNS", dns, "clusterDomain", "cluster.local",
		"cgroupDriver", "cgroupfs", "cgroupRoot", json_string_printf("/%s/%s", options->names.cgroup, id), "failSwapOn", 0,
		"serializeImagePulls", 0, "imageGCHighThresholdPercent", 100,
		/* Images imported from an archive must count as allowed although no pull recorded them. */
		"imagePullCredentialsVerificationPolicy", "NeverVerify", "maxPods", 500, "containerRuntimeEndpoint",
		json_string_printf("unix://%s/containerd.sock", options->directory), "resolvConf", "/etc/resolv.conf",
		"containerLogMaxSize", "8Mi", "nodeStatusUpdateFrequency", "2s", "nodeStatusReportFrequency", "5m");
	/* A developer's disk is often nearly full; evicting pods would not help it. */
	json_put(config, "evictionHard",
	         json_pack("{s:s, s:s, s:s, s:s}", "nodefs.available", "0%", "nodefs.inodesFree", "0%", "imagefs.available", "0%",
	                   "imagefs.inodesFree", "0%"));
	if (options->facts.cgroup.version == 1)
		json_put(config, "failCgroupV1", json_false());
	return json_text(config);
}

char *node_admin_kube_proxy_config(const struct node_admin_options *options)
{
	char pods[LOCAL_CIDR_TEXT_MAX];
	local_cidr_format(options->plan.pods, pods);
	/* Zero leaves the conntrack settings alone: they are the host's and cannot be written from a node. */
	JSON_CLEANUP json_t *config = json_build(
		"{s:s, s:s, s:s, s:s, s:s, s:{s:o}, s:{s:i, s:i, s:s, s:s}, s:s, s:s}", "apiVersion", "kubeproxy.config.k8s.io/v1alpha1",
		"kind", "KubeProxyConfiguration", "mode", options->nftables ? "nftables" : "iptables", "clusterCIDR", pods,
		"hostnameOverride", options->node.hostname, "clientConnection", "kubeconfig",
		json_string_printf("%s/proxy.kubeconfig", options->pki), "conntrack", "maxPerCore", 0, "min", 0, "tcpEstablishedTimeout",
		"0s", "tcpCloseWaitTimeout", "0s", "healthzBindAddress", "127.0.0.1:10256", "metricsBindAddress", "127.0.0.1:10249");
	return json_text(config);
}

char *node_admin_cni_config(const struct node_admin_options *options)
{
	char pods[LOCAL_CIDR_TEXT_MAX];
	local_cidr_format(local_admin_node_pods(&options->plan, options->number), pods);
	/* Traffic that leaves the environment is masqueraded on the host, once for all nodes. */
	JSON_CLEANUP json_t *plugin =
		json_build("{s:s, s:{s:s, s:[[{s:s}]], s:[{s:s}]}}", "type", options->bridge_netfilter ? "bridge" : "ptp", "ipam", "type",
	                   "host-local", "ranges", "subnet", pods, "routes", "dst", "0.0.0.0/0");
	if (options->bridge_netfilter) {
		json_put_string(plugin, "bridge", "cni0");
		json_put(plugin, "isGateway", json_true());
		json_put(plugin, "hairpinMode", json_true());
	}
	JSON_CLEANUP json_t *config = json_build("{s:s, s:s, s:[O]}", "cniVersion", "1.0.0", "name", "kamaji-local", "plugins", plugin);
	return json_text(config);
}

static bool is_loopback_server(const char *line)
{
	line += strlen("nameserver");
	line += strspn(line, " \t");
	return string_has_prefix(line, "127.") || string_has_prefix(line, "::1");
}

char *node_admin_resolv_conf(const char *host_text)
{
	struct buffer out = { 0 };
	for (const char *at = host_text; *at;) {
		size_t length = strcspn(at, "\n");
		FREE_CLEANUP char *line = string_ndup(at, length);
		bool comment = line[0] == '#' || line[0] == ';' || line[0] == '\0';
		bool server = string_has_prefix(line, "nameserver");
		if (!comment && !(server && is_loopback_server(line)))
			buffer_printf(&out, "%s\n", line);
		at += length;
		at += *at == '\n';
	}
	return buffer_take(&out);
}

bool node_admin_has_nameserver(const char *resolv_conf)
{
	return string_has_prefix(resolv_conf, "nameserver") || strstr(resolv_conf, "\nnameserver") != NULL;
}
