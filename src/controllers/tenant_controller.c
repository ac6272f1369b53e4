/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/tenant_controller.h"

#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "base/clock.h"
#include "base/strings.h"
#include "controllers/tenant_internal.h"
#include "controllers/tenant_memory.h"
#include "io/thread.h"
#include "kube/apply.h"
#include "kube/cache.h"
#include "pki/check.h"
#include "pki/issuer.h"

enum { REMEMBER_LIMIT_MS = 5000 };

struct tenant_record *tenant_record_of(struct tenant_controller *controller, const char *key)
{
	THREAD_LOCKED(&controller->mutex);
	struct tenant_record *record = map_get(&controller->records, key);

	if (!record) {
		record = calloc(1, sizeof(*record));
		if (!record)
			abort();
		(void)map_put(&controller->records, key, record);
	}
	return record;
}

void tenant_record_forget(struct tenant_controller *controller, const char *key)
{
	THREAD_LOCKED(&controller->mutex);
	free(map_remove(&controller->records, key));
}

static void on_tenant(const struct kube_notice *notice, void *argument)
{
	if (!notice->own_write)
		tenant_controller_enqueue(argument, notice->key);
}

/* An object of a tenant: the labels say whose. */
static void on_owned(const struct kube_notice *notice, void *argument)
{
	struct tenant_controller *controller = argument;

	if (notice->change == KUBE_DELETED)
		kube_applier_forget(controller->context->applier, notice->before->uid);
	if (notice->own_write)
		return;
	const char *key = kube_notice_value(notice, INDEX_TENANT, false), *old_key = kube_notice_value(notice, INDEX_TENANT, true);

	if (key)
		tenant_controller_enqueue(argument, key);
	/* Somebody may have changed the labels. */
	if (old_key && !string_equal(key, old_key))
		tenant_controller_enqueue(argument, old_key);
}

/* Listeners or their readiness changed: access points follow. What else a Gateway's status tells is not in the cache. */
static void on_gateway(const struct kube_notice *notice, void *argument)
{
	struct tenant_controller *controller = argument;
	JSON_CLEANUP json_t *before = notice->before ? kube_entry_parse(notice->before) : NULL;
	JSON_CLEANUP json_t *after = notice->after ? kube_entry_parse(notice->after) : NULL;
	KUBE_ENTRIES_CLEANUP struct kube_entries tenants = { 0 };

	if (before && after && json_equal(json_object_get(before, "spec"), json_object_get(after, "spec")) &&
	    json_equal(json_object_get(before, "status"), json_object_get(after, "status")))
		return;
	kube_cache_by_index(controller->context->tenants, INDEX_GATEWAY, notice->key, &tenants);
	for (size_t i = 0; i < tenants.count; i++)
		tenant_controller_enqueue(controller, tenants.items[i]->key);
}

/* Secrets without our labels matter when they bear a tenant's names: a CA that a person made or took the labels from. */
static void on_reference(const struct kube_notice *notice, void *argument)
{
	static const char *const suffixes[] = { SUFFIX_CA, SUFFIX_FRONT_PROXY_CA, SUFFIX_SERVICE_ACCOUNT, SUFFIX_DATA_STORE_CONFIG,
		                                SUFFIX_DATA_STORE_CERTIFICATE };
	struct tenant_controller *controller = argument;
	const struct kube_entry *entry = notice->after ? notice->after : notice->before;

	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
		if (!string_has_suffix(entry->name, suffixes[i]))
			continue;
		FREE_CLEANUP char *name = string_ndup(entry->name, strlen(entry->name) - strlen(suffixes[i]));
		KUBE_ENTRY_CLEANUP struct kube_entry *tenant = kube_cache_get(controller->context->tenants, entry->namespace, name);

		if (tenant)
			tenant_controller_enqueue(controller, tenant->key);
	}
}

/* The steps ask for keys one at a time; the service-account key usually comes from the stock made in advance. */
static struct key *generate_key(void *argument, bool service_account, struct error *err)
{
	struct tenant_controller *controller = argument;
	enum key_algorithm algorithm;
	struct key *key = NULL;

