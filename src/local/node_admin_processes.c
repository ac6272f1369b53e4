/* SPDX-License-Identifier: Apache-2.0 */
/* The process list of a node of the admin cluster. The order of the list is the order of dependence. */
#include <stdarg.h>
#include <string.h>

#include "io/file.h"
#include "local/local_pki.h"
#include "local/node_admin.h"
#include "local/node_config.h"
#include "pki/digest.h"

#define BASE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct builder {
	const struct node_admin_options *options;
	json_t *list;
	char node[LOCAL_ADDRESS_TEXT_MAX];
};

/* A new last process; arguments are added with arg(). Borrowed. */
static json_t *add(struct builder *builder, const char *name, const char *program)
{
	json_t *process =
		json_build("{s:s, s:[s], s:[s, s]}", "name", name, "argv", program, "environment", "PATH=" BASE_PATH, "HOME=/root");
	json_array_append_new(builder->list, process);
	return process;
}

static void __attribute__((format(printf, 2, 3))) arg(json_t *process, const char *format, ...)
{
	struct buffer text = { 0 };
	va_list arguments;
	va_start(arguments, format);
	buffer_vprintf(&text, format, arguments);
	va_end(arguments);
	FREE_CLEANUP char *taken = buffer_take(&text);
	json_array_append_new(json_object_get(process, "argv"), json_string_new(taken));
}

static void after(json_t *process, const char *name)
{
	json_t *list = json_object_get(process, "after");
	if (!list) {
		list = json_array();
		json_object_set_new(process, "after", list);
	}
	json_array_append_new(list, json_string_new(name));
}

static void ready_at(json_t *process, const char *kind, json_t *target)
{
	json_object_set_new(process, "ready", json_build("{s:s, s:o}", "kind", kind, "target", target));
}

/* An etcd server: etcd itself, or ours, which takes the same flags. Each has a folder of its own below /var/lib. */
static json_t *add_store(struct builder *builder, const char *name, const char *folder)
{
	const struct node_admin_options *options = builder->options;
	json_t *store = add(builder, name, options->own_store ? options->programs.kamaji : options->programs.etcd);
	if (options->own_store)
		arg(store, "datastore");
	arg(store, "--data-dir=/var/lib/%s%s", folder, options->own_store ? ".kamaji" : "");
	return store;
}

static void add_etcd(struct builder *builder)
{
	json_t *etcd = add_store(builder, "etcd", "etcd");
	/* Sockets of the file system: nothing of this store can be reached over the network. */
	arg(etcd, "--name=admin");
	arg(etcd, "--listen-client-urls=unix:///run/kamaji/etcd.sock");
	arg(etcd, "--advertise-client-urls=unix:///run/kamaji/etcd.sock");
	arg(etcd, "--listen-peer-urls=unix:///run/kamaji/etcd-peer.sock");
	arg(etcd, "--initial-advertise-peer-urls=unix:///run/kamaji/etcd-peer.sock");
	arg(etcd, "--initial-cluster=admin=unix:///run/kamaji/etcd-peer.sock");
	arg(etcd, "--log-level=warn");
	ready_at(etcd, "unix", json_string_new("/run/kamaji/etcd.sock"));
	json_object_set_new(etcd, "stopLast", json_true());
}

static void add_datastore(struct builder *builder)
{
	const char *pki = builder->options->pki;
	json_t *etcd = add_store(builder, "datastore", "datastore");
	arg(etcd, "--name=datastore");
	arg(etcd, "--listen-client-urls=https://%s:%d", builder->node, LOCAL_DATASTORE_PORT);
	arg(etcd, "--advertise-client-urls=https://%s:%d", builder->node, LOCAL_DATASTORE_PORT);
	arg(etcd, "--listen-peer-urls=unix:///run/kamaji/datastore-peer.sock");
	arg(etcd, "--initial-advertise-peer-urls=unix:///run/kamaji/datastore-peer.sock");
	arg(etcd, "--initial-cluster=datastore=unix:///run/kamaji/datastore-peer.sock");
	arg(etcd, "--client-cert-auth=true");
	arg(etcd, "--trusted-ca-file=%s/datastore-ca.crt", pki);
	arg(etcd, "--cert-file=%s/datastore-server.crt", pki);
	arg(etcd, "--key-file=%s/datastore-server.key", pki);
	/* Tenants' API servers may not compact a store they share. */
	arg(etcd, "--auto-compaction-mode=periodic");
	arg(etcd, "--auto-compaction-retention=5m");
	arg(etcd, "--quota-backend-bytes=8589934592");
	arg(etcd, "--log-level=warn");
	json_object_set_new(
		etcd, "ready",
		json_build("{s:s, s:o}", "kind", "tcp", "target", json_string_printf("%s:%d", builder->node, LOCAL_DATASTORE_PORT)));
	json_object_set_new(etcd, "stopLast", json_true());
}

