/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands inside a tenant cluster, as a list of objects in the order in which they are applied. Names, rules and texts are
 * those kubeadm 1.36 writes (kubeadm's phases upload-config, bootstrap-token and the add-ons), because kubeadm on a joining node reads them.
 *
 * Objects are for server-side apply with field manager `kamaji` and hold owned fields only: keys that others add (the bootstrap
 * signer's jws-kubeconfig-* in cluster-info) stay.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "cluster/cluster_inputs.h"

/* The group of a node that joins with a bootstrap token. */
#define CLUSTER_BOOTSTRAPPERS_GROUP "system:bootstrappers:kubeadm:default-node-token"

/* Each appends to the array `objects`; one file each. */
int cluster_build_kubeadm_config(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
int cluster_build_kubelet_config(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
int cluster_build_cluster_info(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
int cluster_build_bootstrap_rbac(const struct cluster_inputs *inputs, json_t *objects, struct error *err);

/*
 * Add-ons. The owner, a ClusterRoleBinding, is first in each list and its UID is needed by the others: owner_uid NULL gives the owner
 * only. With the add-on absent from spec nothing is appended.
 */
int cluster_build_core_dns(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err);
int cluster_build_kube_proxy(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err);

/*
 * Deletes an add-on whose member left the spec, in upstream's order, but nothing that lacks our project label. *removed is counted up.
 */
struct kube_client;
struct cancel;
int cluster_remove_core_dns(struct kube_client *client, unsigned *removed, struct cancel *cancel, struct error *err);
int cluster_remove_kube_proxy(struct kube_client *client, unsigned *removed, struct cancel *cancel, struct error *err);

/* kubelet-config, or kubelet-config-<major>.<minor> below 1.24 (256 bytes are enough). */
int cluster_kubelet_config_name(const char *version, char *name, size_t size, struct error *err);
