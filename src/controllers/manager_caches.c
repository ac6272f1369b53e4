/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "api/names.h"
#include "base/clock.h"
#include "base/strings.h"
#include "controllers/manager_context.h"
#include "controllers/manager_metrics.h"
#include "kube/cache.h"
#include "kube/client.h"

#define PROJECT_SELECTOR LABEL_PROJECT "=" LABEL_PROJECT_VALUE
#define FOREIGN_SELECTOR LABEL_PROJECT "!=" LABEL_PROJECT_VALUE /* also those without the label */

char *manager_context_tenant_key(const json_t *object)
{
	const json_t *labels = json_at(object, "metadata.labels");
	const char *name = json_string_value(json_object_get(labels, LABEL_NAME));
	const char *namespace_name = json_string_at(object, "metadata.namespace");

	if (string_empty(name) || string_empty(namespace_name))
		return NULL;
	return string_printf("%s/%s", namespace_name, name);
}

static void index_tenant(const json_t *object, struct string_list *values, void *argument)
{
	char *key = manager_context_tenant_key(object);

	if (key)
		string_list_take(values, key);
}

/* Most tenants of a large cluster sleep: whether there is anything to talk to inside is asked far more often than it changes. */
static void index_served(const json_t *object, struct string_list *values, void *argument)
{
	if (json_integer_or(object, "spec.replicas", 1) != 0 && json_integer_or(object, "status.readyReplicas", 0) > 0)
		index_tenant(object, values, argument);
}

static void add_name(struct string_list *values, const char *name)
{
	if (!string_empty(name) && !string_list_contains(values, name))
		string_list_add(values, name);
}

static void index_data_store(const json_t *object, struct string_list *values, void *argument)
{
	const struct manager_context *context = argument;
	size_t index;
	json_t *override;

	add_name(values, json_string_or(object, "spec.dataStore", context->options->data_store));
	add_name(values, json_string_at(object, "status.storage.dataStoreName"));
	json_array_foreach(json_at(object, "spec.dataStoreOverrides"), index, override)
		add_name(values, json_string_at(override, "dataStore"));
}

void manager_context_add_stores(const json_t *tenant, struct string_list *names)
{
	const char *main_store = json_string_or(tenant, "status.storage.dataStoreName", "");
	size_t index;
	json_t *override;

	if (string_empty(main_store))
		return;
	add_name(names, main_store);
	json_array_foreach(json_at(tenant, "spec.dataStoreOverrides"), index, override)
		add_name(names, json_string_at(override, "dataStore"));
}

static void index_storage(const json_t *object, struct string_list *values, void *argument)
{
	manager_context_add_stores(object, values);
}

static void index_gateway(const json_t *object, struct string_list *values, void *argument)
{
	const char *namespace_name = json_string_or(object, "metadata.namespace", "");
	size_t index;
	json_t *parent;

	json_array_foreach(json_at(object, "spec.controlPlane.gateway.parentRefs"), index, parent) {
		FREE_CLEANUP char *key =
			string_printf("%s/%s", json_string_or(parent, "namespace", namespace_name), json_string_or(parent, "name", ""));

		add_name(values, key);
	}
}

/* Of a Gateway only what access points are made of: its status tells of every route that comes and goes. */
static void reduce_gateway(json_t *gateway, void *argument)
{
	json_t *listeners = json_array(), *conditions = json_array(), *item;
	size_t index;

	json_array_foreach(json_at(gateway, "spec.listeners"), index, item)
		json_array_append_new(listeners, json_build("{s:s,s:s,s:I}", "name", json_string_or(item, "name", ""), "protocol",
		                                            json_string_or(item, "protocol", ""), "port",
		                                            (json_int_t)json_integer_or(item, "port", 0)));
	json_array_foreach(json_at(gateway, "status.conditions"), index, item)
		if (string_equal(json_string_at(item, "type"), "Programmed"))
			json_array_append_new(conditions, json_build("{s:s,s:s}", "type", "Programmed", "status",
			                                             json_string_or(item, "status", "Unknown")));
	json_object_set_new(gateway, "spec", json_build("{s:o}", "listeners", listeners));
	json_object_set_new(gateway, "status", json_build("{s:o}", "conditions", conditions));
}

