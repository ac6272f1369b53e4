/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-api-server-certificate: the serving certificate with every name a client may use. */
#include <string.h>

#include "base/ip.h"
#include "controlplane/leaf.h"

/* Host part of kubeadm's endpoint: of "name:port" what stands before the colon, brackets removed. */
static const char *endpoint_host(struct pass *pass)
{
	const char *text = tenant_kubeadm_endpoint(pass->arena, pass->input->tenant, &pass->state->endpoint);
	const char *colon = strrchr(text, ':');

	if (text[0] == '[' && strchr(text, ']'))
		return arena_strndup(pass->arena, text + 1, (size_t)(strchr(text, ']') - text - 1));
	return colon ? arena_strndup(pass->arena, text, (size_t)(colon - text)) : text;
}

/* The address of the tenant's own `kubernetes` Service: the first host of the first service network. */
static const char *service_address(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	struct ip_network network;
	struct ip_address address;
	char text[IP_TEXT_SIZE];

	if (tenant->service_cidrs.count == 0 || ip_network_parse(tenant->service_cidrs.items[0], &network) != 0 ||
	    ip_network_host(&network, 1, &address) != 0) {
		pass_block(pass, err, ERROR_INVALID, "InvalidSpec", "spec.networkProfile.serviceCidrs: \"%s\" is no usable network",
		           tenant->service_cidrs.count ? tenant->service_cidrs.items[0] : "");
		return NULL;
	}
	ip_format(&address, text);
	return arena_strdup(pass->arena, text);
}

static const char *const *request_sans(struct pass *pass, const char *service)
{
	size_t given = 0, count = 0;
	const char **names;

	while (pass->state->certificate_sans[given])
		given++;
	names = arena_alloc(pass->arena, (given + 9) * sizeof(*names));
	names[count++] = "node";
	names[count++] = "kubernetes";
	names[count++] = "kubernetes.default";
	names[count++] = "kubernetes.default.svc";
	names[count++] = arena_printf(pass->arena, "kubernetes.default.svc.%s", pass->input->tenant->cluster_domain);
	names[count++] = endpoint_host(pass);
	names[count++] = service;
	for (size_t i = 0; i < given; i++)
		names[count++] = pass->state->certificate_sans[i];
	return names;
}

static int check_names(struct pass *pass, struct error *err)
{
	struct error problem;

	for (size_t i = 0; i < pass->input->tenant->certificate_names.count; i++)
		if (certificate_san_validate(pass->input->tenant->certificate_names.items[i], &problem) != 0)
			return pass_block(pass, err, ERROR_INVALID, "InvalidSpec", "spec.networkProfile.certSANs: %s", problem.message);
	return 0;
}

int api_server_certificate_plan(struct pass *pass, struct error *err)
{
	struct certificate_request request = { .common_name = "kube-apiserver", .usages = CERTIFICATE_SERVER_AUTH };
	const char *service = service_address(pass, err);

	if (!service || check_names(pass, err) != 0)
		return -1;
	request.sans = request_sans(pass, service);
	/* Upstream overlooks a changed ingress or gateway host; so do we for Deployments taken over from it, which must not restart. */
	return leaf_plan(pass,
	                 &(struct leaf){ CREDENTIAL_API_SERVER, CREDENTIAL_CA, KEY_API_SERVER_CERTIFICATE, KEY_API_SERVER_PRIVATE_KEY,
	                                 &request, pass_profile(pass) == PROFILE_UPSTREAM ? pass->state->certificate_sans : request.sans },
	                 err);
}
