/* SPDX-License-Identifier: Apache-2.0 */
/* One look at one tenant: nothing to do, a look at its progress, or a whole pass. */
#include <stdio.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "controllers/data_store_controller.h"
#include "controllers/object_patch.h"
#include "controllers/tenant_apply.h"
#include "controllers/tenant_digest.h"
#include "controllers/tenant_internal.h"
#include "datastore/driver.h"
#include "kube/cache.h"

struct tenant_pass {
	struct tenant_controller *controller;
	struct tenant_snapshot *snapshot;
	struct tenant_record *record;
	struct pass *pass;
	bool wrote;
};

/* The access whose bytes a grant's DataStore points into. */
static const struct data_store_access *access_of(const struct tenant_snapshot *snapshot, const struct data_store_grant *grant)
{
	for (size_t i = 0; i < snapshot->tenant.override_count; i++) {
		if (grant->data_store == &snapshot->input.overrides[i])
			return snapshot->override_accesses[i];
	}
	return snapshot->access;
}

static int ensure_grant(struct tenant_pass *work, const struct data_store_grant *grant, struct cancel *cancel, struct error *err)
{
	struct manager_context *context = work->controller->context;
	const struct data_store_access *access = access_of(work->snapshot, grant);
	const struct datastore_tenant place = { .schema = grant->schema, .user = grant->user, .password = grant->password };
	DATASTORE_CLEANUP struct datastore *store = NULL;
	bool changed = false;

	if (datastore_pool_acquire(context->data_store_pool, &access->connection, &store, err) < 0 ||
	    datastore_ensure(store, &place, &changed, cancel, err) < 0) {
		if (error_is_retriable(err))
			data_store_controller_suspect(context->data_store_controller, access->connection.name);
		return -1;
	}
	if (changed)
		log_info("tenant.store", "place in the DataStore made", LOG_STRING("tenant", work->snapshot->key),
		         LOG_STRING("data_store", access->connection.name), LOG_STRING("schema", grant->schema));
	return 0;
}

/*
 * Runs beside the writing of the credentials. The finalizer comes first: from then on a deletion cleans the store up, whenever this
 * process ends.
 */
static int prepare_store(void *argument, struct cancel *cancel, struct error *err)
{
	struct tenant_pass *work = argument;

	if (tenant_set_finalizer(work->snapshot, FINALIZER_TENANT, true, &work->wrote, cancel, err) < 0)
		return -1;
	for (const struct data_store_grant *grant = work->pass->grant; grant; grant = grant->next) {
		if (ensure_grant(work, grant, cancel, err) < 0)
			return -1;
	}
	return 0;
}

static int run_stage(struct tenant_pass *work, enum step_stage stage, tenant_apply_beside beside, struct cancel *cancel, struct error *err)
{
	if (pass_plan(work->pass, stage, err) < 0 ||
	    tenant_apply_stage(work->snapshot, work->pass, stage, beside, work, &work->wrote, cancel, err) < 0 ||
	    pass_observe(work->pass, stage, err) < 0)
		return -1;
	return 0;
}

/* Whoever waits for the phase learns it before the first certificate of the new authority is there; the Deployment's step follows. */
static int tell_rotation(struct tenant_pass *work, struct cancel *cancel, struct error *err)
{
	if (!work->pass->certificate_authority_replaced || string_equal(work->snapshot->tenant.phase, PHASE_PROVISIONING))
		return 0;
	status_set_phase(work->pass->status, PHASE_CA_ROTATING, NULL);
	return tenant_write_status(work->controller, work->snapshot, work->pass->status, &work->wrote, cancel, err);
}

/* Credentials and the store's preparation are one round: neither needs the other's result. */
static int run_stages(struct tenant_pass *work, struct cancel *cancel, struct error *err)
{
	struct pass *pass = work->pass;

	if (run_stage(work, STAGE_SERVICE, NULL, cancel, err) < 0 || pass_plan(pass, STAGE_CREDENTIALS, err) < 0 ||
	    pass_plan(pass, STAGE_DATA_STORE, err) < 0 || tell_rotation(work, cancel, err) < 0)
		return -1;
	if (tenant_apply_stage(work->snapshot, pass, STAGE_CREDENTIALS, prepare_store, work, &work->wrote, cancel, err) < 0 ||
	    pass_observe(pass, STAGE_CREDENTIALS, err) < 0 || pass_observe(pass, STAGE_DATA_STORE, err) < 0)
		return -1;
	if (run_stage(work, STAGE_WORKLOAD, NULL, cancel, err) < 0)
		return -1;
	return run_stage(work, STAGE_ROUTES, NULL, cancel, err);
}

