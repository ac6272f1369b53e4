/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_worker.h"

#include <string.h>

#include "base/strings.h"
#include "io/file.h"
#include "local/node_config.h"
#include "local/node_containerd.h"
#include "pki/digest.h"

#define BASE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define NODE_FOLDER "/run/node" /* the node's folder as its init sees it */

char *node_worker_containerd_socket(const char *directory)
{
	return string_printf("%s/socket/containerd.sock", directory);
}

static char *containerd_config(const struct node_worker_options *options)
{
	return node_containerd_config(&(struct node_containerd_options){
		.socket = "/run/containerd/containerd.sock",
		.state = "/run/containerd-state",
		.cni_folder = options->cni_folder,
		.runc = options->runc,
		.pause_image = options->pause_image,
		.facts = &options->facts,
	});
}

char *node_worker_kubelet_patch(const struct node_worker_options *options)
{
	JSON_CLEANUP json_t *patch = json_build("{s:s, s:o, s:b, s:s, s:i, s:{s:s, s:s, s:s, s:s}, s:s, s:s}", "cgroupDriver", "cgroupfs",
	                                        "cgroupRoot", json_string_printf("/%s/%s", options->names.cgroup, options->id),
	                                        "failSwapOn", 0, "resolvConf", "/etc/resolv.conf",
	                                        /* A developer's disk is often nearly full; evicting pods would not help it. */
	                                        "imageGCHighThresholdPercent", 100, "evictionHard", "nodefs.available", "0%",
	                                        "nodefs.inodesFree", "0%", "imagefs.available", "0%", "imagefs.inodesFree", "0%",
	                                        /* Images imported from an archive must count as allowed although no pull recorded them. */
	                                        "imagePullCredentialsVerificationPolicy", "NeverVerify",
	                                        /* The usual one is below /usr, which a node cannot write to. */
	                                        "volumePluginDir", "/var/lib/kubelet/volume-plugins");
	if (options->facts.cgroup.version == 1)
		json_put(patch, "failCgroupV1", json_false());
	return json_text(patch);
}

char *node_worker_cni_config(const char *pods, bool bridge_netfilter)
{
	JSON_CLEANUP json_t *plugin = json_build("{s:s, s:{s:s, s:[[{s:s}]], s:[{s:s}]}}", "type", bridge_netfilter ? "bridge" : "ptp",
	                                         "ipam", "type", "host-local", "ranges", "subnet", pods, "routes", "dst", "0.0.0.0/0");
	if (bridge_netfilter) {
		json_put_string(plugin, "bridge", "cni0");
		json_put(plugin, "isGateway", json_true());
		json_put(plugin, "hairpinMode", json_true());
	}
	JSON_CLEANUP json_t *ports = json_build("{s:s, s:{s:b}}", "type", "portmap", "capabilities", "portMappings", 1);
	JSON_CLEANUP json_t *config = json_build("{s:s, s:s, s:[O, O]}", "cniVersion", "1.0.0", "name", "pods", "plugins", plugin, ports);
	return json_text(config);
}

static json_t *process(const char *name, json_t *argv)
{
	return json_build("{s:s, s:o, s:[s, s]}", "name", name, "argv", argv, "environment", "PATH=" BASE_PATH, "HOME=/root");
}

static json_t *make_processes(const struct node_worker_options *options)
{
	json_t *containerd = process(
		"containerd", json_build("[s, s, s]", options->containerd, "--config=/etc/containerd/config.toml", "--log-level=warn"));
	json_object_set_new(containerd, "ready", json_build("{s:s, s:s}", "kind", "unix", "target", "/run/containerd/containerd.sock"));
	/* What the unit file of the official packages does, which a node without systemd does not have. */
	static const char script[] = ". " NODE_WORKER_ENVIRONMENT_FILE "; exec \"$0\" \"$@\" $KUBELET_KUBEADM_ARGS";
	json_t *kubelet =
		process("kubelet", json_build("[s, s, s, s, s, s, s]", "/bin/sh", "-c", script, options->kubelet,
	                                      "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
	                                      "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/var/lib/kubelet/config.yaml"));
	json_object_set_new(kubelet, "after", json_build("[s]", "containerd"));
	json_put_string(kubelet, "needs", NODE_WORKER_ENVIRONMENT_FILE);
	return json_build("[o, o]", containerd, kubelet);
}

