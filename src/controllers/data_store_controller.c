/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/data_store_controller.h"

#include <stdlib.h>

#include "base/strings.h"
#include "controllers/data_store_internal.h"
#include "io/thread.h"
#include "kube/cache.h"

enum { DATA_STORE_WORKERS = 2, USERS_DELAY_MS = 300 };

static void record_free(void *value)
{
	struct data_store_record *record = value;

	if (record)
		free(record->fingerprint);
	free(record);
}

struct data_store_record *data_store_record_of(struct data_store_controller *controller, const char *name)
{
	THREAD_LOCKED(&controller->mutex);
	struct data_store_record *record = map_get(&controller->records, name);

	if (!record) {
		record = calloc(1, sizeof(*record));
		if (!record)
			abort();
		(void)map_put(&controller->records, name, record);
	}
	return record;
}

void data_store_record_forget(struct data_store_controller *controller, const char *name)
{
	THREAD_LOCKED(&controller->mutex);
	record_free(map_remove(&controller->records, name));
}

static void on_data_store(const struct kube_notice *notice, void *argument)
{
	if (!notice->own_write)
		data_store_controller_enqueue(argument, notice->key);
}

/*
 * The DataStores that a tenant's data is in change rarely; every other change of a tenant says nothing here. Many tenants made at once are
 * listed together: each time the whole list is written. Deletion of a DataStore looks at the tenants themselves, not at the list.
 */
static void on_tenant(const struct kube_notice *notice, void *argument)
{
	struct data_store_controller *controller = argument;
	static const struct string_list none = { 0 };
	const struct string_list *old = kube_notice_values(notice, INDEX_STORAGE, true),
				 *new = kube_notice_values(notice, INDEX_STORAGE, false);

	old = old ? old : &none;
	new = new ? new : &none;
	for (size_t i = 0; i < old->count; i++)
		if (!string_list_contains(new, old->items[i]))
			worker_group_add_after(controller->group, old->items[i], USERS_DELAY_MS);
	for (size_t i = 0; i < new->count; i++)
		if (!string_list_contains(old, new->items[i]))
			worker_group_add_after(controller->group, new->items[i], USERS_DELAY_MS);
}

static void on_secret(const struct kube_notice *notice, void *argument)
{
	struct data_store_controller *controller = argument;
	KUBE_ENTRIES_CLEANUP struct kube_entries stores = { 0 };

	kube_cache_by_index(controller->context->data_stores, INDEX_SECRET, notice->key, &stores);
	for (size_t i = 0; i < stores.count; i++)
		data_store_controller_enqueue(controller, stores.items[i]->key);
}

struct data_store_controller *data_store_controller_new(struct manager_context *context, struct error *err)
{
	struct data_store_controller *controller = calloc(1, sizeof(*controller));

	if (!controller)
		abort();
	controller->context = context;
	(void)pthread_mutex_init(&controller->mutex, NULL);
	controller->group = worker_group_new(&(struct worker_group_options){ .name = "datastore",
	                                                                     .workers = DATA_STORE_WORKERS,
	                                                                     .timeout_ms = context->options->reconcile_timeout_ms,
	                                                                     .stop = context->stop,
	                                                                     .heap = context->heap,
	                                                                     .reconcile = data_store_reconcile,
	                                                                     .argument = controller });
	kube_cache_add_handler(context->data_stores, on_data_store, controller);
	kube_cache_add_handler(context->tenants, on_tenant, controller);
	kube_cache_add_handler(context->references, on_secret, controller);
	kube_cache_add_handler(context->secrets, on_secret, controller);
	return controller;
}

int data_store_controller_start(struct data_store_controller *controller, struct error *err)
{
	return worker_group_start(controller->group, err);
}

bool data_store_controller_stop(struct data_store_controller *controller, uint64_t deadline_ms)
{
	return worker_group_stop(controller->group, deadline_ms);
}

void data_store_controller_free(struct data_store_controller *controller)
{
	if (!controller)
		return;
	worker_group_free(controller->group);
	map_free(&controller->records, record_free);
	(void)pthread_mutex_destroy(&controller->mutex);
	free(controller);
}

void data_store_controller_enqueue(struct data_store_controller *controller, const char *name)
{
	worker_group_add(controller->group, name);
}

void data_store_controller_suspect(struct data_store_controller *controller, const char *name)
{
	worker_group_add(controller->group, name);
}

void data_store_controller_update_metrics(struct data_store_controller *controller)
{
	worker_group_update_metrics(controller->group);
}

bool data_store_controller_pause(struct data_store_controller *controller, uint64_t deadline_ms)
{
	return worker_group_pause(controller->group, deadline_ms);
}

void data_store_controller_resume(struct data_store_controller *controller)
{
	worker_group_resume(controller->group);
}
