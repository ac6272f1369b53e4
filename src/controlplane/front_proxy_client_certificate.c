/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-front-proxy-client-certificate: the API server's identity at aggregated API servers. */
#include "controlplane/leaf.h"

int front_proxy_client_certificate_plan(struct pass *pass, struct error *err)
{
	static const struct certificate_request request = { .common_name = "front-proxy-client", .usages = CERTIFICATE_CLIENT_AUTH };

	return leaf_plan(pass,
	                 &(struct leaf){ CREDENTIAL_FRONT_PROXY_CLIENT, CREDENTIAL_FRONT_PROXY_CA, KEY_FRONT_PROXY_CLIENT_CERTIFICATE,
	                                 KEY_FRONT_PROXY_CLIENT_PRIVATE_KEY, &request, NULL },
	                 err);
}