static void add_containerd(struct builder *builder)
{
	const struct node_admin_options *options = builder->options;
	json_t *containerd = add(builder, "containerd", options->programs.containerd);
	arg(containerd, "--config=%s/containerd.toml", options->directory);
	arg(containerd, "--log-level=warn");
	for (size_t i = 0; options->proxy_environment && i < options->proxy_environment->count; i++)
		json_array_append_new(json_object_get(containerd, "environment"), json_string_new(options->proxy_environment->items[i]));
	ready_at(containerd, "unix", json_string_printf("%s/containerd.sock", options->directory));
}

static void add_audit(struct builder *builder, json_t *apiserver)
{
	if (!builder->options->audit)
		return;
	arg(apiserver, "--audit-policy-file=%s/audit-policy.json", builder->options->directory);
	arg(apiserver, "--audit-log-path=%s/log/audit.log", builder->options->directory);
	arg(apiserver, "--audit-log-maxsize=64");
	arg(apiserver, "--audit-log-maxbackup=2");
}

static void add_api_server(struct builder *builder)
{
	const char *pki = builder->options->pki;
	char services[LOCAL_CIDR_TEXT_MAX];
	local_cidr_format(builder->options->plan.services, services);
	json_t *api = add(builder, "kube-apiserver", builder->options->programs.kube_apiserver);
	after(api, "etcd");
	arg(api, "--etcd-servers=unix:///run/kamaji/etcd.sock");
	arg(api, "--advertise-address=%s", builder->node);
	arg(api, "--secure-port=%d", LOCAL_API_PORT);
	arg(api, "--service-cluster-ip-range=%s", services);
	arg(api, "--tls-cert-file=%s/apiserver.crt", pki);
	arg(api, "--tls-private-key-file=%s/apiserver.key", pki);
	arg(api, "--client-ca-file=%s/ca.crt", pki);
	arg(api, "--kubelet-certificate-authority=%s/ca.crt", pki);
	arg(api, "--kubelet-client-certificate=%s/apiserver-kubelet-client.crt", pki);
	arg(api, "--kubelet-client-key=%s/apiserver-kubelet-client.key", pki);
	arg(api, "--kubelet-preferred-address-types=InternalIP");
	arg(api, "--service-account-key-file=%s/service-account.pub", pki);
	arg(api, "--service-account-signing-key-file=%s/service-account.key", pki);
	arg(api, "--service-account-issuer=https://kubernetes.default.svc.cluster.local");
	arg(api, "--authorization-mode=Node,RBAC");
	arg(api, "--enable-admission-plugins=NodeRestriction");
	arg(api, "--enable-bootstrap-token-auth=true");
	arg(api, "--requestheader-client-ca-file=%s/front-proxy-ca.crt", pki);
	arg(api, "--requestheader-allowed-names=front-proxy-client");
	arg(api, "--requestheader-extra-headers-prefix=X-Remote-Extra-");
	arg(api, "--requestheader-group-headers=X-Remote-Group");
	arg(api, "--requestheader-username-headers=X-Remote-User");
	arg(api, "--proxy-client-cert-file=%s/front-proxy-client.crt", pki);
	arg(api, "--proxy-client-key-file=%s/front-proxy-client.key", pki);
	arg(api, "--allow-privileged=true");
	arg(api, "--profiling=false");
	add_audit(builder, api);
	json_object_set_new(api, "ready",
	                    json_build("{s:s, s:[s, s, s, o]}", "kind", "exec", "argv", builder->options->programs.kamaji, "local", "ready",
	                               json_string_printf("--kubeconfig=%s/admin.kubeconfig", pki)));
}

