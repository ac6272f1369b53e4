/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, certificates and kubeconfigs of an environment's admin cluster, in one folder (0700, keys and kubeconfigs 0600):
 *
 *   ca, front-proxy-ca, datastore-ca     .crt .key    authorities; made once
 *   service-account                      .pub .key    RSA-2048; made once
 *   apiserver, apiserver-kubelet-client, front-proxy-client, kubelet-server, datastore-server, datastore-root, ...  .crt .key
 *   admin, controller-manager, scheduler, kubelet, proxy, balancer                                                  .kubeconfig
 *   NODE/  of a further node of the admin cluster, all that it gets to see: ca.crt, kubelet-server, kubelet and proxy
 *
 * What is there and good for another 30 days is kept; a leaf is made anew when its names or its authority do not fit.
 */
#pragma once

#include "base/error.h"
#include "local/local_address.h"

struct local_pki_options {
	const char *directory;
	const char *environment; /* name: the cluster's name in kubeconfigs */
	const char *hostname;    /* of the admin node */
	struct local_address_plan plan;
};

enum { LOCAL_API_PORT = 6443, LOCAL_DATASTORE_PORT = 2379 };

int local_pki_ensure(const struct local_pki_options *options, struct error *err);
/*
 * The folder of a further node: the authority's certificate without its key, and what kubelet and kube-proxy show the API server. options:
 * as above, local_pki_ensure() has run. address: of the node.
 */
int local_pki_ensure_node(const struct local_pki_options *options, const char *directory, const char *hostname, uint32_t address,
                          struct error *err);
