/* SPDX-License-Identifier: Apache-2.0 */
/* The rights that nodes, bootstrap tokens and people get: kubeadm's phases bootstrap-token, upload-config and cluster-admins. */
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

#define NODES_GROUP "system:nodes"

static void append(json_t *objects, json_t *object)
{
	(void)json_array_append_new(objects, object);
}

static json_t *one(json_t *subject)
{
	return json_build("[o]", subject);
}

static void append_cluster_bindings(json_t *objects)
{
	append(objects,
	       cluster_binding(NULL, "kubeadm:cluster-admins", "cluster-admin", one(cluster_subject_group("kubeadm:cluster-admins"))));
	append(objects, cluster_role(NULL, "kubeadm:get-nodes",
	                             json_build("[{s:[s], s:[s], s:[s]}]", "apiGroups", "", "resources", "nodes", "verbs", "get")));
	append(objects,
	       cluster_binding(NULL, "kubeadm:get-nodes", "kubeadm:get-nodes", one(cluster_subject_group(CLUSTER_BOOTSTRAPPERS_GROUP))));
	append(objects, cluster_binding(NULL, "kubeadm:kubelet-bootstrap", "system:node-bootstrapper",
	                                one(cluster_subject_group(CLUSTER_BOOTSTRAPPERS_GROUP))));
	append(objects, cluster_binding(NULL, "kubeadm:node-autoapprove-bootstrap",
	                                "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
	                                one(cluster_subject_group(CLUSTER_BOOTSTRAPPERS_GROUP))));
	append(objects, cluster_binding(NULL, "kubeadm:node-autoapprove-certificate-rotation",
	                                "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
	                                one(cluster_subject_group(NODES_GROUP))));
	/* The API server's kubelet client certificate has no privileged group: exec, logs and port-forward need this. */
	append(objects, cluster_binding(NULL, "kubeadm:apiserver-kubelet-client", "system:kubelet-api-admin",
	                                one(cluster_subject_user("kube-apiserver-kubelet-client"))));
}

int cluster_build_bootstrap_rbac(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	static const char signer[] = "kubeadm:bootstrap-signer-clusterinfo";

	append_cluster_bindings(objects);
	append(objects, cluster_role("kube-public", signer, cluster_rule_get_config_map("cluster-info")));
	append(objects, cluster_binding("kube-public", signer, signer, one(cluster_subject_user("system:anonymous"))));
	return 0;
}
