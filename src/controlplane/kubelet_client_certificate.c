/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-api-server-kubelet-client-certificate: the API server's identity at kubelets. Without an organization; the tenant's
 * binding kubeadm:apiserver-kubelet-client gives it its rights. */
#include "controlplane/leaf.h"

int kubelet_client_certificate_plan(struct pass *pass, struct error *err)
{
	static const struct certificate_request request = { .common_name = "kube-apiserver-kubelet-client",
		                                            .usages = CERTIFICATE_CLIENT_AUTH };

	return leaf_plan(pass,
	                 &(struct leaf){ CREDENTIAL_KUBELET_CLIENT, CREDENTIAL_CA, KEY_KUBELET_CLIENT_CERTIFICATE,
	                                 KEY_KUBELET_CLIENT_PRIVATE_KEY, &request, NULL },
	                 err);
}
