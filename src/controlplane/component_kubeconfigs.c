/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets of kube-controller-manager and kube-scheduler, which reach the API server in their own pod. */
#include "controlplane/kubeconfig.h"

static int component_plan(struct pass *pass, enum credential which, const char *key, const char *user, struct error *err)
{
	const struct kubeconfig_file file = { key, user, NULL,
		                              arena_printf(pass->arena, "https://127.0.0.1:%u", pass->state->endpoint.port) };

	return kubeconfig_plan(pass, which, &file, 1, "127.0.0.1", err);
}

int controller_manager_kubeconfig_plan(struct pass *pass, struct error *err)
{
	return component_plan(pass, CREDENTIAL_CONTROLLER_MANAGER_KUBECONFIG, KEY_CONTROLLER_MANAGER_CONF, "system:kube-controller-manager",
	                      err);
}

int scheduler_kubeconfig_plan(struct pass *pass, struct error *err)
{
	return component_plan(pass, CREDENTIAL_SCHEDULER_KUBECONFIG, KEY_SCHEDULER_CONF, "system:kube-scheduler", err);
}