static void add_controllers(struct builder *builder)
{
	const char *pki = builder->options->pki;
	json_t *manager = add(builder, "kube-controller-manager", builder->options->programs.kube_controller_manager);
	after(manager, "kube-apiserver");
	arg(manager, "--kubeconfig=%s/controller-manager.kubeconfig", pki);
	arg(manager, "--authentication-kubeconfig=%s/controller-manager.kubeconfig", pki);
	arg(manager, "--authorization-kubeconfig=%s/controller-manager.kubeconfig", pki);
	arg(manager, "--leader-elect=false");
	arg(manager, "--bind-address=127.0.0.1");
	arg(manager, "--cluster-name=%s", builder->options->names.name);
	arg(manager, "--root-ca-file=%s/ca.crt", pki);
	arg(manager, "--service-account-private-key-file=%s/service-account.key", pki);
	arg(manager, "--cluster-signing-cert-file=%s/ca.crt", pki);
	arg(manager, "--cluster-signing-key-file=%s/ca.key", pki);
	arg(manager, "--use-service-account-credentials=true");
	arg(manager, "--controllers=*,bootstrapsigner,tokencleaner");
	arg(manager, "--profiling=false");
	json_t *scheduler = add(builder, "kube-scheduler", builder->options->programs.kube_scheduler);
	after(scheduler, "kube-apiserver");
	arg(scheduler, "--kubeconfig=%s/scheduler.kubeconfig", pki);
	arg(scheduler, "--leader-elect=false");
	arg(scheduler, "--bind-address=127.0.0.1");
	arg(scheduler, "--profiling=false");
}

/* On a further node they find the API server over the network, and ask again until it answers. */
static void add_node_agents(struct builder *builder)
{
	const struct node_admin_options *options = builder->options;
	json_t *kubelet = add(builder, "kubelet", options->programs.kubelet);
	if (options->number == 1)
		after(kubelet, "kube-apiserver");
	after(kubelet, "containerd");
	arg(kubelet, "--config=%s/kubelet.json", options->directory);
	arg(kubelet, "--kubeconfig=%s/kubelet.kubeconfig", options->pki);
	arg(kubelet, "--hostname-override=%s", options->node.hostname);
	arg(kubelet, "--node-ip=%s", builder->node);
	arg(kubelet, "--node-labels=kamaji.clastix.io/local=%s", options->names.name);
	json_t *proxy = add(builder, "kube-proxy", options->programs.kube_proxy);
	if (options->number == 1)
		after(proxy, "kube-apiserver");
	arg(proxy, "--config=%s/kube-proxy.json", options->directory);
}

