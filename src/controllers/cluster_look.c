/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/cluster_look.h"

#include <stdio.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "controllers/cluster_guard.h"
#include "controllers/manager_metrics.h"
#include "controllers/object_patch.h"
#include "controllers/tenant_digest.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/event.h"

enum { SYNC_TIMEOUT_MS = 5 * 1000 };

/* What one look reads; everything lives in the arena. */
struct look {
	struct manager_context *context;
	struct arena *arena;
	const char *key;
	json_t *object, *deployment, *service, *config_map;
	struct kube_entry *secret; /* digests only */
	struct tenant_control_plane tenant;
	const char *fingerprint;
	char inputs[DIGEST_HEX_SIZE];
};

static void decref(void *value)
{
	json_decref(value);
}

static void unref(void *value)
{
	kube_entry_unref(value);
}

static json_t *cached(struct look *look, struct kube_cache *cache, const char *suffix)
{
	json_t *object = kube_cache_get_json(cache, look->tenant.namespace, names_object(look->arena, look->tenant.name, suffix));

	if (object)
		arena_defer(look->arena, decref, object);
	return object;
}

bool cluster_is_served(const json_t *tenant, const json_t *deployment)
{
	if (!tenant || !deployment || json_at(tenant, "metadata.deletionTimestamp"))
		return false;
	if (json_integer_or(deployment, "spec.replicas", 1) == 0)
		return false;
	return json_integer_or(deployment, "status.readyReplicas", 0) > 0;
}

static void compute_texts(struct look *look)
{
	STRING_LIST_CLEANUP struct string_list lines = { 0 };

	look->fingerprint = arena_printf(look->arena, "%s@%s %s:%lld", look->secret->uid, look->secret->resource_version,
	                                 json_string_or(look->service, "spec.clusterIP", ""), (long long)look->tenant.port);
	string_list_add(&lines, look->fingerprint);
	tenant_digest_version(&lines, "config map", look->key, json_string_or(look->config_map, "metadata.uid", ""),
	                      json_string_or(look->config_map, "metadata.resourceVersion", ""));
	string_list_printf(&lines, "tenant %s %lld %s", look->tenant.uid, (long long)look->tenant.generation, look->tenant.endpoint);
	if (look->tenant.write_limited)
		cluster_guard_digest(look->context, &lines);
	tenant_digest_finish(&lines, look->inputs);
}

/* False: nothing to serve (yet); a later event brings us back. */
static bool read_caches(struct look *look, struct error *err)
{
	struct manager_context *context = look->context;
	KUBE_ENTRIES_CLEANUP struct kube_entries served = { 0 };
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get_key(context->tenants, look->key);

	kube_cache_by_index(context->deployments, INDEX_SERVED, look->key, &served);
	if (!entry || served.count == 0)
		return false;
	look->object = kube_entry_parse(entry);
	arena_defer(look->arena, decref, look->object);
	if (tenant_parse(look->arena, look->object, context->options->data_store, &look->tenant, err) < 0)
		return false;
	look->deployment = cached(look, context->deployments, "");
	look->service = cached(look, context->services, "");
	look->config_map = cached(look, context->config_maps, SUFFIX_KUBEADM_CONFIG);
	look->secret = kube_cache_get(context->secrets, look->tenant.namespace,
	                              names_object(look->arena, look->tenant.name, SUFFIX_ADMIN_KUBECONFIG));
	if (look->secret)
		arena_defer(look->arena, unref, look->secret);
	if (!cluster_is_served(look->object, look->deployment) || !look->service || !look->config_map || !look->secret)
		return false;
	compute_texts(look);
	return true;
}

int cluster_kubeconfig_read(struct manager_context *context, const json_t *tenant, struct buffer *text, struct cancel *cancel,
                            struct error *err)
{
	ARENA_CLEANUP struct arena *arena = arena_new();
	const char *name = names_object(arena, json_string_or(tenant, "metadata.name", ""), SUFFIX_ADMIN_KUBECONFIG);
	const char *key = json_string_value(json_object_get(json_at(tenant, "metadata.annotations"), ANNOTATION_KUBECONFIG_SECRET_KEY));
	JSON_CLEANUP json_t *secret =
		kube_client_get(context->client, &kube_resource_secret, json_string_at(tenant, "metadata.namespace"), name, cancel, err);