/* The status tells what happened even when writing it is all that can still be done. */
static int finish_failed(struct tenant_pass *work, struct cancel *cancel, struct error *err)
{
	struct error cause = *err, writing = { 0 };

	if (cause.class == ERROR_CANCELLED || cause.class == ERROR_CONFLICT)
		return -1;
	pass_fail(work->pass, err);

	const json_t *condition = status_condition(work->pass->status, CONDITION_READY);

	if (cause.class != ERROR_PENDING)
		tenant_tell_problem(work->controller, work->snapshot, json_string_or(condition, "reason", "ReconcileFailed"),
		                    json_string_or(condition, "message", cause.message));
	if (tenant_write_status(work->controller, work->snapshot, work->pass->status, &work->wrote, cancel, &writing) < 0)
		log_warning_error("tenant.status", "status could not be written", &writing, LOG_STRING("tenant", work->snapshot->key));
	*err = cause;
	return -1;
}

static void plan_next_look(struct tenant_pass *work)
{
	const struct manager_options *options = work->controller->context->options;
	struct tenant_record *record = work->record;
	uint64_t delay = options->resync_ms;

	if (record->renew_at > 0) {
		int64_t left = record->renew_at - clock_wall_seconds();
		uint64_t until = left > 0 ? (uint64_t)left * 1000 + 1000 : 1000;

		delay = until < delay ? until : delay;
	}
	worker_group_add_after(work->controller->group, work->snapshot->key, delay);
}

/* What was just written of the tenant is nothing that a pass reads. */
static bool inputs_stand(const struct tenant_snapshot *snapshot)
{
	STRING_LIST_CLEANUP struct string_list before = { 0 };
	STRING_LIST_CLEANUP struct string_list after = { 0 };
	char before_hex[DIGEST_HEX_SIZE], after_hex[DIGEST_HEX_SIZE];

	tenant_digest_tenant(&before, snapshot->tenant.object);
	tenant_digest_tenant(&after, snapshot->object);
	tenant_digest_finish(&before, before_hex);
	tenant_digest_finish(&after, after_hex);
	return string_equal(before_hex, after_hex);
}

static int run_pass(struct tenant_pass *work, struct cancel *cancel, struct error *err)
{
	struct tenant_snapshot *snapshot = work->snapshot;

	if (tenant_snapshot_load(snapshot, cancel, err) < 0) {
		if (error_is_retriable(err) || err->class == ERROR_CANCELLED || err->class == ERROR_FORBIDDEN)
			return -1;
		FREE_CLEANUP char *message = string_dup(err->message);

		return tenant_block(work->controller, snapshot, err->class, "DataStoreInvalid", message, cancel, err);
	}
	work->pass = pass_new(snapshot->arena, &snapshot->input);
	if (run_stages(work, cancel, err) < 0)
		return finish_failed(work, cancel, err);
	pass_complete(work->pass);

	bool wrote_objects = work->wrote;

	if (tenant_write_status(work->controller, snapshot, work->pass->status, &work->wrote, cancel, err) < 0)
		return -1;
	work->record->problem[0] = '\0';
	work->record->renew_at = pass_next_renewal(work->pass);
	if (wrote_objects || (work->wrote && !inputs_stand(snapshot))) {
		/* Another pass sees what the server made of the writes; it is the one that finds nothing to do. */
		worker_group_add(work->controller->group, snapshot->key);
		return 0;
	}
	memcpy(work->record->settled, snapshot->inputs_digest, sizeof(snapshot->inputs_digest));
	if (!work->wrote)
		memcpy(work->record->progressed, snapshot->progress_digest, sizeof(snapshot->progress_digest));
	plan_next_look(work);
	return 0;
}

