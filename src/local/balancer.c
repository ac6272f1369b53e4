/* SPDX-License-Identifier: Apache-2.0 */
#include "local/balancer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "io/loop.h"
#include "io/signals.h"
#include "io/thread.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/config.h"
#include "kube/event.h"
#include "local/balancer_plan.h"
#include "local/local_address.h"

enum { RETRY_MS = 1000 };

#define ASSIGNER_NOTE "routed to the node by the assigner of 'kamaji local'; this is not a load balancer"

/* `changed` and `over` are under the mutex; the rest belongs to the worker. */
struct balancer {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool changed, over;
	struct kube_client *client;
	struct kube_cache *cache;
	struct event_recorder *events;
	struct balancer_range range;
	struct cancel *cancel;
};

static void note_change(const struct kube_notice *notice, void *argument)
{
	struct balancer *balancer = argument;
	(void)notice;
	THREAD_LOCKED(&balancer->mutex);
	balancer->changed = true;
	pthread_cond_signal(&balancer->wake);
}

static int write_address(struct balancer *balancer, const struct kube_entry *entry, const json_t *service, uint32_t address,
                         struct error *err)
{
	const struct kube_write_options options = { .subresource = "status", .field_manager = "kamaji-local-balancer" };
	JSON_CLEANUP json_t *patch = balancer_status_patch(address);
	JSON_CLEANUP json_t *written = kube_client_patch(balancer->client, &kube_resource_service, entry->namespace, entry->name,
	                                                 KUBE_PATCH_MERGE, patch, &options, balancer->cancel, err);
	if (!written)
		return err->class == ERROR_NOT_FOUND ? 0 : -1;
	(void)kube_cache_observe(balancer->cache, entry, written);
	if (address) {
		char text[LOCAL_ADDRESS_TEXT_MAX];
		const struct event_object object = event_object_of(&kube_resource_service, service);
		local_address_format(address, text);
		event_recorder_record(balancer->events, &object, EVENT_NORMAL, "AddressAssigned", "%s: %s", text, ASSIGNER_NOTE);
		printf("%s/%s has %s\n", entry->namespace, entry->name, text);
	} else {
		printf("%s/%s gave its address back\n", entry->namespace, entry->name);
	}
	fflush(stdout);
	return 0;
}

/* Brings every Service to what the plan says. -1: something is to be tried again. */
static int settle(struct balancer *balancer)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries entries = { 0 };
	kube_cache_list(balancer->cache, &entries);
	struct balancer_service *services = calloc(entries.count + 1, sizeof(*services));
	json_t **objects = calloc(entries.count + 1, sizeof(json_t *));
	int result = 0;
	if (!services || !objects)
		abort();
	for (size_t i = 0; i < entries.count; i++) {
		objects[i] = kube_entry_parse(entries.items[i]);
		services[i] = balancer_service_read(objects[i], entries.items[i]->key, &balancer->range);
	}
	balancer_plan(&balancer->range, services, entries.count);
	for (size_t i = 0; i < entries.count; i++) {
		struct error err;
		if (services[i].wanted && !services[i].address)
			fprintf(stderr, "%s gets no address: the range is used up\n", services[i].key);
		if (services[i].address != services[i].current &&
		    write_address(balancer, entries.items[i], objects[i], services[i].address, &err) < 0) {
			fprintf(stderr, "%s: %s\n", services[i].key, err.message);
			result = -1;
		}
	}
	for (size_t i = 0; i < entries.count; i++)
		json_decref(objects[i]);
	free(objects);
	free(services);
	return result;
}

/* Waits for a change; false when it is over. retry: comes back after a second even without one. */
static bool wait_for_change(struct balancer *balancer, bool retry)
{
	uint64_t deadline = retry ? clock_monotonic_ms() + RETRY_MS : UINT64_MAX;
	THREAD_LOCKED(&balancer->mutex);
	while (!balancer->changed && !balancer->over)
		if (thread_condition_wait(&balancer->wake, &balancer->mutex, deadline) != 0)
			break;
	balancer->changed = false;
	return !balancer->over;
}

static void *worker_main(void *argument)
{
	struct balancer *balancer = argument;
	struct error err;
	if (kube_cache_wait_synced(balancer->cache, balancer->cancel, &err) < 0)
		return NULL;
	bool retry = true; /* the first round needs no change */
	while (wait_for_change(balancer, retry))
		retry = settle(balancer) < 0;
	return NULL;
}

static int run_until_stopped(struct balancer *balancer, struct error *err)
{
	pthread_t worker;
	kube_cache_add_handler(balancer->cache, note_change, balancer);
	kube_cache_start(balancer->cache);
	if (thread_start(&worker, "balancer", worker_main, balancer, err) < 0)
		return -1;
	(void)signals_wait(UINT64_MAX);
	cancel_trigger(balancer->cancel);
	pthread_mutex_lock(&balancer->mutex);
	balancer->over = true;
	pthread_cond_broadcast(&balancer->wake);
	pthread_mutex_unlock(&balancer->mutex);
	(void)pthread_join(worker, NULL);
	return 0;
}

int balancer_run(const struct balancer_options *options, struct error *err)
{
	struct balancer balancer = { .range = { .first = options->first, .last = options->last } };
	if (options->first > options->last || options->last - options->first >= BALANCER_RANGE_MAX)
		return error_set(err, ERROR_INVALID, "--first must not be above --last, nor more than %d addresses below it",
		                 BALANCER_RANGE_MAX);
	pthread_mutex_init(&balancer.mutex, NULL);
	thread_condition_init(&balancer.wake);
	KUBE_CONFIG_CLEANUP struct kube_config *config = kube_config_load(options->kubeconfig, NULL, err);
	struct loop *loop = config ? loop_start("balancer-io", err) : NULL;
	if (!loop)
		return -1;
	int result = -1;
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, UINT64_MAX);
	balancer.cancel = cancel;
	balancer.client = kube_client_new(&(struct kube_client_options){ .loop = loop, .config = config }, err);
	if (balancer.client) {
		balancer.events = event_recorder_start(balancer.client, "kamaji-local-balancer", "", err);
		balancer.cache = kube_cache_new(&(struct kube_cache_options){ .loop = loop,
		                                                              .client = balancer.client,
		                                                              .resource = &kube_resource_service,
		                                                              .field_manager = "kamaji-local-balancer" });
		result = run_until_stopped(&balancer, err);
		kube_cache_free(balancer.cache);
		if (balancer.events)
			event_recorder_stop(balancer.events);
		kube_client_unref(balancer.client);
	}
	loop_stop(loop);
	return result;
}
