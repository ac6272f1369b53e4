/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/review.h"

#include "api/names.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "controllers/review_internal.h"
#include "datastore/driver.h"
#include "io/loop.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/config.h"
#include "pki/key.h"

enum { READING_LIMIT_MS = 120 * 1000 };

struct reviewer {
	struct manager_context context;
	struct step_options step_options;
	struct review *review;
	enum review_direction direction;
};

void review_free(struct review *review)
{
	json_decref(review->findings);
	json_decref(review->tenants);
	*review = (struct review){ 0 };
}

void review_add(struct review_tenant *tenant, const char *kind, const char *name, const char *field, const char *change, bool restarts)
{
	json_array_append_new(tenant->review->findings,
	                      json_build("{s:s, s:s, s:s, s:s, s:s, s:b}", "tenant", tenant->snapshot->key, "kind", kind, "name", name,
	                                 "field", field, "change", change, "restarts", (int)restarts));
}

/* A pass that is thrown away may need keys: what it signs is never stored. */
static struct key *throw_away_key(void *context, bool service_account, struct error *err)
{
	struct key *key = NULL;

	return key_generate(service_account ? KEY_RSA_2048 : KEY_ECDSA_P256, &key, err) == 0 ? key : NULL;
}

static const struct kube_resource *resource_of(enum object_kind kind)
{
	static const struct kube_resource *const resources[OBJECT_KIND_COUNT] = {
		[OBJECT_SERVICE] = &kube_resource_service, [OBJECT_CONFIG_MAP] = &kube_resource_config_map,
		[OBJECT_SECRET] = &kube_resource_secret,   [OBJECT_DEPLOYMENT] = &kube_resource_deployment,
		[OBJECT_INGRESS] = &kube_resource_ingress, [OBJECT_TLS_ROUTE] = &kube_resource_tls_route,
	};

	return resources[kind];
}

static void drop(void *value)
{
	json_decref(value);
}

static void scrub(json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(object, "data"), key, value) {
		if (json_is_string(value))
			secret_zero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
	}
	json_decref(object);
}

static void look_at_object(struct review_tenant *tenant, const struct desired_object *desired)
{
	const struct kube_resource *resource = resource_of(desired->kind);
	struct error err = { 0 };
	json_t *live = kube_client_get(tenant->context->client, resource, tenant->snapshot->tenant.namespace, desired->name, NULL, &err);

	if (!live && err.class != ERROR_NOT_FOUND)
		review_add(tenant, resource->kind, desired->name, "", err.message, false);
	else if (!desired->object && live)
		review_add(tenant, resource->kind, desired->name, "", "is deleted", false);
	else if (desired->object && !live)
		review_add(tenant, resource->kind, desired->name, "", "is created", desired->kind == OBJECT_DEPLOYMENT);
	else if (live)
		review_compare(tenant, desired, live);
	if (desired->kind == OBJECT_SECRET)
		scrub(live);
	else
		json_decref(live);
}

/* All stages over what is live, as if every write had been answered with what is there. */
static int plan(struct pass *pass, struct error *err)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		if (pass_plan(pass, (enum step_stage)stage, err) < 0 || pass_observe(pass, (enum step_stage)stage, err) < 0) {
			pass->stage_begin[STAGE_COUNT] = pass->object_count;
			return -1;
		}
	}
	return 0;
}

static void add_blocked(struct review_tenant *tenant, const char *message)
{
	review_add(tenant, KAMAJI_KIND_TENANT_CONTROL_PLANE, tenant->snapshot->tenant.name, "", message, false);
}

/* What keeps a pass from its end: told once, and the objects behind it are left as they are. */
static bool has_driver(struct review_tenant *tenant)
{
	const char *name = json_string_or(tenant->snapshot->store_object, "spec.driver", "");
	struct error err = { 0 };

	if (datastore_driver_find(name, &err))
		return true;
	add_blocked(tenant, arena_printf(tenant->snapshot->arena,
	                                 "is left as it is from the data store on, and not cleaned up when deleted: DataStore %s: %s",
	                                 tenant->snapshot->tenant.data_store, err.message));
	return false;
}