static int look_at_progress(struct tenant_pass *work, struct cancel *cancel, struct error *err)
{
	struct tenant_snapshot *snapshot = work->snapshot;

	plan_next_look(work);
	if (string_equal(work->record->progressed, snapshot->progress_digest))
		return 0;
	work->pass = pass_new(snapshot->arena, &snapshot->input);
	if (pass_refresh(work->pass, err) < 0)
		return finish_failed(work, cancel, err);
	if (tenant_write_status(work->controller, snapshot, work->pass->status, &work->wrote, cancel, err) < 0)
		return -1;
	if (!work->wrote)
		memcpy(work->record->progressed, snapshot->progress_digest, sizeof(snapshot->progress_digest));
	return 0;
}

/* What stands in the way before anything is planned. 0: nothing. */
static int check_preconditions(struct tenant_pass *work, struct cancel *cancel, struct error *err)
{
	struct tenant_snapshot *snapshot = work->snapshot;
	const struct tenant_control_plane *tenant = &snapshot->tenant;
	const struct field_problem *problems = field_problems_blocking(tenant_validate(snapshot->arena, tenant->object, NULL));
	const char *message;

	/* A tenant that runs keeps running with what was accepted before; steps complain about what they cannot do. */
	if (problems && string_empty(tenant->installed_version) && !snapshot->input.deployment)
		return tenant_block(work->controller, snapshot, ERROR_INVALID, "InvalidSpec",
		                    field_problems_text(snapshot->arena, problems), cancel, err);
	if (string_empty(tenant->data_store))
		return tenant_block(
			work->controller, snapshot, ERROR_INVALID, "DataStoreMissing",
			"spec.dataStore names no DataStore and the operator has no default (name one, or start the operator with"
			" --datastore)",
			cancel, err);
	if (!snapshot->store_object) {
		message = arena_printf(snapshot->arena, "spec.dataStore: DataStore %s does not exist (create it, or name another)",
		                       tenant->data_store);
		return tenant_block(work->controller, snapshot, ERROR_PENDING, "DataStoreNotFound", message, cancel, err);
	}
	if (!json_boolean_or(snapshot->store_object, "status.ready", false)) {
		const json_t *condition = status_condition(json_at(snapshot->store_object, "status"), CONDITION_DATA_STORE_VALIDATION);

		message = arena_printf(snapshot->arena, "DataStore %s is not ready: %s", tenant->data_store,
		                       json_string_or(condition, "message", "it has not been validated yet"));
		return tenant_block(work->controller, snapshot, ERROR_PENDING, "DataStoreNotReady", message, cancel, err);
	}
	return 0;
}

static int reconcile_snapshot(struct tenant_pass *work, struct cancel *cancel, struct error *err)
{
	struct tenant_snapshot *snapshot = work->snapshot;
	struct tenant_record *record = work->record;
	bool due = record->renew_at > 0 && snapshot->input.now >= record->renew_at;

	if (snapshot->tenant.paused)
		return 0;
	if (snapshot->tenant.deleting)
		return tenant_delete(work->controller, snapshot, cancel, err);
	if (string_equal(record->settled, snapshot->inputs_digest) && !due)
		return look_at_progress(work, cancel, err);
	record->settled[0] = '\0';
	if (tenant_snapshot_delete_remains(snapshot, cancel, err) < 0)
		return -1;
	/* Upstream's tenant manager holds this one while it runs. It does not run, and nothing of ours needs it. */
	if (tenant_set_finalizer(snapshot, FINALIZER_SOOT, false, &work->wrote, cancel, err) < 0)
		return -1;
	if (check_preconditions(work, cancel, err) < 0)
		return -1;
	return run_pass(work, cancel, err);
}

int tenant_reconcile(const char *key, struct cancel *cancel, void *argument, struct error *err)
{
	struct tenant_controller *controller = argument;
	struct tenant_snapshot snapshot;
	struct tenant_pass work = { .controller = controller, .snapshot = &snapshot, .record = tenant_record_of(controller, key) };
	int status = tenant_snapshot_open(&snapshot, controller->context, key, &controller->step_options, err);

	if (status == 0 && !snapshot.object)
		tenant_record_forget(controller, key);
	else if (status == 0)
		status = reconcile_snapshot(&work, cancel, err);
	tenant_snapshot_close(&snapshot);
	return status;
}
