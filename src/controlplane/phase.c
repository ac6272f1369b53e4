/* SPDX-License-Identifier: Apache-2.0 */
/* From the live Deployment to the tenant's phase: the first rule that fits, in upstream's order. */
#include <string.h>

#include "controlplane/pass.h"

static bool is_progressing(const json_t *deployment)
{
	int64_t desired = json_integer_or(deployment, "spec.replicas", 2);

	return json_integer_or(deployment, "metadata.generation", 0) != json_integer_or(deployment, "status.observedGeneration", 0) ||
	       json_integer_or(deployment, "status.unavailableReplicas", 0) > 0 ||
	       json_integer_or(deployment, "status.updatedReplicas", 0) != desired ||
	       json_integer_or(deployment, "status.readyReplicas", 0) != desired ||
	       json_integer_or(deployment, "status.replicas", 0) != desired;
}

static const char *phase_of(const struct tenant_control_plane *tenant, const json_t *deployment)
{
	if (tenant->replicas == 0)
		return PHASE_SLEEPING;
	if (json_integer_or(deployment, "status.readyReplicas", 0) == 0)
		return PHASE_NOT_READY;
	if (tenant->write_limited)
		return PHASE_WRITE_LIMITED;
	if (!is_progressing(deployment))
		return PHASE_READY;
	if (!string_empty(tenant->installed_version))
		return strcmp(tenant->installed_version, tenant->version) != 0 ? PHASE_UPGRADING : PHASE_UNKNOWN;
	return PHASE_PROVISIONING;
}

int phase_observe(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const json_t *deployment = pass->state->live[OBJECT_DEPLOYMENT];
	const char *phase = phase_of(tenant, deployment);
	bool settled = strcmp(phase, PHASE_READY) == 0 || strcmp(phase, PHASE_SLEEPING) == 0;
	const json_t *live = json_object_get(deployment, "status");
	json_t *members;

	(void)err;
	status_set_phase(pass->status, phase, settled ? tenant->version : NULL);
	if (!deployment)
		return 0;
	members = json_is_object(live) ? json_deep_copy(live) : json_object();
	json_put_string(members, "selector", names_selector(pass->arena, tenant->name));
	json_put_string(members, "name", tenant->name);
	json_put_string(members, "namespace", tenant->namespace);
	status_replace(pass->status, "kubernetesResources.deployment", members, true, pass->input->now);
	return 0;
}
