/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/tenant_snapshot.h"

#include <string.h>

#include "api/names.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "controllers/manager_context.h"
#include "controllers/object_patch.h"
#include "controllers/tenant_digest.h"
#include "kube/cache.h"
#include "kube/client.h"

/* Secrets that are ours by name, whatever labels they bear. */
static const char *const secret_suffixes[] = {
	SUFFIX_CA,
	SUFFIX_FRONT_PROXY_CA,
	SUFFIX_SERVICE_ACCOUNT,
	SUFFIX_API_SERVER_CERTIFICATE,
	SUFFIX_KUBELET_CLIENT_CERTIFICATE,
	SUFFIX_FRONT_PROXY_CLIENT_CERTIFICATE,
	SUFFIX_ADMIN_KUBECONFIG,
	SUFFIX_CONTROLLER_MANAGER_KUBECONFIG,
	SUFFIX_SCHEDULER_KUBECONFIG,
	SUFFIX_DATA_STORE_CONFIG,
	SUFFIX_DATA_STORE_CERTIFICATE,
	SUFFIX_KONNECTIVITY_CERTIFICATE,
	SUFFIX_KONNECTIVITY_KUBECONFIG,
};

static void decref(void *value)
{
	json_decref(value);
}

static json_t *keep(struct tenant_snapshot *snapshot, json_t *value)
{
	if (value)
		arena_defer(snapshot->arena, decref, value);
	return value;
}

static json_t *cached(struct tenant_snapshot *snapshot, struct kube_cache *cache, const char *suffix)
{
	if (!cache)
		return NULL;
	return keep(snapshot,
	            kube_cache_get_json(cache, snapshot->tenant.namespace, names_object(snapshot->arena, snapshot->tenant.name, suffix)));
}

enum { GATEWAYS_MAXIMUM = 16 }; /* a route of ours has one parent when all is well; the schema allows 32 */

static void read_gateways(struct tenant_snapshot *snapshot)
{
	const json_t *routes[] = { snapshot->input.route, snapshot->input.konnectivity_route };
	const json_t **found;
	json_t *parent;
	size_t i;

	if (!snapshot->context->gateways || !snapshot->tenant.gateway)
		return;
	found = arena_alloc(snapshot->arena, GATEWAYS_MAXIMUM * sizeof(*found));
	snapshot->input.gateways = found;
	for (size_t route = 0; route < ARRAY_LENGTH(routes); route++)
		json_array_foreach(json_at(routes[route], "status.parents"), i, parent) {
			const json_t *reference = json_object_get(parent, "parentRef");
			json_t *gateway = kube_cache_get_json(snapshot->context->gateways,
			                                      json_string_or(reference, "namespace", snapshot->tenant.namespace),
			                                      json_string_or(reference, "name", ""));

			if (gateway && snapshot->input.gateway_count < GATEWAYS_MAXIMUM)
				found[snapshot->input.gateway_count++] = keep(snapshot, gateway);
			else
				json_decref(gateway);
		}
}

static void read_caches(struct tenant_snapshot *snapshot)
{
	struct manager_context *context = snapshot->context;
	struct step_input *input = &snapshot->input;

	input->service = cached(snapshot, context->services, "");
	input->deployment = cached(snapshot, context->deployments, "");
	input->kubeadm_config_map = cached(snapshot, context->config_maps, SUFFIX_KUBEADM_CONFIG);
	input->egress_config_map = cached(snapshot, context->config_maps, SUFFIX_KONNECTIVITY_EGRESS);
	input->ingress = cached(snapshot, context->ingresses, "");
	input->route = cached(snapshot, context->routes, "");
	input->konnectivity_route = cached(snapshot, context->routes, SUFFIX_KONNECTIVITY_ROUTE);
	read_gateways(snapshot);
	if (*snapshot->tenant.data_store)
		snapshot->store_object = keep(snapshot, kube_cache_get_json(context->data_stores, NULL, snapshot->tenant.data_store));
}

static void add_versions(struct string_list *lines, struct kube_cache *cache, const char *kind, const char *tenant_key)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries entries = { 0 };

	if (!cache)
		return;
	kube_cache_by_index(cache, INDEX_TENANT, tenant_key, &entries);
	for (size_t i = 0; i < entries.count; i++)
		tenant_digest_version(lines, kind, entries.items[i]->key, entries.items[i]->uid, entries.items[i]->resource_version);
}

