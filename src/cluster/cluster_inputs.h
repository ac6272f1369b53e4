/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything the objects inside a tenant cluster depend on, read once from the admin cluster. The builders of this room are pure: the
 * same inputs give the same objects, byte for byte.
 */
#pragma once

#include "api/tenant_control_plane.h"
#include "base/error.h"
#include "base/json.h"

struct cluster_inputs {
	const struct tenant_control_plane *tenant; /* borrowed: outlives the inputs */
	json_t *cluster_configuration;             /* value of key ClusterConfiguration in ConfigMap <tenant>-kubeadmconfig, parsed */
	char *server;                              /* "https://host:port" of the admin kubeconfig: what workers dial */
	char *certificate_authority;               /* base64 of the cluster CA's PEM, as it stands in that kubeconfig */
	/* Set by the caller, borrowed: */
	const char *guard_url;         /* where tenants' API servers reach the operator's denial of writes */
	const char *guard_authorities; /* base64 of the PEM that verifies it; NULL: none */
	const char *dns_address;       /* spec.clusterIP of Service kube-dns as it is, which cannot change; NULL: none yet */
};

/*
 * Fills inputs from the live objects; kubeconfig is the decoded text of the selected key of Secret <tenant>-admin-kubeconfig, whose
 * client key is not kept.
 */
int cluster_inputs_read(struct cluster_inputs *inputs, const struct tenant_control_plane *tenant, const json_t *kubeadm_config_map,
                        const char *kubeconfig, size_t kubeconfig_length, struct error *err);
void cluster_inputs_free(struct cluster_inputs *inputs); /* leaves it zeroed */
#define CLUSTER_INPUTS_CLEANUP __attribute__((cleanup(cluster_inputs_free)))
