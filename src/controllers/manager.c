/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/manager.h"

#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "controllers/cluster_controller.h"
#include "controllers/data_store_controller.h"
#include "controllers/data_store_credentials.h"
#include "controllers/manager_context.h"
#include "controllers/manager_metrics.h"
#include "controllers/manager_probes.h"
#include "controllers/tenant_controller.h"
#include "datastore/driver.h"
#include "io/heap_trim.h"
#include "io/loop.h"
#include "io/thread.h"
#include "kube/apply.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/event.h"
#include "kube/lease.h"
#include "pki/issuer.h"

enum {
	REQUEST_THREADS = 8,         /* writes of one reconcile that run side by side */
	RSA_STOCK = 2,               /* service-account keys made in advance */
	HEAP_PACE_MS = 2500,         /* after the request threads had their time to end: what they kept is free by then */
	API_RETRY_MS = 2 * 1000,     /* until the admin API server answers at the start */
	CACHE_REPORT_MS = 15 * 1000, /* a start that takes longer says why */
	STOP_AFTER_CANCEL_MS = 5 * 1000,
};

struct manager {
	struct manager_options options;
	struct manager_context context;
	struct manager_probes probes;
	struct manager_metrics *metrics;
	struct manager_extension extension;
	struct cancel *running; /* triggered by manager_stop() */
	struct lease_election *election;
	char *identity;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool leading, lost; /* guarded by mutex */
	struct error lost_why;
};

static int make_client(struct manager *manager, struct kube_client **client, struct error *err)
{
	KUBE_CONFIG_CLEANUP struct kube_config *config = kube_config_load(NULL, NULL, err);

	if (!config)
		return -1;
	*client = kube_client_new(&(struct kube_client_options){ .loop = manager->context.loop, .config = config, .metrics_host = "admin" },
	                          err);
	return *client ? 0 : -1;
}

static int make_parts(struct manager *manager, struct error *err)
{
	struct manager_context *context = &manager->context;

	context->loop = loop_start("loop", err);
	if (!context->loop || make_client(manager, &context->client, err) < 0)
		return -1;
	context->heap = heap_trim_new(context->loop, HEAP_PACE_MS, NULL, NULL);
	context->requests = thread_pool_new("request", REQUEST_THREADS, err);
	if (!context->requests)
		return -1;
	context->issuer = issuer_new(&(struct issuer_options){ .rsa_stock = RSA_STOCK }, err);
	if (!context->issuer)
		return -1;
	context->applier = kube_applier_new(KAMAJI_FIELD_MANAGER);
	context->data_store_pool = datastore_pool_new(context->loop, 0);
	context->credentials = data_store_credentials_new(context);
	manager->identity = lease_identity_new();
	context->events = event_recorder_start(context->client, "kamaji", manager->identity, err);
	return context->events ? 0 : -1;
}

struct manager *manager_new(const struct manager_options *options, struct error *err)
{
	struct manager *manager = calloc(1, sizeof(*manager));

	if (!manager)
		abort();
	manager->options = *options;
	manager->context.options = &manager->options;
	manager->running = cancel_new(NULL, UINT64_MAX);
	manager->context.stop = cancel_new(NULL, UINT64_MAX);
	(void)pthread_mutex_init(&manager->mutex, NULL);
	thread_condition_init(&manager->changed);
	if (make_parts(manager, err) < 0) {
		manager_free(manager);
		return NULL;
	}
	return manager;
}

void manager_set_extension(struct manager *manager, const struct manager_extension *extension)
{
	manager->extension = *extension;
}

static void wake(struct manager *manager)
{
	THREAD_LOCKED(&manager->mutex);
	(void)pthread_cond_broadcast(&manager->changed);
}

void manager_stop(struct manager *manager)
{
	cancel_trigger(manager->running);
	wake(manager);
}

