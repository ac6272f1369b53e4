/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a tenant: its privileges, data and user leave the store, then its finalizers go and the garbage collector takes the rest. In this
 * order at every crash: what is still to be done can be seen from what is still there.
 */
#include "api/names.h"
#include "base/log.h"
#include "base/strings.h"
#include "controllers/object_patch.h"
#include "controllers/tenant_internal.h"
#include "datastore/driver.h"
#include "kube/cache.h"
#include "kube/client.h"

static void decref(void *value)
{
	json_decref(value);
}

static int free_place(struct tenant_snapshot *snapshot, const char *store_name, struct cancel *cancel, struct error *err)
{
	struct manager_context *context = snapshot->context;
	const struct datastore_tenant place = { .schema = snapshot->tenant.schema, .user = snapshot->tenant.user, .password = "" };
	JSON_CLEANUP json_t *object = kube_cache_get_json(context->data_stores, NULL, store_name);
	DATA_STORE_ACCESS_CLEANUP struct data_store_access *access = NULL;
	DATASTORE_CLEANUP struct datastore *store = NULL;

	if (!object)
		return error_set(err, ERROR_NOT_FOUND,
		                 "DataStore %s does not exist, so the tenant's data in it cannot be removed (create it again, or remove "
		                 "finalizer %s)",
		                 store_name, FINALIZER_TENANT);
	if (data_store_credentials_get(context->credentials, object, &access, cancel, err) < 0 ||
	    datastore_pool_acquire(context->data_store_pool, &access->connection, &store, err) < 0 ||
	    datastore_delete_all(store, &place, cancel, err) < 0)
		return -1;
	log_info("tenant.store", "place in the DataStore freed", LOG_STRING("tenant", snapshot->key), LOG_STRING("data_store", store_name),
	         LOG_STRING("schema", place.schema));
	return 0;
}

/* Where the tenant's data is. A tenant that never reached a store has none. */
static int free_places(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err)
{
	const struct tenant_control_plane *tenant = &snapshot->tenant;
	const char *used = *tenant->used_data_store ? tenant->used_data_store : tenant->data_store;
	bool never_stored = string_empty(tenant->used_data_store) && !snapshot->store_object;

	if (string_empty(used) || never_stored)
		return 0;
	if (free_place(snapshot, used, cancel, err) < 0)
		return -1;
	for (size_t i = 0; i < tenant->override_count; i++) {
		if (!string_equal(tenant->overrides[i].data_store, used) &&
		    free_place(snapshot, tenant->overrides[i].data_store, cancel, err) < 0)
			return -1;
	}
	return 0;
}

static int release_config_secret(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err)
{
	const char *name = names_object(snapshot->arena, snapshot->tenant.name, SUFFIX_DATA_STORE_CONFIG);
	JSON_CLEANUP json_t *secret = kube_cache_get_json(snapshot->context->secrets, snapshot->tenant.namespace, name);

	if (!secret)
		return 0;
	if (object_patch_clear_finalizers(snapshot->context->client, &kube_resource_secret, secret, cancel, err) < 0 &&
	    err->class != ERROR_NOT_FOUND)
		return -1;
	error_clear(err);
	return 0;
}

/*
 * Data is only dropped for a tenant that the server still holds with our finalizer: while it does, no new tenant of this name, and perhaps of
 * this schema, can exist. A cache that lags behind must not decide that. *gone: nothing is left to do.
 */
static int read_live(struct tenant_snapshot *snapshot, bool *gone, struct cancel *cancel, struct error *err)
{
	json_t *live = kube_client_get(snapshot->context->client, &kube_resource_tenant_control_plane, snapshot->tenant.namespace,
	                               snapshot->tenant.name, cancel, err);

	*gone = !live && err->class == ERROR_NOT_FOUND;
	if (*gone) {
		error_clear(err);
		return 0;
	}
	if (!live)
		return -1;
	arena_defer(snapshot->arena, decref, live);
	*gone = !string_equal(json_string_at(live, "metadata.uid"), snapshot->tenant.uid);
	snapshot->object = live;
	return 0;
}

int tenant_delete(struct tenant_controller *controller, struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err)
{
	bool wrote = false, gone = false;

	if (read_live(snapshot, &gone, cancel, err) < 0)
		return -1;
	if (gone)
		return 0;
	if (object_has_finalizer(snapshot->object, FINALIZER_TENANT) && free_places(snapshot, cancel, err) < 0) {
		if (err->class == ERROR_CANCELLED)
			return -1;
		FREE_CLEANUP char *message = string_dup(err->message);
		enum error_class class = err->class;

		return tenant_block(controller, snapshot, class, "DeletionBlocked", message, cancel, err);
	}
	if (release_config_secret(snapshot, cancel, err) < 0 ||
	    tenant_set_finalizer(snapshot, FINALIZER_SOOT, false, &wrote, cancel, err) < 0 ||
	    tenant_set_finalizer(snapshot, FINALIZER_TENANT, false, &wrote, cancel, err) < 0) {
		if (err->class == ERROR_NOT_FOUND) {
			error_clear(err);
			return 0;
		}
		return -1;
	}
	if (wrote)
		log_info("tenant.deleted", "tenant released", LOG_STRING("tenant", snapshot->key));
	return 0;
}
