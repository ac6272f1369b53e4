/* SPDX-License-Identifier: Apache-2.0 */
/* One look at one DataStore. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "controllers/data_store_credentials.h"
#include "controllers/data_store_internal.h"
#include "controllers/data_store_status.h"
#include "controllers/object_patch.h"
#include "controllers/tenant_controller.h"
#include "datastore/driver.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/event.h"

struct look {
	struct data_store_controller *controller;
	struct data_store_record *record;
	json_t *object; /* follows what is written */
	const char *name;
	struct error invalid, unreachable; /* class NONE: fine */
	bool asked;
};

/* Those who have data here: all of it, or that of a resource (dataStoreOverrides). */
static void collect_users(const struct look *look, struct string_list *users)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries tenants = { 0 };

	kube_cache_by_index(look->controller->context->tenants, INDEX_STORAGE, look->name, &tenants);
	for (size_t i = 0; i < tenants.count; i++)
		string_list_add(users, tenants.items[i]->key);
	string_list_sort(users);
}

static void forget(struct data_store_controller *controller, const char *name)
{
	struct manager_context *context = controller->context;

	data_store_credentials_forget(context->credentials, name);
	datastore_pool_forget(context->data_store_pool, name);
	data_store_record_forget(controller, name);
	tenant_controller_enqueue_data_store(context->tenant_controller, name);
}

static int set_finalizer(struct look *look, bool present, struct cancel *cancel, struct error *err)
{
	struct kube_cache *cache = look->controller->context->data_stores;
	KUBE_ENTRY_CLEANUP struct kube_entry *before = kube_cache_get_key(cache, look->name);
	json_t *stored = NULL;

	if (object_patch_finalizer(look->controller->context->client, &kube_resource_data_store, look->object, FINALIZER_DATA_STORE,
	                           present, &stored, cancel, err) < 0)
		return -1;
	if (!stored)
		return 0;
	if (present)
		(void)kube_cache_observe(cache, before, stored);
	json_decref(look->object);
	look->object = stored;
	return 0;
}

/* Credentials that cannot be read or used make the store invalid; anything else here is a failure of this look. */
static int look_at_credentials(struct look *look, struct data_store_access **access, struct cancel *cancel, struct error *err)
{
	if (data_store_credentials_get(look->controller->context->credentials, look->object, access, cancel, &look->invalid) == 0)
		return 0;
	if (error_is_retriable(&look->invalid) || look->invalid.class == ERROR_CANCELLED || look->invalid.class == ERROR_FORBIDDEN) {
		*err = look->invalid;
		return -1;
	}
	return 0;
}

static void ask_store(struct look *look, const struct data_store_access *access, struct cancel *parent)
{
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(parent, clock_monotonic_ms() + DATA_STORE_CHECK_TIMEOUT_MS);
	DATASTORE_CLEANUP struct datastore *store = NULL;

	look->asked = true;
	if (datastore_pool_acquire(look->controller->context->data_store_pool, &access->connection, &store, &look->unreachable) == 0 &&
	    datastore_check(store, cancel, &look->unreachable) == 0)
		error_clear(&look->unreachable);
}

static const char *connection_reason(const struct error *err)
{
	switch (err->class) {
	case ERROR_NONE:
		return "Connected";
	case ERROR_TIMEOUT:
	case ERROR_TRANSIENT:
		return "Unreachable";
	case ERROR_FORBIDDEN:
		return *err->reason ? err->reason : "CredentialsRefused";
	default:
		return "ConnectionFailed";
	}
}

static void tell(struct look *look, const char *reason, const char *message)
{
	struct event_object about = event_object_of(&kube_resource_data_store, look->object);
	struct data_store_record *record = look->record;
	char problem[sizeof(record->problem)];

	(void)snprintf(problem, sizeof(problem), "%s %s", reason, message);
	if (string_equal(problem, record->problem))
		return;
	if (*reason != '\0') {
		event_recorder_record(look->controller->context->events, &about, EVENT_WARNING, reason, "%s", message);
		log_warning("data_store.problem", message, LOG_STRING("data_store", look->name), LOG_STRING("reason", reason));
	} else if (*record->problem != '\0' && look->asked) {
		event_recorder_record(look->controller->context->events, &about, EVENT_NORMAL, "Connected", "the store answers");
		log_info("data_store.connected", "the store answers again", LOG_STRING("data_store", look->name));
	}
	if (*reason == '\0')
		problem[0] = '\0';
	memcpy(record->problem, problem, sizeof(problem));
}

static const char *invalid_reason(const struct look *look)
{
	if (look->invalid.class == ERROR_NONE)
		return NULL;
	return strstr(look->invalid.message, "basicAuth") ? "BasicAuthValidationFailed" : "TLSConfigurationValidationFailed";
}

