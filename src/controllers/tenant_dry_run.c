/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/tenant_dry_run.h"

#include "base/strings.h"
#include "controllers/tenant_internal.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/resource.h"

static void decref(void *value)
{
	json_decref(value);
}

/* The snapshot of what is live, seen with the wanted spec. */
static int put_wanted(struct tenant_snapshot *snapshot, const json_t *tenant, struct error *err)
{
	struct manager_context *context = snapshot->context;

	snapshot->object = json_deep_copy(tenant);
	arena_defer(snapshot->arena, decref, snapshot->object);
	if (tenant_parse(snapshot->arena, snapshot->object, context->options->data_store, &snapshot->tenant, err) < 0)
		return -1;
	snapshot->store_object = kube_cache_get_json(context->data_stores, NULL, snapshot->tenant.data_store);
	if (!snapshot->store_object)
		return error_set(err, ERROR_PENDING, "DataStore %s does not exist", snapshot->tenant.data_store);
	arena_defer(snapshot->arena, decref, snapshot->store_object);
	return 0;
}

static int observe(struct pass *pass, enum step_stage stage, struct error *err)
{
	return pass_plan(pass, stage, err) < 0 || pass_observe(pass, stage, err) < 0 ? -1 : 0;
}

/* *refused: the Deployment itself cannot be. Everything else that is in the way is the reconcile's to tell. */
static const struct desired_object *plan_deployment(struct pass *pass, bool *refused, struct error *err)
{
	if (pass_plan(pass, STAGE_SERVICE, err) < 0)
		return NULL;
	pass_set_live(pass, OBJECT_SERVICE, pass->input->tenant->name, pass->input->service);
	if (pass_observe(pass, STAGE_SERVICE, err) < 0 || observe(pass, STAGE_CREDENTIALS, err) < 0 ||
	    observe(pass, STAGE_DATA_STORE, err) < 0 || pass_plan(pass, STAGE_WORKLOAD, err) < 0) {
		*refused = err->class == ERROR_INVALID && string_equal(pass->blocked.step, "deployment");
		return NULL;
	}
	for (size_t i = pass->stage_begin[STAGE_WORKLOAD]; i < pass->object_count; i++)
		if (pass->objects[i].kind == OBJECT_DEPLOYMENT && pass->objects[i].object)
			return &pass->objects[i];
	(void)error_set(err, ERROR_PENDING, "no Deployment is planned");
	return NULL;
}

static int check(struct tenant_snapshot *snapshot, const json_t *tenant, bool *refused, struct cancel *cancel, struct error *err)
{
	const struct kube_write_options options = { .force = true, .dry_run = true };
	const struct desired_object *deployment;
	json_t *result;

	if (put_wanted(snapshot, tenant, err) < 0 || tenant_snapshot_load(snapshot, cancel, err) < 0)
		return -1;
	deployment = plan_deployment(pass_new(snapshot->arena, &snapshot->input), refused, err);
	if (!deployment)
		return -1;
	result = kube_client_apply(snapshot->context->client, &kube_resource_deployment, deployment->object, &options, cancel, err);
	json_decref(result);
	*refused = !result && err->class == ERROR_INVALID;
	return result ? 0 : -1;
}

int tenant_dry_run(struct manager_context *context, const json_t *tenant, struct cancel *cancel, struct error *err)
{
	FREE_CLEANUP char *key = kube_key(json_string_or(tenant, "metadata.namespace", ""), json_string_or(tenant, "metadata.name", ""));
	struct tenant_snapshot snapshot;
	bool refused = false;
	int status = tenant_snapshot_open(&snapshot, context, key, &context->tenant_controller->step_options, err);

	if (status == 0 && !snapshot.object)
		status = error_set(err, ERROR_PENDING, "%s is not known yet", key);
	else if (status == 0)
		status = check(&snapshot, tenant, &refused, cancel, err);
	if (status < 0 && err->class == ERROR_INVALID && !refused)
		err->class = ERROR_PENDING;
	tenant_snapshot_close(&snapshot);
	return status;
}