	if (!secret)
		return error_wrap(err, "Secret %s", name);
	if (string_empty(key))
		key = KEY_SUPER_ADMIN_CONF;
	const json_t *value = json_object_get(json_at(secret, "data"), key);

	if (!json_is_string(value))
		return error_set(err, ERROR_NOT_FOUND, "Secret %s has no key %s (annotation %s chooses it)", name, key,
		                 ANNOTATION_KUBECONFIG_SECRET_KEY);
	return base64_decode(json_string_value(value), json_string_length(value), text, err);
}

static struct cluster_session *make_session(struct look *look, const struct buffer *kubeconfig,
                                            void (*on_change)(const char *key, void *argument), void *argument, struct error *err)
{
	const char *address = json_string_or(look->service, "spec.clusterIP", "");

	if (string_empty(address) || string_equal(address, "None")) {
		(void)error_set(err, ERROR_PENDING, "Service %s has no cluster address", look->tenant.name);
		return NULL;
	}
	return cluster_session_new(&(struct cluster_session_options){ .context = look->context,
	                                                              .key = look->key,
	                                                              .address = address,
	                                                              .port = (uint16_t)look->tenant.port,
	                                                              .server_name = names_service_host(look->arena, look->tenant.name,
	                                                                                                look->tenant.namespace),
	                                                              .fingerprint = look->fingerprint,
	                                                              .kubeconfig = kubeconfig->data,
	                                                              .kubeconfig_length = kubeconfig->length,
	                                                              .on_change = on_change,
	                                                              .argument = argument },
	                           err);
}

static void enable(json_t *status, const char *path, bool enabled, int64_t now)
{
	(void)status_record(status, path, json_build("{s:b}", "enabled", enabled), true, now);
}

/* The agent and what belongs to it; emptied when the add-on is gone. */
static void record_agent(json_t *status, const char *mode, int64_t now)
{
	static const char agent[] = "addons.konnectivity.agent", account[] = "addons.konnectivity.sa",
			  binding[] = "addons.konnectivity.clusterrolebinding";

	if (!mode) {
		static const char *const paths[] = { agent, account, binding };

		for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
			if (json_object_size(json_at(status, paths[i])) > 0)
				json_put(status, paths[i], json_object());
		}
		return;
	}
	(void)status_record(status, agent,
	                    json_build("{s:s, s:s, s:s}", "name", "konnectivity-agent", "namespace", "kube-system", "mode", mode), true,
	                    now);
	(void)status_record(status, account, json_build("{s:s, s:s}", "name", "konnectivity-agent", "namespace", "kube-system"), true, now);
	(void)status_record(status, binding, json_build("{s:s}", "name", "system:konnectivity-server"), true, now);
}

static int write_status(struct look *look, const struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	struct manager_context *context = look->context;
	KUBE_ENTRY_CLEANUP struct kube_entry *before = kube_cache_get_key(context->tenants, look->key);
	/* The freshest status known: the tenant controller writes other members of it. */
	JSON_CLEANUP json_t *object = before ? kube_entry_parse(before) : json_incref(look->object);
	JSON_CLEANUP json_t *status = json_deep_copy(json_at(object, "status"));
	JSON_CLEANUP json_t *stored = NULL;
	int64_t now = clock_wall_seconds();

	if (!status)
		return 0;
	if (*result->bootstrap_checksum)
		(void)status_record(status, "kubeadmPhase.bootstrapToken", json_build("{s:s}", "checksum", result->bootstrap_checksum),
		                    true, now);
	if (result->core_dns_enabled || json_at(status, "addons.coreDNS"))
		enable(status, "addons.coreDNS", result->core_dns_enabled, now);
	if (result->kube_proxy_enabled || json_at(status, "addons.kubeProxy"))
		enable(status, "addons.kubeProxy", result->kube_proxy_enabled, now);
	record_agent(status, result->konnectivity_mode, now);
	if (object_patch_status(context->client, &kube_resource_tenant_control_plane, object, json_at(object, "status"), status, &stored,
	                        cancel, err) < 0)
		return -1;
	if (stored)
		(void)kube_cache_observe(context->tenants, before, stored);
	return 0;
}