static void look_at_loaded(struct reviewer *reviewer, struct review_tenant *tenant)
{
	struct pass *pass = pass_new(tenant->snapshot->arena, &tenant->snapshot->input);
	struct error err = { 0 };
	bool whole = plan(pass, &err) == 0;

	bool back = reviewer->direction == REVIEW_HAND_BACK, driver = back || has_driver(tenant);

	for (size_t i = 0; i < pass->object_count; i++) {
		if (driver || (pass->objects[i].kind != OBJECT_DEPLOYMENT && i < pass->stage_begin[STAGE_DATA_STORE]))
			look_at_object(tenant, &pass->objects[i]);
	}
	if (back)
		review_hand_back(tenant);
	if (!whole)
		add_blocked(tenant, arena_printf(tenant->snapshot->arena, "goes no further than %s: %s", pass->blocked.step, err.message));
}

/* Upstream knows one template: what was recorded of ours does not count. */
static void forget_profile(struct tenant_snapshot *snapshot)
{
	json_t *tenant = json_deep_copy(snapshot->object), *deployment = json_deep_copy(snapshot->input.deployment);

	(void)json_object_del(json_at(tenant, "metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE);
	(void)json_object_del(json_at(deployment, "metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE);
	arena_defer(snapshot->arena, drop, tenant);
	arena_defer(snapshot->arena, drop, deployment);
	snapshot->tenant.object = tenant;
	snapshot->input.deployment = deployment;
}

static void look_at_tenant(struct reviewer *reviewer, const char *key)
{
	struct tenant_snapshot snapshot;
	struct review_tenant tenant = { .context = &reviewer->context, .snapshot = &snapshot, .review = reviewer->review };
	struct error err = { 0 };
	int status = tenant_snapshot_open(&snapshot, &reviewer->context, key, &reviewer->step_options, &err);

	if (status == 0 && snapshot.object && !snapshot.tenant.paused && !snapshot.tenant.deleting) {
		if (!snapshot.store_object)
			status = error_set(&err, ERROR_NOT_FOUND, "spec.dataStore: DataStore \"%s\" does not exist",
			                   snapshot.tenant.data_store);
		else if (tenant_snapshot_load(&snapshot, NULL, &err) < 0)
			status = -1;
		else {
			if (reviewer->direction == REVIEW_HAND_BACK)
				forget_profile(&snapshot);
			look_at_loaded(reviewer, &tenant);
		}
	}
	if (status < 0)
		add_blocked(&tenant, err.message);
	tenant_snapshot_close(&snapshot);
}

static void look_at_all(struct reviewer *reviewer)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries entries = { 0 };

	kube_cache_list(reviewer->context.tenants, &entries);
	kube_entries_sort(&entries);
	for (size_t i = 0; i < entries.count; i++) {
		json_array_append_new(reviewer->review->tenants, json_string_new(entries.items[i]->key));
		look_at_tenant(reviewer, entries.items[i]->key);
	}
}

int review_open_cluster(struct manager_context *context, struct error *err)
{
	KUBE_CONFIG_CLEANUP struct kube_config *config = kube_config_load(NULL, NULL, err);
	CANCEL_CLEANUP struct cancel *limit = cancel_new(NULL, clock_monotonic_ms() + READING_LIMIT_MS);
	bool gateway = false;

	if (!config)
		return -1;
	context->loop = loop_start("loop", err);
	if (!context->loop)
		return -1;
	context->client =
		kube_client_new(&(struct kube_client_options){ .loop = context->loop, .config = config, .metrics_host = "admin" }, err);
	if (!context->client || manager_context_gateway_served(context->client, &gateway, limit, err) < 0)
		return -1;
	context->credentials = data_store_credentials_new(context);
	manager_context_make_caches(context, gateway);
	manager_context_start_caches(context);
	return manager_context_wait_caches(context, limit, err);
}

void review_close_cluster(struct manager_context *context)
{
	manager_context_free_caches(context);
	if (context->credentials)
		data_store_credentials_free(context->credentials);
	kube_client_unref(context->client);
	if (context->loop)
		loop_stop(context->loop);
}

int review_run(const struct manager_options *options, enum review_direction direction, struct review *review, struct error *err)
{
	struct reviewer reviewer = { .context = { .options = options }, .review = review, .direction = direction };
	int status;

	*review = (struct review){ .findings = json_array(), .tenants = json_array() };
	reviewer.step_options = (struct step_options){
		.profile = direction == REVIEW_HAND_BACK ? PROFILE_UPSTREAM : PROFILE_NATIVE,
		.certificate_threshold = (int64_t)(options->certificate_deadline_ms / 1000),
		.kine_image = options->kine_image,
		.generate_key = throw_away_key,
	};
	status = review_open_cluster(&reviewer.context, err);
	reviewer.step_options.gateway_served = reviewer.context.routes != NULL;
	if (status == 0)
		look_at_all(&reviewer);
	review_close_cluster(&reviewer.context);
	return status;
}
