/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the inside of one tenant cluster to what cluster_objects.h says. Blocking; any thread but the loop's. Objects whose text was
 * applied before and did not change since are skipped (the record lives in struct cluster_applied, one per tenant), so a repeated call
 * writes nothing.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "base/map.h"
#include "cluster/cluster_inputs.h"
#include "io/cancel.h"

struct kube_client;

struct cluster_applied {
	struct map digests;     /* "kind/namespace/name" -> sha256 text of what was applied last */
	char core_dns_uid[64];  /* of ClusterRoleBinding system:coredns, "" until known */
	char kube_proxy_uid[64]; /* of ClusterRoleBinding kubeadm:node-proxier */
};
void cluster_applied_forget(struct cluster_applied *applied, const char *key); /* NULL: everything; the next reconcile applies again */
void cluster_applied_free(struct cluster_applied *applied);

/* What the tenant's status says afterwards; NULL members are unknown and stay as they are. */
struct cluster_result {
	char bootstrap_checksum[33]; /* of ConfigMap kube-public/cluster-info; "" when it was not read */
	bool core_dns_enabled, kube_proxy_enabled;
	unsigned writes;
};

int cluster_reconcile(struct kube_client *client, const struct cluster_inputs *inputs, struct cluster_applied *applied,
                      struct cluster_result *result, struct cancel *cancel, struct error *err);
