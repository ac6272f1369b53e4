/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker node runs: containerd and the kubelet, as on a machine of its own; and the files these read. Everything that `kubeadm join`
 * writes, it writes itself. Nothing of the admin cluster is in view: the node has its own /var, /etc/kubernetes, /etc/cni, /run. Pure: facts
 * and paths in, text out.
 *
 *   nodes/worker-N/kubernetes/  /etc/kubernetes, with patches/ for kubeadm       nodes/worker-N/var/    /var
 *   nodes/worker-N/containerd/  /etc/containerd                                  nodes/worker-N/socket/ /run/containerd: the socket alone
 *   nodes/worker-N/cni/         /etc/cni
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "local/host_facts.h"
#include "local/local_address.h"
#include "local/local_names.h"

#define NODE_WORKER_ENVIRONMENT_FILE "/var/lib/kubelet/kubeadm-flags.env" /* the last file that `kubeadm join` writes for the kubelet */

struct node_worker_options {
	struct local_names names;
	struct local_node_names node;
	struct local_address_plan plan;
	struct host_facts facts;
	const char *id; /* "worker-3" */
	uint32_t address;
	const char *directory;       /* of the node */
	const char *components_root; /* bound into the node read-only */
	const char *program;         /* this program, bound as well: it is the node's init */
	const char *kubelet, *containerd, *runc, *cni_folder;
	const char *pause_image;
	const char *resolv_conf;
	const char *hosts;       /* further lines of /etc/hosts, "" for none */
	const char *tenant_pods; /* range of all pods of the tenant, "" when it has none: leaving it, packets get the node's address */
	bool bridge_netfilter;   /* node_admin.h */
};

/* The node's configuration (node_config.h) with its digest. New reference. */
json_t *node_worker_config(const struct node_worker_options *options);
/* Patch for the KubeletConfiguration that `kubeadm join` takes from the tenant: what this machine, not the tenant, decides. free(). */
char *node_worker_kubelet_patch(const struct node_worker_options *options);
/* Pod network of this node; pods: its own range. free(). */
char *node_worker_cni_config(const char *pods, bool bridge_netfilter);

/* Writes everything but the pod network into the node's folder. */
int node_worker_write(const struct node_worker_options *options, struct error *err);
int node_worker_write_cni(const char *directory, const char *pods, bool bridge_netfilter, struct error *err);
/* Where its containerd is reached from the host. free(). */
char *node_worker_containerd_socket(const char *directory);
