/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/manager_metrics.h"

#include <stdlib.h>

#include "api/names.h"
#include "api/status.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "base/version.h"
#include "controllers/manager_context.h"
#include "kube/cache.h"
#include "pki/certificate.h"
#include "pki/kubeconfig.h"

static const char *const build_labels[] = { "version", "commit", "dirty", "repo", "build_time", NULL };
static const char *const tenant_info_labels[] = { "tcp_namespace",     "tcp_name", "kubernetes_version", "datastore_driver", "address",
	                                          "exposure_strategy", NULL };
static const char *const tenant_status_labels[] = { "tcp_namespace", "tcp_name", "status", "ready", NULL };
static const char *const ready_labels[] = { "ready", NULL };
static const char *const store_info_labels[] = { "datastore_name", "driver", NULL };
static const char *const store_status_labels[] = { "datastore_name", "status", "ready", NULL };
static const char *const store_count_labels[] = { "datastore_name", "ready", "driver", NULL };
static const char *const certificate_labels[] = { "tcp_namespace", "tcp_name", "status", "strategy", NULL };
static const char *const handler_labels[] = { "handler", NULL };
static const double handler_buckets[] = { 0.005, 0.01, 0.025, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
	                                  0.7,   0.8,  0.9,   1.0,  1.25, 1.5,  1.75, 2,    2.5, 3,    3.5, 4,    4.5, 5,
	                                  6,     7,    8,     9,    10,   15,   20,   25,   30,  40,   50,  60 };

static struct metric_family build_info = {
	.name = "kamaji_build_info", .help = "What this program is.", .type = METRIC_GAUGE, .labels = build_labels
};
static struct metric_family tenant_info = { .name = "kamaji_tenant_control_plane_info",
	                                    .help = "Facts of a tenant control plane.",
	                                    .type = METRIC_GAUGE,
	                                    .labels = tenant_info_labels };
static struct metric_family tenant_status = { .name = "kamaji_tenant_control_plane_status",
	                                      .help = "Phase of a tenant control plane.",
	                                      .type = METRIC_GAUGE,
	                                      .labels = tenant_status_labels };
static struct metric_family tenants_current = { .name = "kamaji_tenant_control_planes_current",
	                                        .help = "Tenant control planes by readiness.",
	                                        .type = METRIC_GAUGE,
	                                        .labels = ready_labels };
static struct metric_family store_info = {
	.name = "kamaji_datastore_info", .help = "Facts of a DataStore.", .type = METRIC_GAUGE, .labels = store_info_labels
};
static struct metric_family store_status = { .name = "kamaji_datastore_status",
	                                     .help = "Validation condition of a DataStore.",
	                                     .type = METRIC_GAUGE,
	                                     .labels = store_status_labels };
static struct metric_family stores_current = {
	.name = "kamaji_datastores_current", .help = "DataStores by readiness.", .type = METRIC_GAUGE, .labels = store_count_labels
};
static struct metric_family certificates = { .name = "kamaji_certificates_current",
	                                     .help = "Certificates of a tenant control plane.",
	                                     .type = METRIC_GAUGE,
	                                     .labels = certificate_labels };
static const char *const cache_labels[] = { "resource", "content", NULL };
static struct metric_family cache_objects = {
	.name = "kube_cache_objects", .help = "Objects that a cache holds.", .type = METRIC_GAUGE, .labels = cache_labels
};
static struct metric_family cache_bytes = {
	.name = "kube_cache_bytes", .help = "Memory of a cache's objects and indexes.", .type = METRIC_GAUGE, .labels = cache_labels
};
static struct metric_family handler_time = { .name = "kamaji_handler_time_seconds",
	                                     .help = "Time spent in one step of a reconcile.",
	                                     .type = METRIC_HISTOGRAM,
	                                     .labels = handler_labels,
	                                     .buckets = handler_buckets,
	                                     .bucket_count = ARRAY_LENGTH(handler_buckets) };

struct tenant_facts {
	char *namespace_name, *name, *version, *driver, *address, *strategy, *phase;
};

struct store_facts {
	char *name, *driver, *validation;
	bool ready;
};

struct certificate_facts_record {
	char *tenant; /* "namespace/name" */
	const char *strategy;
	int64_t not_after;
};

struct manager_metrics {
	const struct manager_context *context;
	struct map tenants, stores, certificates;
};

static void tenant_facts_free(void *value)
{
	struct tenant_facts *facts = value;

	free(facts->namespace_name);
	free(facts->name);
	free(facts->version);
	free(facts->driver);
	free(facts->address);
	free(facts->strategy);
	free(facts->phase);
	free(facts);
}

static void store_facts_free(void *value)
{
	struct store_facts *facts = value;

	free(facts->name);
	free(facts->driver);
	free(facts->validation);
	free(facts);
}

static void certificate_record_free(void *value)
{
	struct certificate_facts_record *record = value;

	free(record->tenant);
	free(record);
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		abort();
	return memory;
}

static void replace(struct map *map, const char *key, void *value, void (*free_value)(void *))
{
	void *old = value ? map_put(map, key, value) : map_remove(map, key);

	if (old)
		free_value(old);
}

