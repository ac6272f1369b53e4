/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, certificates and kubeconfigs of an environment's admin cluster, in one folder (0700, keys and kubeconfigs 0600):
 *
 *   ca, front-proxy-ca, datastore-ca     .crt .key    authorities; made once
 *   service-account                      .pub .key    RSA-2048; made once
 *   apiserver, apiserver-kubelet-client, front-proxy-client, kubelet-server, datastore-server, datastore-root, ...  .crt .key
 *   admin, controller-manager, scheduler, kubelet, proxy, balancer                                                  .kubeconfig
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