static bool is_among(const struct kube_entries *entries, const char *key)
{
	for (size_t i = 0; i < entries->count; i++) {
		if (string_equal(entries->items[i]->key, key))
			return true;
	}
	return false;
}

/* Secrets of our names that a cache knows, whatever their labels say. */
static void find_known(const struct tenant_snapshot *snapshot, struct kube_entries *known)
{
	for (size_t i = 0; i < ARRAY_LENGTH(secret_suffixes); i++) {
		const char *key = arena_printf(snapshot->arena, "%s%s", snapshot->key, secret_suffixes[i]);
		KUBE_ENTRY_CLEANUP struct kube_entry *entry = manager_context_secret(snapshot->context, key);

		if (entry)
			kube_entries_add(known, entry);
	}
}

/* Secrets of our names that do not bear this tenant's labels: a person made them, or changed the labels. */
static void find_strays(const struct tenant_snapshot *snapshot, struct kube_entries *strays)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries labelled = { 0 }, known = { 0 };

	kube_cache_by_index(snapshot->context->secrets, INDEX_TENANT, snapshot->key, &labelled);
	find_known(snapshot, &known);
	for (size_t i = 0; i < known.count; i++) {
		if (!is_among(&labelled, known.items[i]->key))
			kube_entries_add(strays, known.items[i]);
	}
}

static void add_stray_versions(const struct tenant_snapshot *snapshot, struct string_list *lines)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries strays = { 0 };

	find_strays(snapshot, &strays);
	for (size_t i = 0; i < strays.count; i++)
		tenant_digest_version(lines, "unlabelled", strays.items[i]->key, strays.items[i]->uid, strays.items[i]->resource_version);
}

static void add_store(struct tenant_snapshot *snapshot, struct string_list *lines, const char *name)
{
	bool is_main = string_equal(name, snapshot->tenant.data_store);
	JSON_CLEANUP json_t *store =
		is_main ? json_incref(snapshot->store_object) : kube_cache_get_json(snapshot->context->data_stores, NULL, name);
	FREE_CLEANUP char *fingerprint = store ? data_store_fingerprint(snapshot->context, store) : string_dup("absent");

	string_list_printf(lines, "store %s %s %d", name, fingerprint, json_boolean_or(store, "status.ready", false));
}

static void compute_digests(struct tenant_snapshot *snapshot)
{
	struct manager_context *context = snapshot->context;
	STRING_LIST_CLEANUP struct string_list lines = { 0 };
	STRING_LIST_CLEANUP struct string_list progress = { 0 };

	tenant_digest_tenant(&lines, snapshot->object);
	tenant_digest_service(&lines, snapshot->input.service);
	tenant_digest_deployment(&lines, snapshot->input.deployment);
	add_versions(&lines, context->secrets, "secret", snapshot->key);
	add_versions(&lines, context->config_maps, "config map", snapshot->key);
	add_versions(&lines, context->ingresses, "ingress", snapshot->key);
	add_versions(&lines, context->routes, "route", snapshot->key);
	for (size_t i = 0; i < snapshot->input.gateway_count; i++)
		tenant_digest_gateway(&lines, snapshot->input.gateways[i]);
	add_stray_versions(snapshot, &lines);
	add_store(snapshot, &lines, snapshot->tenant.data_store);
	for (size_t i = 0; i < snapshot->tenant.override_count; i++)
		add_store(snapshot, &lines, snapshot->tenant.overrides[i].data_store);
	tenant_digest_finish(&lines, snapshot->inputs_digest);

	tenant_digest_version(&progress, "tenant", snapshot->key, snapshot->tenant.uid, snapshot->tenant.resource_version);
	add_versions(&progress, context->services, "service", snapshot->key);
	add_versions(&progress, context->deployments, "deployment", snapshot->key);
	tenant_digest_finish(&progress, snapshot->progress_digest);
}

int tenant_snapshot_open(struct tenant_snapshot *snapshot, struct manager_context *context, const char *key,
                         const struct step_options *options, struct error *err)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get_key(context->tenants, key);

	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->context = context;
	snapshot->arena = arena_new();
	snapshot->key = arena_strdup(snapshot->arena, key);
	snapshot->conditions_supported = !atomic_load(&context->conditions_unsupported);
	if (!entry)
		return 0;
	snapshot->object = keep(snapshot, kube_entry_parse(entry));
	snapshot->input.options = options;
	snapshot->input.tenant = &snapshot->tenant;
	snapshot->input.now = clock_wall_seconds();
	if (tenant_parse(snapshot->arena, snapshot->object, context->options->data_store, &snapshot->tenant, err) < 0)
		return -1;
	snapshot->status = json_at(snapshot->object, "status");
	read_caches(snapshot);
	compute_digests(snapshot);
	return 0;
}

