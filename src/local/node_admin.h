/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node of an environment's admin cluster runs. The admin node, number 1: etcd, a second etcd for tenants, kube-apiserver, controller
 * manager, scheduler, containerd, kubelet, kube-proxy and the LoadBalancer assigner. A further node: containerd, kubelet, kube-proxy. And the
 * files these read. Pure: facts and paths in, text out.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "local/host_facts.h"
#include "local/local_address.h"
#include "local/local_names.h"

/* Absolute paths of programs. */
struct node_programs {
	const char *kamaji;
	const char *etcd;
	const char *kube_apiserver, *kube_controller_manager, *kube_scheduler, *kubelet, *kube_proxy, *kubectl;
	const char *containerd, *runc;
	const char *cni_folder; /* holds bridge, ptp, host-local, loopback */
};

struct node_admin_options {
	unsigned number; /* 1: the admin node; up to LOCAL_ADMIN_NODES_MAX */
	struct local_names names;
	struct local_node_names node;
	struct local_address_plan plan;
	struct host_facts facts;
	struct node_programs programs;
	const char *directory;       /* of the node: configuration, logs, data, containerd's socket */
	const char *pki;             /* folder of local_pki_ensure(), for a further node of local_pki_ensure_node() */
	const char *components_root; /* bound into the node read-only */
	const char *resolv_conf;     /* text of the host's, see node_admin_resolv_conf() */
	const char *pause_image;
	bool bridge_netfilter; /* the kernel can filter bridged packets; else pods get point-to-point links */
	bool nftables;         /* kube-proxy in nftables mode; else iptables */
	bool audit;            /* the API server keeps an audit log (metadata of every request) in the node's log folder */
	bool own_store;        /* both stores are `kamaji datastore` instead of etcd */
	const struct string_list *proxy_environment; /* "HTTPS_PROXY=..." for image pulls */
};

/* Texts of configuration files; all free(). */
char *node_admin_containerd_config(const struct node_admin_options *options);
char *node_admin_kubelet_config(const struct node_admin_options *options);
char *node_admin_kube_proxy_config(const struct node_admin_options *options);
char *node_admin_cni_config(const struct node_admin_options *options);

/* The host's resolv.conf for use in a node: name servers on loopback addresses are left out, a node cannot reach them. free(). */
char *node_admin_resolv_conf(const char *host_text);
/* True when the text names a server, so that cluster DNS can forward. */
bool node_admin_has_nameserver(const char *resolv_conf);

/* The node's configuration (node_config.h) with its digest. New reference. */
json_t *node_admin_config(const struct node_admin_options *options);

/* Writes all of it into the node's folder. */
int node_admin_write(const struct node_admin_options *options, struct error *err);

/* Where containerd listens: in the node's folder, so that it is reached from the host. free(). */
char *node_admin_containerd_socket(const char *directory);