static json_t *make_binds(const struct node_worker_options *options)
{
	static const struct {
		const char *folder, *to;
	} rows[] = {
		{ "var", "/var" },
		{ "cni", "/etc/cni" },
		{ "kubernetes", "/etc/kubernetes" },
		{ "containerd", "/etc/containerd" },
		{ "socket", "/run/containerd" },
	};
	json_t *binds = json_array();
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		json_array_append_new(binds, json_build("{s:o, s:s}", "from",
		                                        json_string_printf("%s/%s", options->directory, rows[i].folder), "to", rows[i].to));
	json_array_append_new(binds, json_build("{s:s, s:s}", "from", options->directory, "to", NODE_FOLDER));
	/* It names the admin node as the way to the tenants. Init has read it before the node's root is made. */
	json_array_append_new(binds, json_build("{s:s, s:s}", "from", "/dev/null", "to", NODE_FOLDER "/node.json"));
	json_array_append_new(
		binds, json_build("{s:s, s:s, s:b}", "from", options->components_root, "to", options->components_root, "readOnly", 1));
	json_array_append_new(binds, json_build("{s:s, s:s, s:b}", "from", options->program, "to", options->program, "readOnly", 1));
	return binds;
}

/* The ranges behind the admin node, by way of itself: by way of the host only one direction would pass there. */
static json_t *make_routes(const struct node_worker_options *options)
{
	const struct local_cidr ranges[] = { options->plan.balancer, options->plan.services, options->plan.pods };
	json_t *routes = json_array();
	char admin[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(options->plan.admin_node, admin);
	for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
		char range[LOCAL_CIDR_TEXT_MAX];
		local_cidr_format(ranges[i], range);
		json_array_append_new(routes, json_string_printf("%s via %s", range, admin));
	}
	return routes;
}

static json_t *make_firewall(const struct node_worker_options *options)
{
	if (string_empty(options->tenant_pods))
		return json_string("");
	return json_string_printf("table ip node {\n"
	                          "\tchain postrouting {\n"
	                          "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
	                          "\t\tip saddr %s ip daddr != %s oifname \"eth0\" masquerade\n"
	                          "\t}\n"
	                          "}\n",
	                          options->tenant_pods, options->tenant_pods);
}

json_t *node_worker_config(const struct node_worker_options *options)
{
	char address[LOCAL_ADDRESS_TEXT_MAX], gateway[LOCAL_ADDRESS_TEXT_MAX], hex[DIGEST_HEX_SIZE];
	local_address_format(options->address, address);
	local_address_format(options->plan.gateway, gateway);
	json_t *config = json_build(
		"{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:b, s:b, s:o, s:s, s:o, s:o, s:o, s:o}", "name", options->id, "role", "worker",
		"hostname", options->node.hostname, "directory", NODE_FOLDER, "link", options->node.node_link, "address",
		json_string_printf("%s/%u", address, options->plan.nodes.prefix), "gateway", gateway, "bridgeNetfilter",
		options->bridge_netfilter, "modulesFolder", 1, "hosts",
		json_string_printf("127.0.0.1 localhost\n::1 localhost\n%s %s\n%s", address, options->node.hostname, options->hosts),
		"resolvConf", options->resolv_conf, "routes", make_routes(options), "firewall", make_firewall(options), "binds",
		make_binds(options), "processes", make_processes(options));
	FREE_CLEANUP char *text = json_canonical(config);
	FREE_CLEANUP char *containerd = containerd_config(options);
	FREE_CLEANUP char *all = string_printf("%s%s", text, containerd);
	digest_hex(DIGEST_SHA256, all, strlen(all), hex);
	json_put_string(config, "digest", hex);
	return config;
}

int node_worker_write(const struct node_worker_options *options, struct error *err)
{
	static const char *const folders[] = { "log",          "socket",    "containerd",         "var/lib/containerd",  "var/lib/kubelet",
		                               "var/log/pods", "cni/net.d", "kubernetes/patches", "kubernetes/manifests" };
	if (node_config_make_folders(options->directory, folders, ARRAY_LENGTH(folders), err) < 0)
		return -1;
	JSON_CLEANUP json_t *config = node_worker_config(options);
	FREE_CLEANUP char *node = json_text(config);
	FREE_CLEANUP char *containerd = containerd_config(options);
	FREE_CLEANUP char *patch = node_worker_kubelet_patch(options);
	if (node_config_write(options->directory, "containerd/config.toml", containerd, err) < 0 ||
	    node_config_write(options->directory, "kubernetes/patches/kubeletconfiguration+merge.json", patch, err) < 0)
		return -1;
	return node_config_write(options->directory, "node.json", node, err);
}

int node_worker_write_cni(const char *directory, const char *pods, bool bridge_netfilter, struct error *err)
{
	FREE_CLEANUP char *text = node_worker_cni_config(pods, bridge_netfilter);
	return node_config_write(directory, "cni/net.d/10-pods.conflist", text, err);
}