	if (service_account)
		return issuer_key(controller->context->issuer, NULL, err);
	if (key_algorithm_parse(controller->context->options->key_algorithm, "--key-algorithm", &algorithm, err) < 0 ||
	    key_generate(algorithm, &key, err) < 0)
		return NULL;
	return key;
}

struct tenant_controller *tenant_controller_new(struct manager_context *context, struct error *err)
{
	struct tenant_controller *controller = calloc(1, sizeof(*controller));

	if (!controller)
		abort();
	controller->context = context;
	(void)pthread_mutex_init(&controller->mutex, NULL);
	controller->step_options = (struct step_options){
		.certificate_threshold = (int64_t)(context->options->certificate_deadline_ms / 1000),
		.kine_image = context->options->kine_image,
		.gateway_served = context->routes != NULL,
		.checked = check_memory_new(),
		.generate_key = generate_key,
		.generate_key_context = controller,
	};
	if (template_profile_parse(context->options->template_profile, &controller->step_options.profile) < 0) {
		free(controller);
		(void)error_set(err, ERROR_INVALID, "--template-profile: \"%s\" is neither native nor upstream",
		                context->options->template_profile);
		return NULL;
	}
	controller->group = worker_group_new(&(struct worker_group_options){ .name = "tenantcontrolplane",
	                                                                     .workers = (unsigned)context->options->tenant_workers,
	                                                                     .timeout_ms = context->options->reconcile_timeout_ms,
	                                                                     .stop = context->stop,
	                                                                     .heap = context->heap,
	                                                                     .reconcile = tenant_reconcile,
	                                                                     .argument = controller });
	kube_cache_add_handler(context->tenants, on_tenant, controller);
	kube_cache_add_handler(context->references, on_reference, controller);
	if (context->gateways)
		kube_cache_add_handler(context->gateways, on_gateway, controller);

	struct kube_cache *owned[] = { context->secrets,  context->config_maps, context->deployments,
		                       context->services, context->ingresses,   context->routes };

	for (size_t i = 0; i < ARRAY_LENGTH(owned); i++) {
		if (owned[i])
			kube_cache_add_handler(owned[i], on_owned, controller);
	}
	return controller;
}

int tenant_controller_start(struct tenant_controller *controller, struct error *err)
{
	tenant_memory_load(controller, controller->context->stop);
	return worker_group_start(controller->group, err);
}

bool tenant_controller_stop(struct tenant_controller *controller, uint64_t deadline_ms)
{
	return worker_group_stop(controller->group, deadline_ms);
}

void tenant_controller_remember(struct tenant_controller *controller)
{
	CANCEL_CLEANUP struct cancel *limit = cancel_new(controller->context->stop, clock_monotonic_ms() + REMEMBER_LIMIT_MS);

	tenant_memory_save(controller, limit);
}

void tenant_controller_free(struct tenant_controller *controller)
{
	if (!controller)
		return;
	worker_group_free(controller->group);
	map_free(&controller->records, free);
	free(controller->remembered);
	check_memory_free(controller->step_options.checked);
	(void)pthread_mutex_destroy(&controller->mutex);
	free(controller);
}

void tenant_controller_enqueue(struct tenant_controller *controller, const char *key)
{
	worker_group_add(controller->group, key);
}

void tenant_controller_enqueue_data_store(struct tenant_controller *controller, const char *data_store)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries entries = { 0 };

	kube_cache_by_index(controller->context->tenants, INDEX_DATA_STORE, data_store, &entries);
	for (size_t i = 0; i < entries.count; i++)
		tenant_controller_enqueue(controller, entries.items[i]->key);
}

void tenant_controller_update_metrics(struct tenant_controller *controller)
{
	worker_group_update_metrics(controller->group);
}

bool tenant_controller_pause(struct tenant_controller *controller, uint64_t deadline_ms)
{
	return worker_group_pause(controller->group, deadline_ms);
}

void tenant_controller_resume(struct tenant_controller *controller)
{
	worker_group_resume(controller->group);
}
