/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the inside of one tenant cluster to what cluster_objects.h says. Blocking; any thread but the loop's. A repeated call writes
 * nothing: watched objects are compared with their caches, the others are skipped while what was applied last is still what is wanted
 * (struct cluster_applied, one per session with the tenant).
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/map.h"
#include "cluster/cluster_inputs.h"
#include "io/cancel.h"

struct kube_client;
struct kube_cache;
struct kube_applier;

struct cluster_applied {
	struct map digests;      /* "kind/namespace/name" -> text of the digest of what was applied last */
	char core_dns_uid[64];   /* of ClusterRoleBinding system:coredns, "" until known */
	char kube_proxy_uid[64]; /* of ClusterRoleBinding kubeadm:node-proxier */
};
void cluster_applied_free(struct cluster_applied *applied); /* leaves it empty: everything is applied again */

struct cluster_target {
	struct kube_client *client;
	struct kube_applier *applier;
	struct kube_cache *kubeadm_config, *kubelet_config, *cluster_info; /* of one object each; NULL: not watched */
	struct cluster_applied *applied;
};

/* What the tenant's status says afterwards. Zero-initialise. */
struct cluster_result {
	char bootstrap_checksum[33]; /* of all data of ConfigMap kube-public/cluster-info */
	bool core_dns_enabled, kube_proxy_enabled;
	unsigned writes;
};

/*
 * The rights of people and nodes, which need no cache: first of all, because until the binding of kubeadm:cluster-admins is there the admin
 * kubeconfig may do nothing. Adds to result->writes.
 */
int cluster_reconcile_access(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                             struct cancel *cancel, struct error *err);
/* Everything else. The caches of the target must be filled. */
int cluster_reconcile(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                      struct cancel *cancel, struct error *err);