/* Asks until the admin API server answers and serves our kinds; says once why it waits. */
static int wait_for_api(struct manager *manager, bool *gateway, struct error *err)
{
	char said[sizeof(err->message)] = "";

	for (;;) {
		bool served = false;

		error_clear(err);
		if (kube_client_serves(manager->context.client, &kube_resource_tenant_control_plane, &served, manager->running, err) == 0 &&
		    served && manager_context_gateway_served(manager->context.client, gateway, manager->running, err) == 0)
			return 0;
		if (err->class == ERROR_NONE)
			(void)error_set(err, ERROR_NOT_FOUND, "tenantcontrolplanes.kamaji.clastix.io is not served (install the CRDs)");
		if (cancel_is_triggered(manager->running))
			return -1;
		if (!string_equal(said, err->message)) {
			log_warning_error("manager.waiting", "the admin API server cannot be used yet", err,
			                  LOG_STRING("server", kube_client_server(manager->context.client)));
			memcpy(said, err->message, sizeof(said));
		}
		struct error ignored;

		(void)cancel_sleep(manager->running, API_RETRY_MS, &ignored);
	}
}

static int make_controllers(struct manager *manager, struct error *err)
{
	struct manager_context *context = &manager->context;

	manager->metrics = manager_metrics_new(context);
	context->tenant_controller = tenant_controller_new(context, err);
	context->data_store_controller = data_store_controller_new(context, err);
	context->cluster_controller = cluster_controller_new(context, err);
	return context->tenant_controller && context->data_store_controller && context->cluster_controller ? 0 : -1;
}

static int wait_for_caches(struct manager *manager, struct error *err)
{
	for (;;) {
		CANCEL_CLEANUP struct cancel *limit = cancel_new(manager->running, clock_monotonic_ms() + CACHE_REPORT_MS);

		if (manager_context_wait_caches(&manager->context, limit, err) == 0)
			return 0;
		if (cancel_is_triggered(manager->running))
			return -1;
		log_warning_error("manager.waiting", "a cache is not filled yet", err);
	}
}

static const char *const leader_labels[] = { "name", NULL };
static struct metric_family leader_status = {
	.name = "leader_election_master_status",
	.help = "Whether this process holds the Lease.",
	.type = METRIC_GAUGE,
	.labels = leader_labels,
};

static bool is_leading(struct manager *manager)
{
	THREAD_LOCKED(&manager->mutex);
	return manager->leading && !manager->lost;
}

static void update_metrics(void *argument)
{
	struct manager *manager = argument;

	metric_set(&leader_status, METRIC_VALUES(LEASE_MANAGER), is_leading(manager) || !manager->options.leader_elect);

	manager_metrics_update(manager->metrics);
	tenant_controller_update_metrics(manager->context.tenant_controller);
	data_store_controller_update_metrics(manager->context.data_store_controller);
	cluster_controller_update_metrics(manager->context.cluster_controller);
}

static void on_acquired(void *argument)
{
	struct manager *manager = argument;

	THREAD_LOCKED(&manager->mutex);
	manager->leading = true;
	(void)pthread_cond_broadcast(&manager->changed);
}

static void on_lost(void *argument, const struct error *why)
{
	struct manager *manager = argument;

	THREAD_LOCKED(&manager->mutex);
	manager->lost = true;
	manager->lost_why = *why;
	(void)pthread_cond_broadcast(&manager->changed);
}

static void on_leader(const char *identity, void *argument)
{
	log_info("manager.leader", "leader seen", LOG_STRING("holder", identity));
}

