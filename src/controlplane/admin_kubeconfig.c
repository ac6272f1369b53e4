/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-admin-kubeconfig: admin and super-admin, each for the outside endpoint (.conf) and for the Service's name (.svc). */
#include "controlplane/kubeconfig.h"

int admin_kubeconfig_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const char *outside = arena_printf(pass->arena, "https://%s", tenant_kubeadm_endpoint(pass->arena, tenant, &pass->state->endpoint));
	const char *inside = arena_printf(pass->arena, "https://%s:%lld", names_service_host(pass->arena, tenant->name, tenant->namespace),
	                                  (long long)tenant->port);
	const struct kubeconfig_file files[] = {
		{ KEY_ADMIN_CONF, "kubernetes-admin", "kubeadm:cluster-admins", outside },
		{ KEY_ADMIN_SVC, "kubernetes-admin", "kubeadm:cluster-admins", inside },
		{ KEY_SUPER_ADMIN_CONF, "kubernetes-super-admin", "system:masters", outside },
		{ KEY_SUPER_ADMIN_SVC, "kubernetes-super-admin", "system:masters", inside },
	};

	if (kubeconfig_plan(pass, CREDENTIAL_ADMIN_KUBECONFIG, files, ARRAY_LENGTH(files), pass->state->endpoint.host, err) != 0)
		return -1;
	pass->admin_kubeconfig_changed = pass->state->credentials[CREDENTIAL_ADMIN_KUBECONFIG].changed;
	return 0;
}