static void add_balancer(struct builder *builder)
{
	const struct node_admin_options *options = builder->options;
	json_t *balancer = add(builder, "balancer", options->programs.kamaji);
	after(balancer, "kube-apiserver");
	char first[LOCAL_ADDRESS_TEXT_MAX], last[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(options->plan.balancer_first, first);
	local_address_format(options->plan.balancer_last, last);
	arg(balancer, "local");
	arg(balancer, "balancer");
	arg(balancer, "--kubeconfig=%s/balancer.kubeconfig", options->pki);
	arg(balancer, "--first=%s", first);
	arg(balancer, "--last=%s", last);
}

static json_t *make_binds(const struct node_admin_options *options)
{
	json_t *binds = json_array();
	const struct {
		char *from;
		const char *to; /* NULL: the same path */
		bool read_only;
	} rows[] = {
		{ string_printf("%s/var", options->directory), "/var", false },
		{ string_printf("%s/cni", options->directory), "/etc/cni", false },
		{ string_printf("%s/kubernetes", options->directory), "/etc/kubernetes", false },
		{ string_dup(options->components_root), NULL, true },
		{ string_dup(options->pki), NULL, true },
		{ string_dup(options->programs.kamaji), NULL, true },
		{ string_dup(options->directory), NULL, false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		json_array_append_new(binds, json_build("{s:s, s:s, s:b}", "from", rows[i].from, "to",
		                                        rows[i].to ? rows[i].to : rows[i].from, "readOnly", rows[i].read_only));
		free(rows[i].from);
	}
	return binds;
}

/* To the pods of every other node, whether there is one or not: a node that joins later changes nothing here. */
static json_t *make_routes(const struct node_admin_options *options)
{
	json_t *routes = json_array();
	for (unsigned number = 1; number <= LOCAL_ADMIN_NODES_MAX; number++) {
		char pods[LOCAL_CIDR_TEXT_MAX], node[LOCAL_ADDRESS_TEXT_MAX];
		if (number == options->number)
			continue;
		local_cidr_format(local_admin_node_pods(&options->plan, number), pods);
		local_address_format(local_admin_node_address(&options->plan, number), node);
		json_array_append_new(routes, json_string_printf("%s via %s", pods, node));
	}
	return routes;
}

static void add_processes(struct builder *builder)
{
	if (builder->options->number > 1) {
		add_containerd(builder);
		add_node_agents(builder);
		return;
	}
	add_etcd(builder);
	add_containerd(builder);
	add_api_server(builder);
	add_datastore(builder);
	add_controllers(builder);
	add_node_agents(builder);
	add_balancer(builder);
}

json_t *node_admin_config(const struct node_admin_options *options)
{
	struct builder builder = { .options = options, .list = json_array() };
	char gateway[LOCAL_ADDRESS_TEXT_MAX], hex[DIGEST_HEX_SIZE];
	FREE_CLEANUP char *id = local_admin_node_id(options->number);
	local_address_format(local_admin_node_address(&options->plan, options->number), builder.node);
	local_address_format(options->plan.gateway, gateway);
	add_processes(&builder);
	json_t *config = json_build("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:b, s:o, s:s, s:o, s:o, s:o}", "name", id, "role", "admin",
	                            "hostname", options->node.hostname, "directory", options->directory, "link", options->node.node_link,
	                            "address", json_string_printf("%s/%u", builder.node, options->plan.nodes.prefix), "gateway", gateway,
	                            "bridgeNetfilter", options->bridge_netfilter, "hosts",
	                            json_string_printf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", builder.node, options->node.hostname),
	                            "resolvConf", options->resolv_conf, "routes", make_routes(options), "binds", make_binds(options),
	                            "processes", builder.list);
	FREE_CLEANUP char *text = json_canonical(config);
	/* The files that the processes read belong to what is running, too. */
	FREE_CLEANUP char *containerd = node_admin_containerd_config(options);
	FREE_CLEANUP char *kubelet = node_admin_kubelet_config(options);
	FREE_CLEANUP char *proxy = node_admin_kube_proxy_config(options);
	FREE_CLEANUP char *all = string_printf("%s%s%s%s", text, containerd, kubelet, proxy);
	digest_hex(DIGEST_SHA256, all, strlen(all), hex);
	json_put_string(config, "digest", hex);
	return config;
}

int node_admin_write(const struct node_admin_options *options, struct error *err)
{
	static const char *const folders[] = { "log", "var/lib/containerd", "var/lib/kubelet", "var/log/pods", "cni/net.d", "kubernetes" };
	if (node_config_make_folders(options->directory, folders, ARRAY_LENGTH(folders), err) < 0)
		return -1;
	JSON_CLEANUP json_t *config = node_admin_config(options);
	FREE_CLEANUP char *node = json_text(config);
	FREE_CLEANUP char *containerd = node_admin_containerd_config(options);
	FREE_CLEANUP char *kubelet = node_admin_kubelet_config(options);
	FREE_CLEANUP char *proxy = node_admin_kube_proxy_config(options);
	FREE_CLEANUP char *cni = node_admin_cni_config(options);
	static const char audit[] = "{\"apiVersion\":\"audit.k8s.io/v1\",\"kind\":\"Policy\",\"omitStages\":[\"RequestReceived\"],"
				    "\"rules\":[{\"level\":\"Metadata\"}]}";
	if (node_config_write(options->directory, "containerd.toml", containerd, err) < 0 ||
	    node_config_write(options->directory, "kubelet.json", kubelet, err) < 0 ||
	    node_config_write(options->directory, "kube-proxy.json", proxy, err) < 0 ||
	    node_config_write(options->directory, "audit-policy.json", audit, err) < 0 ||
	    node_config_write(options->directory, "cni/net.d/10-kamaji.conflist", cni, err) < 0)
		return -1;
	return node_config_write(options->directory, "node.json", node, err);
}
