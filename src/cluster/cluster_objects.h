/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands inside a tenant cluster, as a list of objects in the order in which they are applied. Names, rules and texts are
 * those kubeadm 1.36 writes (kubeadm's phases upload-config, bootstrap-token and the add-ons), because kubeadm on a joining node reads them.
 *
 * Objects are for server-side apply with field manager `kamaji` and hold owned fields only: keys that others add (the bootstrap
 * signer's jws-kubeconfig-* in cluster-info) stay.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "cluster/cluster_inputs.h"

/* The group of a node that joins with a bootstrap token. */
#define CLUSTER_BOOTSTRAPPERS_GROUP "system:bootstrappers:kubeadm:default-node-token"

/* The ValidatingWebhookConfiguration behind spec.writePermissions. */
#define CLUSTER_WRITE_GUARD "kamaji-write-permissions"
#define CLUSTER_WRITE_GUARD_DOMAIN "write-permissions.kamaji.clastix.io" /* end of its webhooks' names */

/* The EndpointSlice, in namespace default, that keeps the tenant's address behind Service kubernetes while API servers come and go. */
#define CLUSTER_OWN_ENDPOINT "kamaji-kubernetes"

/* Each appends to the array `objects`; one file each. */
int cluster_build_kubeadm_config(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
int cluster_build_kubelet_config(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
int cluster_build_cluster_info(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
int cluster_build_bootstrap_rbac(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
/* PENDING until the tenant has an address. */
int cluster_build_own_endpoint(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
/* Made by us: its label managed-by says so. */
bool cluster_is_own_endpoint(const json_t *slice);

/*
 * Add-ons. The owner, a ClusterRoleBinding, is first in each list and its UID is needed by the others: owner_uid NULL gives the owner
 * only. With the add-on absent from spec nothing is appended.
 */
int cluster_build_core_dns(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err);
int cluster_build_kube_proxy(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err);

/* No owner: the agent's ServiceAccount, the server's binding, and the agent last. PENDING until the tenant has an address. */
int cluster_build_konnectivity_agent(const struct cluster_inputs *inputs, json_t *objects, struct error *err);
/* "DaemonSet" or "Deployment". */
const char *cluster_konnectivity_mode(const struct tenant_control_plane *tenant);

/* Nothing unless writes are limited. INVALID when the operator serves no webhooks, PENDING while they have no certificate. */
int cluster_build_write_guard(const struct cluster_inputs *inputs, json_t *objects, struct error *err);

/* kubelet-config, or kubelet-config-<major>.<minor> below 1.24 (256 bytes are enough). */
int cluster_kubelet_config_name(const char *version, char *name, size_t size, struct error *err);
