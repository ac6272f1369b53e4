/* SPDX-License-Identifier: Apache-2.0 */
/* What is written back to a tenant: status, finalizers, Events. */
#include <stdio.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "controllers/object_patch.h"
#include "controllers/tenant_internal.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/event.h"

static void decref(void *value)
{
	json_decref(value);
}

/* The cache learns at once what was written, so that the next pass does not work on the state before. */
static void observe(struct tenant_snapshot *snapshot, const struct kube_entry *before, json_t *stored)
{
	(void)kube_cache_observe(snapshot->context->tenants, before, stored);
}

int tenant_set_finalizer(struct tenant_snapshot *snapshot, const char *finalizer, bool present, bool *wrote, struct cancel *cancel,
                         struct error *err)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *before = kube_cache_get_key(snapshot->context->tenants, snapshot->key);
	json_t *stored = NULL;

	if (object_patch_finalizer(snapshot->context->client, &kube_resource_tenant_control_plane, snapshot->object, finalizer, present,
	                           &stored, cancel, err) < 0)
		return -1;
	if (!stored)
		return 0;
	*wrote = true;
	observe(snapshot, before, stored);
	arena_defer(snapshot->arena, decref, stored);
	snapshot->object = stored;
	return 0;
}

void tenant_tell_problem(struct tenant_controller *controller, struct tenant_snapshot *snapshot, const char *reason, const char *message)
{
	struct tenant_record *record = tenant_record_of(controller, snapshot->key);
	struct event_object about = event_object_of(&kube_resource_tenant_control_plane, snapshot->object);
	char problem[sizeof(record->problem)];

	(void)snprintf(problem, sizeof(problem), "%s %s", reason, message);
	if (string_equal(problem, record->problem))
		return;
	memcpy(record->problem, problem, sizeof(problem));
	event_recorder_record(controller->context->events, &about, EVENT_WARNING, reason, "%s", message);
	log_warning("tenant.blocked", message, LOG_STRING("tenant", snapshot->key), LOG_STRING("reason", reason));
}

static void tell_phase(struct tenant_controller *controller, struct tenant_snapshot *snapshot, const char *phase)
{
	struct tenant_record *record = tenant_record_of(controller, snapshot->key);
	struct event_object about = event_object_of(&kube_resource_tenant_control_plane, snapshot->object);
	const char *created = json_string_or(snapshot->object, "metadata.creationTimestamp", "");
	int64_t since = 0;

	if (string_equal(phase, record->phase) || string_equal(phase, snapshot->tenant.phase)) {
		(void)snprintf(record->phase, sizeof(record->phase), "%s", phase);
		return;
	}
	(void)snprintf(record->phase, sizeof(record->phase), "%s", phase);
	if (clock_parse_rfc3339(created, &since) == 0)
		since = clock_wall_seconds() - since;
	log_info("tenant.phase", "phase changed", LOG_STRING("tenant", snapshot->key), LOG_STRING("phase", phase),
	         LOG_INTEGER("age_seconds", since));
	if (string_equal(phase, PHASE_READY))
		event_recorder_record(controller->context->events, &about, EVENT_NORMAL, "Ready",
		                      "control plane is ready at %s, version %s", snapshot->tenant.endpoint, snapshot->tenant.version);
	else if (!string_empty(phase))
		event_recorder_record(controller->context->events, &about, EVENT_NORMAL, phase, "phase is %s%s%s", phase,
		                      string_empty(snapshot->tenant.phase) ? "" : ", it was ", snapshot->tenant.phase);
}

int tenant_write_status(struct tenant_controller *controller, struct tenant_snapshot *snapshot, json_t *status, bool *wrote,
                        struct cancel *cancel, struct error *err)
{
	json_t *stored = NULL;

	if (status_equal(status, snapshot->status, snapshot->conditions_supported))
		return 0;
	KUBE_ENTRY_CLEANUP struct kube_entry *before = kube_cache_get_key(snapshot->context->tenants, snapshot->key);
	JSON_CLEANUP json_t *wanted = json_copy(status);

	if (!snapshot->conditions_supported)
		(void)json_object_del(wanted, "conditions");
	if (object_patch_status(snapshot->context->client, &kube_resource_tenant_control_plane, snapshot->object, snapshot->status, wanted,
	                        &stored, cancel, err) < 0)
		return -1;
	if (!stored)
		return 0;
	*wrote = true;
	observe(snapshot, before, stored);
	arena_defer(snapshot->arena, decref, stored);
	if (snapshot->conditions_supported && status_conditions_pruned(wanted, json_at(stored, "status"))) {
		atomic_store(&controller->context->conditions_unsupported, true);
		log_info("tenant.conditions_unsupported", "the installed CRD drops status.conditions: they are not written any more");
	}
	tell_phase(controller, snapshot, json_string_or(stored, "status.kubernetesResources.version.status", ""));
	snapshot->object = stored;
	snapshot->status = json_at(stored, "status");
	return 0;
}

int tenant_block(struct tenant_controller *controller, struct tenant_snapshot *snapshot, enum error_class class, const char *reason,
                 const char *message, struct cancel *cancel, struct error *err)
{
	struct pass *pass = pass_new(snapshot->arena, &snapshot->input);
	struct error ignored = { 0 };
	bool wrote = false;

	(void)pass_refresh(pass, &ignored);
	status_set_condition(pass->status, CONDITION_READY, "False", reason, message, snapshot->tenant.generation, snapshot->input.now);
	tenant_tell_problem(controller, snapshot, reason, message);
	if (tenant_write_status(controller, snapshot, pass->status, &wrote, cancel, err) < 0)
		return -1;
	return error_set(err, class, "%s: %s", reason, message);
}
