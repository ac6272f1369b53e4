/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/tenant_apply.h"

#include <pthread.h>
#include <string.h>

#include "api/names.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "controllers/manager_context.h"
#include "controllers/manager_metrics.h"
#include "controllers/worker_group.h"
#include "io/thread.h"
#include "kube/apply.h"

/* Counts the writes that are still under way. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	size_t pending;
};

struct write {
	struct tenant_snapshot *snapshot;
	const struct desired_object *desired;
	struct cancel *cancel;
	struct gate *gate;
	bool wrote;
	json_t *result; /* owned; NULL when nothing was written */
	int status;
	struct error err;
};

static const struct kube_resource *resource_of(enum object_kind kind)
{
	static const struct kube_resource *const resources[OBJECT_KIND_COUNT] = {
		[OBJECT_SERVICE] = &kube_resource_service, [OBJECT_CONFIG_MAP] = &kube_resource_config_map,
		[OBJECT_SECRET] = &kube_resource_secret,   [OBJECT_DEPLOYMENT] = &kube_resource_deployment,
		[OBJECT_INGRESS] = &kube_resource_ingress, [OBJECT_TLS_ROUTE] = &kube_resource_tls_route,
	};

	return resources[kind];
}

static struct kube_cache *cache_of(const struct manager_context *context, enum object_kind kind)
{
	struct kube_cache *const caches[OBJECT_KIND_COUNT] = {
		[OBJECT_SERVICE] = context->services,  [OBJECT_CONFIG_MAP] = context->config_maps,
		[OBJECT_SECRET] = context->secrets,    [OBJECT_DEPLOYMENT] = context->deployments,
		[OBJECT_INGRESS] = context->ingresses, [OBJECT_TLS_ROUTE] = context->routes,
	};

	return caches[kind];
}

static int delete_object(struct write *write)
{
	const struct desired_object *desired = write->desired;
	const struct kube_delete_options options = { .uid = json_string_at(desired->live, "metadata.uid") };

	if (!desired->live || json_at(desired->live, "metadata.deletionTimestamp"))
		return 0;
	if (kube_client_delete(write->snapshot->context->client, resource_of(desired->kind), write->snapshot->tenant.namespace,
	                       desired->name, &options, write->cancel, &write->err) < 0 &&
	    write->err.class != ERROR_NOT_FOUND)
		return -1;
	error_clear(&write->err);
	write->wrote = true;
	return 0;
}

/* Keys that everything else hangs on. All other Secrets can be made again from these without harm. */
static bool is_root_key(const struct write *write)
{
	static const char *const suffixes[] = { SUFFIX_CA, SUFFIX_FRONT_PROXY_CA, SUFFIX_SERVICE_ACCOUNT };
	const char *rest = write->desired->name + strlen(write->snapshot->tenant.name);

	for (size_t i = 0; write->desired->kind == OBJECT_SECRET && i < ARRAY_LENGTH(suffixes); i++) {
		if (string_equal(rest, suffixes[i]))
			return true;
	}
	return false;
}

/* A new root key must never replace one that somebody else made in the meantime. */
static int create_secret(struct write *write)
{
	struct manager_context *context = write->snapshot->context;

	write->result =
		kube_client_create(context->client, &kube_resource_secret, write->desired->object, NULL, write->cancel, &write->err);
	if (!write->result) {
		if (write->err.class == ERROR_EXISTS)
			write->err.class = ERROR_CONFLICT;
		return -1;
	}
	write->wrote = true;
	(void)kube_cache_observe(context->secrets, NULL, write->result);
	return 0;
}

/*
 * Between the event that takes a Secret out of one cache and the one that brings it into the other, a pass sees none. Made anew it would lose
 * its bytes, so the server is asked once more; a tenant's first pass, which would ask for all, has none to lose.
 */
static int check_absent(struct write *write)
{
	const struct tenant_snapshot *snapshot = write->snapshot;
	JSON_CLEANUP json_t *live = NULL;

	if (!snapshot->secrets_known)
		return 0;
	live = kube_client_get(snapshot->context->client, &kube_resource_secret, snapshot->tenant.namespace, write->desired->name,
	                       write->cancel, &write->err);
	if (live)
		return error_set(&write->err, ERROR_CONFLICT, "it is there, though its labels said otherwise a moment ago");
	if (write->err.class != ERROR_NOT_FOUND)
		return -1;
	error_clear(&write->err);
	return 0;
}

static int replace_data(struct write *write)
{
	const struct desired_object *desired = write->desired;
	JSON_CLEANUP json_t *patch = json_build("[{s:s, s:s, s:s}, {s:s, s:s, s:O}]", "op", "test", "path", "/metadata/resourceVersion",
	                                        "value", json_string_or(desired->live, "metadata.resourceVersion", ""), "op", "add", "path",
	                                        "/data", "value", json_at(desired->object, "data"));
	const struct kube_write_options options = { .secret = desired->sensitive };
	json_t *stored = kube_client_patch(write->snapshot->context->client, resource_of(desired->kind), write->snapshot->tenant.namespace,
	                                   desired->name, KUBE_PATCH_JSON, patch, &options, write->cancel, &write->err);

	if (!stored) {
		if (write->err.status == 422)
			write->err.class = ERROR_CONFLICT;
		return -1;
	}
	json_decref(stored);
	write->wrote = true;
	return 0;
}