static struct tenant_facts *read_tenant(const json_t *tenant)
{
	struct tenant_facts *facts = allocate(sizeof(*facts));
	const char *endpoint = json_string_or(tenant, "status.controlPlaneEndpoint", "");
	const char *strategy = json_at(tenant, "spec.controlPlane.gateway")   ? "gateway"
	                       : json_at(tenant, "spec.controlPlane.service") ? "service"
	                                                                      : "unknown";

	facts->namespace_name = string_dup(json_string_or(tenant, "metadata.namespace", ""));
	facts->name = string_dup(json_string_or(tenant, "metadata.name", ""));
	facts->version = string_dup(json_string_or(tenant, "spec.kubernetes.version", "unknown"));
	facts->driver = string_dup(json_string_or(tenant, "status.storage.driver", "unknown"));
	facts->address = *endpoint ? string_printf("https://%s", endpoint) : string_dup("");
	facts->strategy = string_dup(strategy);
	facts->phase = string_dup(json_string_or(tenant, "status.kubernetesResources.version.status", PHASE_UNKNOWN));
	return facts;
}

static void on_tenant(const struct kube_notice *notice, void *argument)
{
	struct manager_metrics *metrics = argument;

	replace(&metrics->tenants, notice->key, notice->object ? read_tenant(notice->object) : NULL, tenant_facts_free);
}

static void on_store(const struct kube_notice *notice, void *argument)
{
	struct manager_metrics *metrics = argument;
	struct store_facts *facts = NULL;

	if (notice->object) {
		const json_t *store = notice->object;
		const json_t *condition = status_condition(json_at(store, "status"), CONDITION_DATA_STORE_VALIDATION);

		facts = allocate(sizeof(*facts));
		facts->name = string_dup(notice->key);
		facts->driver = string_dup(json_string_or(store, "spec.driver", "unknown"));
		facts->validation = string_dup(json_string_or(condition, "status", "Unknown"));
		facts->ready = json_boolean_or(store, "status.ready", false);
	}
	replace(&metrics->stores, notice->key, facts, store_facts_free);
}

static void on_secret(const struct kube_notice *notice, void *argument)
{
	struct manager_metrics *metrics = argument;
	struct certificate_facts_record *record = NULL;

	if (notice->object) {
		const json_t *labels = json_at(notice->object, "metadata.labels");
		const char *kind = json_string_value(json_object_get(labels, LABEL_CERTIFICATE_LIFECYCLE));
		const char *tenant = kube_notice_value(notice, INDEX_TENANT, false);

		if (kind && tenant) {
			record = allocate(sizeof(*record));
			record->tenant = string_dup(tenant);
			record->strategy = string_equal(kind, LABEL_CERTIFICATE_LIFECYCLE_X509) ? "x509" : "kubeconfig";
			record->not_after = json_integer_or(notice->object, SECRET_NOT_AFTER, 0);
		}
	}
	replace(&metrics->certificates, notice->key, record, certificate_record_free);
}

struct manager_metrics *manager_metrics_new(struct manager_context *context)
{
	struct manager_metrics *metrics = allocate(sizeof(*metrics));

	metrics->context = context;
	metric_set(&build_info, METRIC_VALUES(kamaji_version, "", "", "", ""), 1);
	metric_register(&handler_time);
	kube_cache_add_handler(context->tenants, on_tenant, metrics);
	kube_cache_add_handler(context->data_stores, on_store, metrics);
	kube_cache_add_handler(context->secrets, on_secret, metrics);
	return metrics;
}

void manager_metrics_free(struct manager_metrics *metrics)
{
	if (!metrics)
		return;
	map_free(&metrics->tenants, tenant_facts_free);
	map_free(&metrics->stores, store_facts_free);
	map_free(&metrics->certificates, certificate_record_free);
	free(metrics);
}

static void update_tenants(struct manager_metrics *metrics)
{
	double ready = 0, waiting = 0;

	metric_reset(&tenant_info);
	metric_reset(&tenant_status);
	for (struct map_entry *entry = map_first(&metrics->tenants); entry; entry = map_next(&metrics->tenants, entry)) {
		const struct tenant_facts *facts = entry->value;
		bool is_ready = string_equal(facts->phase, PHASE_READY);

		metric_set(
			&tenant_info,
			METRIC_VALUES(facts->namespace_name, facts->name, facts->version, facts->driver, facts->address, facts->strategy),
			1);
		metric_set(&tenant_status, METRIC_VALUES(facts->namespace_name, facts->name, facts->phase, is_ready ? "true" : "false"), 1);
		*(is_ready ? &ready : &waiting) += 1;
	}
	metric_set(&tenants_current, METRIC_VALUES("true"), ready);
	metric_set(&tenants_current, METRIC_VALUES("false"), waiting);
}