/* 0 when leading, -1 when stopped before or the election cannot run. */
static int become_leader(struct manager *manager, struct error *err)
{
	const struct manager_options *options = &manager->options;

	if (!options->leader_elect)
		return 0;
	KUBE_CLIENT_CLEANUP struct kube_client *client = NULL;

	if (make_client(manager, &client, err) < 0)
		return -1;
	manager->election =
		lease_election_start(&(struct lease_election_options){ .client = client,
	                                                               .namespace = options->namespace_name,
	                                                               .name = LEASE_MANAGER,
	                                                               .identity = manager->identity,
	                                                               .lease_duration_ms = (unsigned)options->lease_duration_ms,
	                                                               .renew_deadline_ms = (unsigned)options->lease_renew_ms,
	                                                               .retry_period_ms = (unsigned)options->lease_retry_ms,
	                                                               .on_acquired = on_acquired,
	                                                               .on_lost = on_lost,
	                                                               .on_leader = on_leader,
	                                                               .argument = manager },
	                             err);
	if (!manager->election)
		return -1;
	THREAD_LOCKED(&manager->mutex);
	while (!manager->leading && !manager->lost && !cancel_is_triggered(manager->running))
		(void)thread_condition_wait(&manager->changed, &manager->mutex, UINT64_MAX);
	return manager->leading && !cancel_is_triggered(manager->running)
	               ? 0
	               : error_set(err, ERROR_CANCELLED, "stopped while waiting for the Lease");
}

static int start_controllers(struct manager_context *context, struct error *err)
{
	if (context->started) {
		data_store_controller_resume(context->data_store_controller);
		tenant_controller_resume(context->tenant_controller);
		cluster_controller_resume(context->cluster_controller);
		log_info("manager.leading", "controllers go on");
		return 0;
	}
	context->started = true;
	if (data_store_controller_start(context->data_store_controller, err) < 0 ||
	    tenant_controller_start(context->tenant_controller, err) < 0 || cluster_controller_start(context->cluster_controller, err) < 0)
		return -1;
	log_info("manager.leading", "controllers started");
	return 0;
}

/* True when asked to stop, false when the Lease was lost. */
static bool wait_until_stopped(struct manager *manager)
{
	THREAD_LOCKED(&manager->mutex);
	while (!manager->lost && !cancel_is_triggered(manager->running))
		(void)thread_condition_wait(&manager->changed, &manager->mutex, UINT64_MAX);
	return cancel_is_triggered(manager->running);
}

/*
 * Without the Lease nothing may be written: work is cancelled within the time that another candidate has to wait. The caches stay, so that the
 * next term begins at once; an admin API server that restarts is the usual cause. -1: work that does not end; the process must.
 */
static int give_up_term(struct manager *manager, struct error *err)
{
	struct manager_context *context = &manager->context;
	uint64_t margin = manager->options.lease_duration_ms - manager->options.lease_renew_ms;
	uint64_t deadline = clock_monotonic_ms() + margin;
	bool ended = tenant_controller_pause(context->tenant_controller, deadline);

	ended = data_store_controller_pause(context->data_store_controller, deadline) && ended;
	ended = cluster_controller_pause(context->cluster_controller, deadline) && ended;
	*err = manager->lost_why;
	if (!ended)
		return error_wrap(err, "the Lease was lost and work under way does not end");
	log_warning_error("manager.lease_lost", "the Lease was lost: nothing is written until it is held again", err);
	lease_election_stop(manager->election, false);
	manager->election = NULL;
	manager->leading = manager->lost = false;
	error_clear(err);
	return 0;
}

/* Terms of leading, one after the other, until asked to stop. */
static int lead(struct manager *manager, struct error *err)
{
	for (;;) {
		bool first = !manager->context.started;

		if (become_leader(manager, err) < 0 || start_controllers(&manager->context, err) < 0)
			return -1;
		if (first && manager->extension.lead)
			manager->extension.lead(manager->extension.argument);
		if (wait_until_stopped(manager))
			return 0;
		if (give_up_term(manager, err) < 0)
			return -1;
	}
}

static bool stop_controllers(struct manager_context *context, uint64_t deadline_ms)
{
	bool tenants = tenant_controller_stop(context->tenant_controller, deadline_ms);
	bool stores = data_store_controller_stop(context->data_store_controller, deadline_ms);
	bool clusters = cluster_controller_stop(context->cluster_controller, deadline_ms);

	return tenants && stores && clusters;
}