static int apply_object(struct write *write)
{
	struct manager_context *context = write->snapshot->context;
	const struct kube_apply_request request = {
		.client = context->client,
		.resource = resource_of(write->desired->kind),
		.desired = write->desired->object,
		.cache = cache_of(context, write->desired->kind),
		.adopt_label = LABEL_COMPONENT,
	};
	struct kube_apply_result result = { 0 };

	if (kube_apply_if_different(context->applier, &request, &result, write->cancel, &write->err) < 0) {
		/* A Service may ask for what another has, a node port or an address: nothing tells when that one lets go of it. */
		if (write->err.status == 422 && write->desired->kind == OBJECT_SERVICE)
			write->err.retry_after_ms = WORKER_FORBIDDEN_DELAY_MS;
		return -1;
	}
	write->wrote = write->wrote || result.wrote;
	write->result = result.object;
	return 0;
}

static int carry_out(struct write *write)
{
	const struct desired_object *desired = write->desired;

	if (!desired->object)
		return delete_object(write);
	if (!desired->live && is_root_key(write))
		return create_secret(write);
	if (!desired->live && desired->kind == OBJECT_SECRET && check_absent(write) < 0)
		return -1;
	if (desired->replace_data && desired->live && replace_data(write) < 0)
		return -1;
	return apply_object(write);
}

static void run_write(void *argument)
{
	struct write *write = argument;
	uint64_t begin = clock_monotonic_ns();

	write->status = carry_out(write);
	if (write->status < 0)
		error_wrap(&write->err, "%s %s", resource_of(write->desired->kind)->kind, write->desired->name);
	else if (write->wrote)
		log_debug("tenant.write", "object written", LOG_STRING("tenant", write->snapshot->key),
		          LOG_STRING("kind", resource_of(write->desired->kind)->kind), LOG_STRING("name", write->desired->name));
	manager_metrics_observe_step(write->desired->step, (double)(clock_monotonic_ns() - begin) / 1e9);
	if (write->gate) {
		THREAD_LOCKED(&write->gate->mutex);
		write->gate->pending--;
		(void)pthread_cond_signal(&write->gate->condition);
	}
}

static void wait_for_all(struct gate *gate)
{
	THREAD_LOCKED(&gate->mutex);
	while (gate->pending > 0)
		(void)thread_condition_wait(&gate->condition, &gate->mutex, UINT64_MAX);
}

/* One object is written here; more go to the pool. */
static void run_all(struct tenant_snapshot *snapshot, struct write *writes, size_t count, struct gate *gate)
{
	bool alone = count == 1;

	gate->pending = alone ? 0 : count;
	for (size_t i = 0; i < count; i++) {
		writes[i].gate = alone ? NULL : gate;
		if (alone)
			run_write(&writes[i]);
		else
			thread_pool_post(snapshot->context->requests, run_write, &writes[i]);
	}
}

static void decref(void *value)
{
	json_decref(value);
}

static void give_live(struct tenant_snapshot *snapshot, struct pass *pass, const struct write *write)
{
	const struct desired_object *desired = write->desired;

	if (write->result)
		arena_defer(snapshot->arena, decref, write->result); /* the pass reads it until its end */
	if (desired->kind != OBJECT_SERVICE && desired->kind != OBJECT_DEPLOYMENT)
		return;
	pass_set_live(pass, desired->kind, desired->name, write->result ? write->result : desired->live);
}

int tenant_apply_stage(struct tenant_snapshot *snapshot, struct pass *pass, enum step_stage stage, tenant_apply_beside beside,
                       void *beside_argument, bool *wrote, struct cancel *cancel, struct error *err)
{
	size_t begin = pass->stage_begin[stage], end = pass->object_count, count = end - begin;
	struct write *writes = arena_alloc(snapshot->arena, (count + 1) * sizeof(*writes));
	struct gate gate = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	int status = 0;

	thread_condition_init(&gate.condition);
	for (size_t i = 0; i < count; i++)
		writes[i] = (struct write){ .snapshot = snapshot, .desired = &pass->objects[begin + i], .cancel = cancel };
	run_all(snapshot, writes, count, &gate);
	if (beside)
		status = beside(beside_argument, cancel, err);
	wait_for_all(&gate);
	(void)pthread_cond_destroy(&gate.condition);

	for (size_t i = 0; i < count; i++) {
		*wrote = *wrote || writes[i].wrote;
		if (writes[i].status < 0 && status == 0) {
			*err = writes[i].err;
			status = -1;
		}
		give_live(snapshot, pass, &writes[i]);
	}
	return status;
}
