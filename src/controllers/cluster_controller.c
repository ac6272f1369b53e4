/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/cluster_controller.h"

#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "base/map.h"
#include "base/strings.h"
#include "controllers/cluster_guard.h"
#include "controllers/cluster_look.h"
#include "controllers/worker_group.h"
#include "io/thread.h"
#include "kube/cache.h"

struct cluster_controller {
	struct manager_context *context;
	struct worker_group *group;
	pthread_mutex_t mutex; /* guards sessions, not what they point to */
	struct map sessions;   /* key -> struct cluster_session, touched by the worker that owns the key */
};

static struct cluster_session *session_of(struct cluster_controller *controller, const char *key)
{
	THREAD_LOCKED(&controller->mutex);
	return map_get(&controller->sessions, key);
}

static void replace_session(struct cluster_controller *controller, const char *key, struct cluster_session *session)
{
	struct cluster_session *old;

	{
		THREAD_LOCKED(&controller->mutex);
		old = session ? map_put(&controller->sessions, key, session) : map_remove(&controller->sessions, key);
	}
	if (old != session)
		cluster_session_free(old);
}

static void on_session_change(const char *key, void *argument)
{
	cluster_controller_enqueue(argument, key);
}

static int reconcile(const char *key, struct cancel *cancel, void *argument, struct error *err)
{
	struct cluster_controller *controller = argument;
	struct cluster_session *session = session_of(controller, key), *next = session;
	int status = cluster_look(controller->context, key, &next, on_session_change, controller, cancel, err);

	if (next != session)
		replace_session(controller, key, next);
	return status;
}

static void on_tenant(const struct kube_notice *notice, void *argument)
{
	cluster_controller_enqueue(argument, notice->key);
}

/* Deployments (is a replica ready) and Services (the address): by the tenant's labels. */
static void on_owned(const struct kube_notice *notice, void *argument)
{
	const char *key = kube_notice_value(notice, INDEX_TENANT, notice->after == NULL);

	if (key)
		cluster_controller_enqueue(argument, key);
}

/* Of Secrets and ConfigMaps one each matters, also when we wrote it ourselves. */
static void on_source(const struct kube_notice *notice, void *argument)
{
	if (string_has_suffix(notice->key, SUFFIX_ADMIN_KUBECONFIG) || string_has_suffix(notice->key, SUFFIX_KUBEADM_CONFIG))
		on_owned(notice, argument);
}

/* A new serving certificate of the webhooks: tenants whose writes are limited learn whom to trust from now on. */
static void on_certificate(const struct kube_notice *notice, void *argument)
{
	struct cluster_controller *controller = argument;
	KUBE_ENTRIES_CLEANUP struct kube_entries tenants = { 0 };

	if (!cluster_guard_is_secret(controller->context, notice->key))
		return;
	kube_cache_list(controller->context->tenants, &tenants);
	for (size_t i = 0; i < tenants.count; i++) {
		JSON_CLEANUP json_t *tenant = kube_entry_parse(tenants.items[i]);

		if (json_object_size(json_at(tenant, "spec.writePermissions")) > 0)
			cluster_controller_enqueue(controller, tenants.items[i]->key);
	}
}

struct cluster_controller *cluster_controller_new(struct manager_context *context, struct error *err)
{
	struct cluster_controller *controller = calloc(1, sizeof(*controller));

	if (!controller)
		abort();
	controller->context = context;
	(void)pthread_mutex_init(&controller->mutex, NULL);
	controller->group = worker_group_new(&(struct worker_group_options){ .name = "cluster",
	                                                                     .workers = (unsigned)context->options->cluster_workers,
	                                                                     .timeout_ms = context->options->reconcile_timeout_ms,
	                                                                     .stop = context->stop,
	                                                                     .heap = context->heap,
	                                                                     .reconcile = reconcile,
	                                                                     .argument = controller });
	kube_cache_add_handler(context->tenants, on_tenant, controller);
	kube_cache_add_handler(context->deployments, on_owned, controller);
	kube_cache_add_handler(context->services, on_owned, controller);
	kube_cache_add_handler(context->secrets, on_source, controller);
	kube_cache_add_handler(context->config_maps, on_source, controller);
	kube_cache_add_handler(context->references, on_certificate, controller);
	return controller;
}

int cluster_controller_start(struct cluster_controller *controller, struct error *err)
{
	return worker_group_start(controller->group, err);
}

bool cluster_controller_stop(struct cluster_controller *controller, uint64_t deadline_ms)
{
	return worker_group_stop(controller->group, deadline_ms);
}

static void free_session(void *value)
{
	cluster_session_free(value);
}

void cluster_controller_free(struct cluster_controller *controller)
{
	if (!controller)
		return;
	/* Sessions first lose their watches, which put keys on the queue. */
	worker_group_join(controller->group);
	map_free(&controller->sessions, free_session);
	worker_group_free(controller->group);
	(void)pthread_mutex_destroy(&controller->mutex);
	free(controller);
}

void cluster_controller_enqueue(struct cluster_controller *controller, const char *key)
{
	worker_group_add(controller->group, key);
}

void cluster_controller_update_metrics(struct cluster_controller *controller)
{
	worker_group_update_metrics(controller->group);
}

bool cluster_controller_pause(struct cluster_controller *controller, uint64_t deadline_ms)
{
	return worker_group_pause(controller->group, deadline_ms);
}

void cluster_controller_resume(struct cluster_controller *controller)
{
	worker_group_resume(controller->group);
}