static void update_stores(struct manager_metrics *metrics)
{
	metric_reset(&store_info);
	metric_reset(&store_status);
	metric_reset(&stores_current);
	for (struct map_entry *entry = map_first(&metrics->stores); entry; entry = map_next(&metrics->stores, entry)) {
		const struct store_facts *facts = entry->value;

		metric_set(&store_info, METRIC_VALUES(facts->name, facts->driver), 1);
		metric_set(&store_status, METRIC_VALUES(facts->name, facts->validation, facts->ready ? "true" : "false"), 1);
		metric_set(&stores_current, METRIC_VALUES(facts->name, "true", facts->driver), facts->ready);
		metric_set(&stores_current, METRIC_VALUES(facts->name, "false", facts->driver), !facts->ready);
	}
}

static void count_certificate(const struct manager_metrics *metrics, const struct certificate_facts_record *record, int64_t now)
{
	int64_t deadline = (int64_t)(metrics->context->options->certificate_deadline_ms / 1000);
	const char *state = record->not_after <= now ? "invalid" : record->not_after <= now + deadline ? "expiring" : "valid";
	FREE_CLEANUP char *namespace_name = NULL;
	FREE_CLEANUP char *name = NULL;

	kube_key_split(record->tenant, &namespace_name, &name);
	metric_add(&certificates, METRIC_VALUES(namespace_name, name, state, record->strategy), 1);
}

static void update_certificates(struct manager_metrics *metrics)
{
	static const char *const states[] = { "valid", "expiring", "invalid" };
	int64_t now = clock_wall_seconds();

	metric_reset(&certificates);
	for (struct map_entry *entry = map_first(&metrics->tenants); entry; entry = map_next(&metrics->tenants, entry)) {
		const struct tenant_facts *facts = entry->value;

		for (size_t i = 0; i < ARRAY_LENGTH(states); i++) {
			metric_set(&certificates, METRIC_VALUES(facts->namespace_name, facts->name, states[i], "x509"), 0);
			metric_set(&certificates, METRIC_VALUES(facts->namespace_name, facts->name, states[i], "kubeconfig"), 0);
		}
	}
	for (struct map_entry *entry = map_first(&metrics->certificates); entry; entry = map_next(&metrics->certificates, entry))
		count_certificate(metrics, entry->value, now);
}

static void update_cache(const struct kube_cache *cache, const char *content)
{
	if (!cache)
		return;
	metric_set(&cache_objects, METRIC_VALUES(kube_cache_resource(cache)->plural, content), (double)kube_cache_count(cache));
	metric_set(&cache_bytes, METRIC_VALUES(kube_cache_resource(cache)->plural, content), (double)kube_cache_memory(cache));
}

static void update_caches(const struct manager_context *context)
{
	const struct kube_cache *whole[] = { context->tenants,  context->data_stores, context->config_maps, context->deployments,
		                             context->services, context->ingresses,   context->routes,      context->gateways };

	for (size_t i = 0; i < ARRAY_LENGTH(whole); i++)
		update_cache(whole[i], "whole");
	update_cache(context->secrets, "digests");
	update_cache(context->references, "versions");
}

void manager_metrics_update(struct manager_metrics *metrics)
{
	update_caches(metrics->context);
	update_tenants(metrics);
	update_stores(metrics);
	update_certificates(metrics);
}

void manager_metrics_observe_step(const char *step, double seconds)
{
	metric_observe(&handler_time, METRIC_VALUES(step), seconds);
}

/* A certificate as PEM, or a kubeconfig that embeds one; 0 for anything else and for CAs, which have no due date here. */
static int64_t value_not_after(const char *key, struct pem_text text)
{
	struct error err = { 0 };
	int64_t not_after = 0;

	if (string_equal(key, KEY_CA_CERTIFICATE) || text.length > PEM_MAXIMUM_BYTES)
		return 0;
	if (string_has_suffix(key, ".crt"))
		return certificate_not_after(text, &not_after, &err) == 0 ? not_after : 0;
	if (string_has_suffix(key, ".conf") || string_has_suffix(key, ".svc") || string_equal(key, "value")) {
		BUFFER_CLEANUP struct buffer certificate = { 0 };

		if (kubeconfig_read_certificate(text, &certificate, &err) == 0 &&
		    certificate_not_after(pem_text(&certificate), &not_after, &err) == 0)
			return not_after;
	}
	return 0;
}

int64_t manager_metrics_not_after(const json_t *data)
{
	int64_t earliest = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)data, key, value) {
		BUFFER_SECRET_CLEANUP struct buffer bytes = { .limit = PEM_MAXIMUM_BYTES };
		struct error err = { 0 };

		if (!json_is_string(value) || base64_decode(json_string_value(value), json_string_length(value), &bytes, &err) < 0)
			continue;
		int64_t not_after = value_not_after(key, pem_text(&bytes));

		if (not_after > 0 && (earliest == 0 || not_after < earliest))
			earliest = not_after;
	}
	return earliest;
}

void manager_metrics_secret_transform(json_t *secret, void *unused)
{
	if (json_object_get(json_at(secret, "metadata.labels"), LABEL_CERTIFICATE_LIFECYCLE)) {
		int64_t not_after = manager_metrics_not_after(json_at(secret, "data"));

		if (not_after > 0)
			(void)json_object_set_new(secret, SECRET_NOT_AFTER, json_integer(not_after));
	}
	kube_secret_digest(secret);
}