static bool has_secret(const struct tenant_snapshot *snapshot, const char *name)
{
	for (size_t i = 0; i < snapshot->input.secret_count; i++) {
		if (string_equal(json_string_at(snapshot->input.secrets[i], "metadata.name"), name))
			return true;
	}
	return false;
}

struct secret_collection {
	struct tenant_snapshot *snapshot;
	const json_t **items;
	size_t count, capacity;
};

static int collect_secret(json_t *item, void *argument)
{
	struct secret_collection *collection = argument;

	if (collection->count < collection->capacity)
		collection->items[collection->count++] = keep(collection->snapshot, json_incref(item));
	return 0;
}

enum { TENANT_SECRETS_MAXIMUM = 128 }; /* ours are 13; generated kubeconfigs carry other labels */

/* A list by labels leaves out those whose labels somebody changed, also when that change has not reached the caches. */
static int read_unlisted(struct tenant_snapshot *snapshot, const struct kube_entries *known, struct secret_collection *collection,
                         struct cancel *cancel, struct error *err)
{
	for (size_t i = 0; i < known->count; i++) {
		const char *name = known->items[i]->name;

		if (has_secret(snapshot, name))
			continue;
		JSON_CLEANUP json_t *secret =
			kube_client_get(snapshot->context->client, &kube_resource_secret, snapshot->tenant.namespace, name, cancel, err);

		if (secret)
			(void)collect_secret(secret, collection);
		else if (err->class != ERROR_NOT_FOUND)
			return error_wrap(err, "Secret %s", name);
	}
	error_clear(err);
	snapshot->input.secret_count = collection->count;
	return 0;
}

static int read_secrets(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err)
{
	struct manager_context *context = snapshot->context;
	const char *selector =
		arena_printf(snapshot->arena, "%s=%s,%s=%s", LABEL_PROJECT, LABEL_PROJECT_VALUE, LABEL_NAME, snapshot->tenant.name);
	const struct kube_list_options options = { .label_selector = selector, .secret = true };
	struct secret_collection collection = {
		.snapshot = snapshot,
		.items = arena_alloc(snapshot->arena, TENANT_SECRETS_MAXIMUM * sizeof(json_t *)),
		.capacity = TENANT_SECRETS_MAXIMUM,
	};
	KUBE_ENTRIES_CLEANUP struct kube_entries known = { 0 };

	snapshot->input.secrets = collection.items;
	find_known(snapshot, &known);
	/* The first pass of a new tenant asks nothing of the server. */
	snapshot->secrets_known = known.count > 0;
	if (known.count == 0)
		return 0;
	if (kube_client_each(context->client, &kube_resource_secret, snapshot->tenant.namespace, &options, collect_secret, &collection,
	                     cancel, err) < 0)
		return error_wrap(err, "Secrets of the tenant");
	snapshot->input.secret_count = collection.count;
	return read_unlisted(snapshot, &known, &collection, cancel, err);
}

static const char *text_of(const struct buffer *buffer)
{
	return buffer->length > 0 ? buffer->data : NULL;
}

static void fill_store(struct step_data_store *step, const struct data_store *store, const struct data_store_access *access)
{
	const struct datastore_connection *connection = &access->connection;

	*step = (struct step_data_store){
		.store = store,
		.ca_certificate = text_of(&connection->authority_certificate),
		.ca_private_key = text_of(&connection->authority_key),
		.client_certificate = text_of(&connection->client_certificate),
		.client_private_key = text_of(&connection->client_key),
		.username = text_of(&connection->username),
		.password = text_of(&connection->password),
	};
}

static int load_store(struct tenant_snapshot *snapshot, const json_t *object, struct data_store *store, struct step_data_store *step,
                      struct data_store_access **access, struct cancel *cancel, struct error *err)
{
	if (data_store_parse(snapshot->arena, object, store, err) < 0)
		return -1;
	if (data_store_credentials_get(snapshot->context->credentials, object, access, cancel, err) < 0)
		return -1;
	fill_store(step, store, *access);
	return 0;
}