static void add_reference(struct string_list *values, const json_t *reference)
{
	const char *name = json_string_at(reference, "secretReference.name");
	const char *namespace_name = json_string_at(reference, "secretReference.namespace");

	if (string_empty(name) || string_empty(namespace_name))
		return;
	FREE_CLEANUP char *key = string_printf("%s/%s", namespace_name, name);

	add_name(values, key);
}

static void index_secret(const json_t *object, struct string_list *values, void *argument)
{
	static const char *const paths[] = {
		"spec.tlsConfig.certificateAuthority.certificate",
		"spec.tlsConfig.certificateAuthority.privateKey",
		"spec.tlsConfig.clientCertificate.certificate",
		"spec.tlsConfig.clientCertificate.privateKey",
		"spec.basicAuth.username",
		"spec.basicAuth.password",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
		add_reference(values, json_at(object, paths[i]));
}

/* All foreign Secrets of the cluster pass here: of most nothing but name and version is of interest, and there may be many. */
static void strip_reference(json_t *object, void *argument)
{
	static const char *const kept[] = { "name", "namespace", "uid", "resourceVersion" };
	json_t *metadata = json_object_get(object, "metadata"), *reduced = json_object();

	for (size_t i = 0; i < ARRAY_LENGTH(kept); i++)
		if (json_object_get(metadata, kept[i]))
			(void)json_object_set(reduced, kept[i], json_object_get(metadata, kept[i]));
	(void)json_object_clear(object);
	(void)json_object_set_new(object, "metadata", reduced);
}

static struct kube_cache *labelled_cache(struct manager_context *context, const struct kube_resource *resource)
{
	const struct kube_cache_index tenant_index = { .name = INDEX_TENANT, .function = index_tenant };

	return kube_cache_new(&(struct kube_cache_options){ .loop = context->loop,
	                                                    .client = context->client,
	                                                    .resource = resource,
	                                                    .label_selector = PROJECT_SELECTOR,
	                                                    .indexes = &tenant_index,
	                                                    .index_count = 1 });
}

static void make_secret_caches(struct manager_context *context)
{
	const struct kube_cache_index tenant_index = { .name = INDEX_TENANT, .function = index_tenant };

	context->secrets = kube_cache_new(&(struct kube_cache_options){ .loop = context->loop,
	                                                                .client = context->client,
	                                                                .resource = &kube_resource_secret,
	                                                                .label_selector = PROJECT_SELECTOR,
	                                                                .transform = manager_metrics_secret_transform,
	                                                                .indexes = &tenant_index,
	                                                                .index_count = 1 });
	context->references = kube_cache_new(&(struct kube_cache_options){ .loop = context->loop,
	                                                                   .client = context->client,
	                                                                   .resource = &kube_resource_secret,
	                                                                   .metadata_only = true,
	                                                                   .label_selector = FOREIGN_SELECTOR,
	                                                                   .transform = strip_reference });
}

void manager_context_make_caches(struct manager_context *context, bool gateway)
{
	const struct kube_cache_index tenant_indexes[] = {
		{ .name = INDEX_DATA_STORE, .function = index_data_store, .argument = context },
		{ .name = INDEX_STORAGE, .function = index_storage },
		{ .name = INDEX_GATEWAY, .function = index_gateway },
	};
	const struct kube_cache_index deployment_indexes[] = {
		{ .name = INDEX_TENANT, .function = index_tenant },
		{ .name = INDEX_SERVED, .function = index_served },
	};
	const struct kube_cache_index secret_index = { .name = INDEX_SECRET, .function = index_secret };

	context->tenants = kube_cache_new(&(struct kube_cache_options){ .loop = context->loop,
	                                                                .client = context->client,
	                                                                .resource = &kube_resource_tenant_control_plane,
	                                                                .indexes = tenant_indexes,
	                                                                .index_count = ARRAY_LENGTH(tenant_indexes) });
	context->data_stores = kube_cache_new(&(struct kube_cache_options){ .loop = context->loop,
	                                                                    .client = context->client,
	                                                                    .resource = &kube_resource_data_store,
	                                                                    .indexes = &secret_index,
	                                                                    .index_count = 1 });
	make_secret_caches(context);
	context->config_maps = labelled_cache(context, &kube_resource_config_map);
	context->deployments = kube_cache_new(&(struct kube_cache_options){ .loop = context->loop,
	                                                                    .client = context->client,
	                                                                    .resource = &kube_resource_deployment,
	                                                                    .label_selector = PROJECT_SELECTOR,
	                                                                    .indexes = deployment_indexes,
	                                                                    .index_count = ARRAY_LENGTH(deployment_indexes) });
	context->services = labelled_cache(context, &kube_resource_service);
	context->ingresses = labelled_cache(context, &kube_resource_ingress);
	if (!gateway)
		return;
	context->routes = labelled_cache(context, &kube_resource_tls_route);
	context->gateways = kube_cache_new(&(struct kube_cache_options){
		.loop = context->loop, .client = context->client, .resource = &kube_resource_gateway, .transform = reduce_gateway });
}

int manager_context_gateway_served(struct kube_client *client, bool *served, struct cancel *cancel, struct error *err)
{
	bool routes = false, gateways = false;

	if (kube_client_serves(client, &kube_resource_tls_route, &routes, cancel, err) < 0 ||
	    (routes && kube_client_serves(client, &kube_resource_gateway, &gateways, cancel, err) < 0))
		return -1;
	*served = routes && gateways;
	return 0;
}

enum { CACHE_COUNT = 10 };

static void all_caches(struct manager_context *context, struct kube_cache ***caches)
{
	caches[0] = &context->tenants;
	caches[1] = &context->data_stores;
	caches[2] = &context->secrets;
	caches[3] = &context->references;
	caches[4] = &context->config_maps;
	caches[5] = &context->deployments;
	caches[6] = &context->services;
	caches[7] = &context->ingresses;
	caches[8] = &context->routes;
	caches[9] = &context->gateways;
}

struct kube_entry *manager_context_secret(const struct manager_context *context, const char *key)
{
	struct kube_entry *entry = kube_cache_get_key(context->secrets, key);

	return entry ? entry : kube_cache_get_key(context->references, key);
}

void manager_context_start_caches(struct manager_context *context)
{
	struct kube_cache **caches[CACHE_COUNT];

	all_caches(context, caches);
	for (size_t i = 0; i < CACHE_COUNT; i++) {
		if (*caches[i])
			kube_cache_start(*caches[i]);
	}
}

int manager_context_wait_caches(struct manager_context *context, struct cancel *cancel, struct error *err)
{
	struct kube_cache **caches[CACHE_COUNT];

	all_caches(context, caches);
	for (size_t i = 0; i < CACHE_COUNT; i++) {
		if (*caches[i] && kube_cache_wait_synced(*caches[i], cancel, err) < 0) {
			const struct kube_resource *resource = kube_cache_resource(*caches[i]);

			return error_wrap(err, "%s%s%s", resource->plural, *resource->group ? "." : "", resource->group);
		}
	}
	return 0;
}

void manager_context_free_caches(struct manager_context *context)
{
	struct kube_cache **caches[CACHE_COUNT];

	all_caches(context, caches);
	for (size_t i = 0; i < CACHE_COUNT; i++) {
		kube_cache_free(*caches[i]);
		*caches[i] = NULL;
	}
}