/* What is under way may finish, unless the Lease is gone: then another one is about to work on the same objects. */
static void shut_down(struct manager *manager, bool graceful)
{
	struct manager_context *context = &manager->context;
	uint64_t now = clock_monotonic_ms();

	manager_probes_set(&manager->probes, false, "nothing: it is stopping");
	if (!graceful)
		cancel_trigger(context->stop);
	if (context->cluster_controller && !stop_controllers(context, now + manager->options.stop_grace_ms)) {
		log_warning("manager.stop", "reconciles under way are given up");
		cancel_trigger(context->stop);
		(void)stop_controllers(context, clock_monotonic_ms() + STOP_AFTER_CANCEL_MS);
	}
	if (manager->extension.stop)
		manager->extension.stop(manager->extension.argument);
	if (graceful && context->started)
		tenant_controller_remember(context->tenant_controller);
	if (manager->election)
		lease_election_stop(manager->election, graceful);
	manager->election = NULL;
	log_info("manager.stopped", graceful ? "stopped" : "stopped without finishing");
}

static int prepare(struct manager *manager, struct error *err)
{
	struct manager_context *context = &manager->context;
	bool gateway = false;

	if (manager_probes_start(&manager->probes, context->loop, manager->options.probe_address, manager->options.metrics_address, err) <
	    0)
		return -1;
	manager_probes_set(&manager->probes, false, "the admin API server");
	if (wait_for_api(manager, &gateway, err) < 0)
		return -1;
	manager_context_make_caches(context, gateway);
	if (make_controllers(manager, err) < 0)
		return -1;
	atomic_store(&manager->probes.update_argument, manager);
	atomic_store(&manager->probes.update, update_metrics);
	manager_probes_set(&manager->probes, false, "the caches");
	manager_context_start_caches(context);
	if (wait_for_caches(manager, err) < 0)
		return -1;
	if (manager->extension.start && manager->extension.start(context, manager->extension.argument, err) < 0)
		return -1;
	manager_probes_set(&manager->probes, true, "nothing");
	heap_trim_note(context->heap);
	log_info("manager.ready", "caches are filled", LOG_STRING("server", kube_client_server(context->client)),
	         LOG_INTEGER("tenants", (int64_t)kube_cache_count(context->tenants)));
	return 0;
}

int manager_run(struct manager *manager, struct error *err)
{
	int status = prepare(manager, err);

	if (status == 0)
		status = lead(manager, err);
	shut_down(manager, status == 0 || cancel_is_triggered(manager->running));
	if (cancel_is_triggered(manager->running)) {
		error_clear(err);
		return 0;
	}
	return status;
}

void manager_free(struct manager *manager)
{
	struct manager_context *context = &manager->context;

	manager_probes_stop(&manager->probes);
	manager_context_free_caches(context);
	if (manager->extension.release)
		manager->extension.release(manager->extension.argument);
	cluster_controller_free(context->cluster_controller);
	tenant_controller_free(context->tenant_controller);
	data_store_controller_free(context->data_store_controller);
	manager_metrics_free(manager->metrics);
	if (context->events)
		event_recorder_stop(context->events);
	if (context->data_store_pool)
		datastore_pool_free(context->data_store_pool);
	data_store_credentials_free(context->credentials);
	kube_applier_free(context->applier);
	issuer_free(context->issuer);
	if (context->requests)
		thread_pool_free(context->requests);
	kube_client_unref(context->client);
	heap_trim_free(context->heap);
	if (context->loop)
		loop_stop(context->loop);
	cancel_free(context->stop);
	cancel_free(manager->running);
	free(manager->identity);
	(void)pthread_cond_destroy(&manager->changed);
	(void)pthread_mutex_destroy(&manager->mutex);
	free(manager);
}