static int load_overrides(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err)
{
	size_t count = snapshot->tenant.override_count;
	struct step_data_store *steps_stores = arena_alloc(snapshot->arena, (count + 1) * sizeof(*steps_stores));

	snapshot->override_accesses = arena_alloc(snapshot->arena, (count + 1) * sizeof(struct data_store_access *));
	snapshot->input.overrides = steps_stores;
	for (size_t i = 0; i < count; i++) {
		const char *name = snapshot->tenant.overrides[i].data_store;
		json_t *object = keep(snapshot, kube_cache_get_json(snapshot->context->data_stores, NULL, name));
		struct data_store *store = arena_alloc(snapshot->arena, sizeof(*store));

		if (!object)
			return error_set(err, ERROR_NOT_FOUND, "spec.dataStoreOverrides[%zu].dataStore: DataStore %s does not exist", i,
			                 name);
		if (load_store(snapshot, object, store, &steps_stores[i], &snapshot->override_accesses[i], cancel, err) < 0)
			return -1;
	}
	return 0;
}

int tenant_snapshot_load(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err)
{
	if (load_store(snapshot, snapshot->store_object, &snapshot->store, &snapshot->input.data_store, &snapshot->access, cancel, err) < 0)
		return -1;
	if (load_overrides(snapshot, cancel, err) < 0)
		return -1;
	return read_secrets(snapshot, cancel, err);
}

/* The trees hold keys: their text is overwritten before the memory goes back. */
static void forget_secrets(struct tenant_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->input.secret_count; i++) {
		const char *key;
		json_t *value;

		json_object_foreach(json_at(snapshot->input.secrets[i], "data"), key, value) {
			if (json_is_string(value))
				secret_zero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
		}
	}
}

void tenant_snapshot_close(struct tenant_snapshot *snapshot)
{
	forget_secrets(snapshot);
	data_store_access_unref(snapshot->access);
	for (size_t i = 0; snapshot->override_accesses && i < snapshot->tenant.override_count; i++)
		data_store_access_unref(snapshot->override_accesses[i]);
	arena_free(snapshot->arena);
	memset(snapshot, 0, sizeof(*snapshot));
}

static bool belongs_to_another(const json_t *object, const char *uid)
{
	size_t index;
	json_t *owner;

	json_array_foreach(json_at(object, "metadata.ownerReferences"), index, owner) {
		if (string_equal(json_string_at(owner, "kind"), KAMAJI_KIND_TENANT_CONTROL_PLANE) &&
		    !string_equal(json_string_at(owner, "uid"), uid))
			return true;
	}
	return false;
}

static int delete_remain(struct tenant_snapshot *snapshot, const struct kube_resource *resource, const json_t *object,
                         struct cancel *cancel, struct error *err)
{
	const struct kube_delete_options options = { .uid = json_string_at(object, "metadata.uid") };
	const char *name = json_string_or(object, "metadata.name", "");

	if (json_at(object, "metadata.deletionTimestamp"))
		return object_patch_clear_finalizers(snapshot->context->client, resource, object, cancel, err);
	if (kube_client_delete(snapshot->context->client, resource, snapshot->tenant.namespace, name, &options, cancel, err) < 0 &&
	    err->class != ERROR_NOT_FOUND)
		return error_wrap(err, "delete %s %s of an earlier tenant", resource->kind, name);
	error_clear(err);
	return 0;
}

int tenant_snapshot_delete_remains(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err)
{
	struct manager_context *context = snapshot->context;
	struct kube_cache *caches[] = { context->secrets, context->config_maps, context->services, context->deployments,
		                        context->ingresses };
	unsigned found = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(caches); i++) {
		KUBE_ENTRIES_CLEANUP struct kube_entries entries = { 0 };

		kube_cache_by_index(caches[i], INDEX_TENANT, snapshot->key, &entries);
		for (size_t j = 0; j < entries.count; j++) {
			JSON_CLEANUP json_t *object = kube_entry_parse(entries.items[j]);

			if (!belongs_to_another(object, snapshot->tenant.uid))
				continue;
			found++;
			if (delete_remain(snapshot, kube_cache_resource(caches[i]), object, cancel, err) < 0)
				return -1;
		}
	}
	if (found > 0)
		return error_set(err, ERROR_PENDING, "%u objects of an earlier tenant of this name are still being removed", found);
	return 0;
}