static int reconcile_inside(struct look *look, struct cluster_session *session, const struct buffer *kubeconfig,
                            struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	CLUSTER_INPUTS_CLEANUP struct cluster_inputs inputs = { 0 };
	CLUSTER_GUARD_CLEANUP struct cluster_guard guard = { 0 };

	if (cluster_inputs_read(&inputs, &look->tenant, look->config_map, kubeconfig->data, kubeconfig->length, err) < 0)
		return -1;
	if (look->tenant.write_limited && cluster_guard_read(look->context, &guard, cancel, err) < 0)
		return -1;
	inputs.guard_url = guard.url;
	inputs.guard_authorities = guard.authorities;
	return cluster_reconcile(&session->target, &inputs, result, cancel, err);
}

static void report_work(const struct look *look, const struct cluster_session *session, const struct cluster_result *result, uint64_t begin)
{
	manager_metrics_observe_step("PhaseBootstrapToken", (double)(clock_monotonic_ns() - begin) / 1e9);
	if (result->writes + result->removals > 0)
		log_info("cluster.bootstrapped", "objects inside the tenant written", LOG_STRING("tenant", look->key),
		         LOG_INTEGER("writes", result->writes), LOG_INTEGER("removals", result->removals),
		         LOG_INTEGER("milliseconds", (int64_t)(clock_monotonic_ns() - begin) / 1000000),
		         LOG_INTEGER("watched_bytes", (int64_t)cluster_watches_memory(session->target.watches)));
}

static int bring_up_to_date(struct look *look, struct cluster_session *session, const struct buffer *kubeconfig, struct cancel *cancel,
                            struct error *err)
{
	CANCEL_CLEANUP struct cancel *sync = cancel_new(cancel, clock_monotonic_ms() + SYNC_TIMEOUT_MS);
	struct cluster_result result = { 0 };
	uint64_t begin = clock_monotonic_ns();

	if (cluster_session_wait(session, sync, err) < 0)
		return -1;
	atomic_store(&session->disturbed, false);
	if (reconcile_inside(look, session, kubeconfig, &result, cancel, err) < 0) {
		/* Without this the next look would take what is half done for settled. */
		atomic_store(&session->disturbed, true);
		return -1;
	}
	if (write_status(look, &result, cancel, err) < 0) {
		atomic_store(&session->disturbed, true);
		return -1;
	}
	memcpy(session->settled, look->inputs, sizeof(session->settled));
	report_work(look, session, &result, begin);
	return 0;
}

static int look_inside(struct look *look, struct cluster_session **session, void (*on_change)(const char *key, void *argument),
                       void *argument, struct cancel *cancel, struct error *err)
{
	BUFFER_SECRET_CLEANUP struct buffer kubeconfig = { 0 };
	bool current = *session && string_equal((*session)->fingerprint, look->fingerprint);

	if (current && string_equal((*session)->settled, look->inputs) && !atomic_load(&(*session)->disturbed))
		return 0;
	if (cluster_kubeconfig_read(look->context, look->object, &kubeconfig, cancel, err) < 0)
		return -1;
	if (!current) {
		struct cluster_session *fresh = make_session(look, &kubeconfig, on_change, argument, err);

		if (!fresh)
			return -1;
		*session = fresh;
	}
	if (bring_up_to_date(look, *session, &kubeconfig, cancel, err) == 0)
		return 0;
	if (!error_is_retriable(err) && err->class != ERROR_CANCELLED && err->class != ERROR_PENDING) {
		struct event_object about = event_object_of(&kube_resource_tenant_control_plane, look->object);

		event_recorder_record(look->context->events, &about, EVENT_WARNING, "ClusterBootstrapFailed", "%s", err->message);
	}
	return error_wrap(err, "inside the tenant cluster");
}

int cluster_look(struct manager_context *context, const char *key, struct cluster_session **session,
                 void (*on_change)(const char *key, void *argument), void *argument, struct cancel *cancel, struct error *err)
{
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct look look = { .context = context, .arena = arena, .key = key };

	if (!read_caches(&look, err)) {
		*session = NULL;
		return err->class == ERROR_NONE ? 0 : -1;
	}
	if (look.tenant.paused)
		return 0;
	return look_inside(&look, session, on_change, argument, cancel, err);
}