static int write_status(struct look *look, const struct string_list *users, struct cancel *cancel, struct error *err)
{
	struct kube_cache *cache = look->controller->context->data_stores;
	KUBE_ENTRY_CLEANUP struct kube_entry *before = kube_cache_get_key(cache, look->name);
	const struct data_store_findings findings = {
		.used_by = users,
		.invalid_reason = invalid_reason(look),
		.invalid_message = look->invalid.message,
		.connection_known = look->asked,
		.connected = look->unreachable.class == ERROR_NONE,
		.connection_reason = connection_reason(&look->unreachable),
		.connection_message = look->unreachable.class == ERROR_NONE ? "the store answers" : look->unreachable.message,
		.deletion_refused = json_at(look->object, "metadata.deletionTimestamp") != NULL,
	};
	JSON_CLEANUP json_t *status = data_store_status(json_at(look->object, "status"), &findings,
	                                                json_integer_or(look->object, "metadata.generation", 0), clock_wall_seconds());
	json_t *stored = NULL;

	if (object_patch_status(look->controller->context->client, &kube_resource_data_store, look->object, json_at(look->object, "status"),
	                        status, &stored, cancel, err) < 0)
		return -1;
	if (!stored)
		return 0;
	(void)kube_cache_observe(cache, before, stored);
	json_decref(look->object);
	look->object = stored;
	return 0;
}

/* Tenants look again when the store became usable or is reached in another way than before. */
static void wake_tenants(struct look *look)
{
	struct manager_context *context = look->controller->context;
	struct data_store_record *record = look->record;
	bool usable = look->invalid.class == ERROR_NONE && look->unreachable.class == ERROR_NONE;
	char *fingerprint = data_store_fingerprint(context, look->object);
	bool other = !record->known || !string_equal(record->fingerprint, fingerprint);

	if (other || (usable && !record->usable))
		tenant_controller_enqueue_data_store(context->tenant_controller, look->name);
	free(record->fingerprint);
	record->fingerprint = fingerprint;
	record->usable = usable;
	record->known = true;
}

/* A quiet heartbeat while the store answers, back-off while it does not. Neither asks the admin API server anything. */
static void plan_next_look(struct look *look)
{
	struct data_store_record *record = look->record;

	if (look->invalid.class != ERROR_NONE)
		return;
	if (look->unreachable.class == ERROR_NONE) {
		record->retry_ms = DATA_STORE_RETRY_MS;
		worker_group_add_after(look->controller->group, look->name, DATA_STORE_CHECK_MS);
		return;
	}
	if (record->retry_ms == 0)
		record->retry_ms = DATA_STORE_RETRY_MS;
	worker_group_add_after(look->controller->group, look->name, record->retry_ms);
	record->retry_ms = record->retry_ms * 2 < DATA_STORE_RETRY_MAXIMUM_MS ? record->retry_ms * 2 : DATA_STORE_RETRY_MAXIMUM_MS;
}

static int look_at_store(struct look *look, struct cancel *cancel, struct error *err)
{
	STRING_LIST_CLEANUP struct string_list users = { 0 };
	DATA_STORE_ACCESS_CLEANUP struct data_store_access *access = NULL;

	collect_users(look, &users);
	if (json_at(look->object, "metadata.deletionTimestamp")) {
		if (users.count == 0)
			return set_finalizer(look, false, cancel, err);
	} else if (set_finalizer(look, true, cancel, err) < 0) {
		return -1;
	}
	if (look_at_credentials(look, &access, cancel, err) < 0)
		return -1;
	if (access)
		ask_store(look, access, cancel);
	if (cancel_check(cancel, err) < 0 && err->class == ERROR_CANCELLED)
		return -1;
	error_clear(err);
	if (write_status(look, &users, cancel, err) < 0)
		return -1;
	if (look->invalid.class != ERROR_NONE)
		tell(look, invalid_reason(look), look->invalid.message);
	else if (look->unreachable.class != ERROR_NONE)
		tell(look, connection_reason(&look->unreachable), look->unreachable.message);
	else
		tell(look, "", "");
	wake_tenants(look);
	plan_next_look(look);
	return 0;
}

int data_store_reconcile(const char *name, struct cancel *cancel, void *argument, struct error *err)
{
	struct data_store_controller *controller = argument;
	struct look look = {
		.controller = controller,
		.name = name,
		.object = kube_cache_get_json(controller->context->data_stores, NULL, name),
	};
	int status = 0;

	datastore_pool_sweep(controller->context->data_store_pool);
	if (!look.object) {
		forget(controller, name);
		return 0;
	}
	look.record = data_store_record_of(controller, name);
	if (!json_object_get(json_at(look.object, "metadata.annotations"), ANNOTATION_PAUSED))
		status = look_at_store(&look, cancel, err);
	if (status < 0 && err->class == ERROR_NOT_FOUND) {
		error_clear(err); /* deleted while it was looked at */
		status = 0;
	}
	json_decref(look.object);
	return status;
}
