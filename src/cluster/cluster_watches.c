/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster_watches.h"

#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "base/strings.h"
#include "cluster/cluster_objects.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "pki/digest.h"

#define OURS LABEL_PROJECT "=" LABEL_PROJECT_VALUE
/* The API server labels the roles and bindings that it makes itself: some 130 that are not ours. */
#define NOT_BUILT_IN "!kubernetes.io/bootstrapping"

enum { KEPT_VALUE_MAXIMUM = 64 * 1024, PAGE = 200 };

static const struct watch {
	const struct kube_resource *resource;
	const char *namespace_name, *label_selector, *name;
} watches_table[] = {
	{ &kube_resource_config_map, "kube-system", NULL, NULL },
	{ &kube_resource_config_map, "kube-public", NULL, "cluster-info" },
	{ &kube_resource_service_account, "kube-system", OURS, NULL },
	{ &kube_resource_service, "kube-system", OURS, NULL },
	{ &kube_resource_deployment, "kube-system", OURS, NULL },
	{ &kube_resource_daemon_set, "kube-system", OURS, NULL },
	{ &kube_resource_role, "kube-system", NOT_BUILT_IN, NULL },
	{ &kube_resource_role, "kube-public", NULL, "kubeadm:bootstrap-signer-clusterinfo" },
	{ &kube_resource_role_binding, "kube-system", NOT_BUILT_IN, NULL },
	{ &kube_resource_role_binding, "kube-public", NULL, "kubeadm:bootstrap-signer-clusterinfo" },
	{ &kube_resource_cluster_role, NULL, NOT_BUILT_IN, NULL },
	{ &kube_resource_cluster_role_binding, NULL, NOT_BUILT_IN, NULL },
	{ &kube_resource_validating_webhook_configuration, NULL, NULL, CLUSTER_WRITE_GUARD },
	/* Served since 1.21; kubeadm of tenants below 1.22 could not read our kubeadm-config anyway. */
	{ &kube_resource_endpoint_slice, "default", NULL, CLUSTER_OWN_ENDPOINT },
};

/* The names that our objects have, of whatever kind; those of the other namespaces and kinds are never asked for. */
static const char *const names[] = {
	"cluster-info",
	"coredns",
	"konnectivity-agent",
	"kube-dns",
	"kube-proxy",
	"kubeadm-config",
	"kubeadm:apiserver-kubelet-client",
	"kubeadm:bootstrap-signer-clusterinfo",
	"kubeadm:cluster-admins",
	"kubeadm:get-nodes",
	"kubeadm:kubelet-bootstrap",
	"kubeadm:kubelet-config",
	"kubeadm:node-autoapprove-bootstrap",
	"kubeadm:node-autoapprove-certificate-rotation",
	"kubeadm:node-proxier",
	"kubeadm:nodes-kubeadm-config",
	"system:coredns",
	"system:konnectivity-server",
	CLUSTER_WRITE_GUARD,
	CLUSTER_OWN_ENDPOINT,
};

struct cluster_watches {
	struct cluster_watches_options options;
	struct kube_cache *caches[ARRAY_LENGTH(watches_table)];
};

static bool is_ours(const json_t *object, void *unused)
{
	const char *name = json_string_or(object, "metadata.name", "");

	/* Tenants below 1.24 have their version in this name. */
	if (string_has_prefix(name, "kubelet-config") && strlen(name) <= strlen("kubelet-config-1.23"))
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (string_equal(names[i], name))
			return true;
	}
	return false;
}

static const json_t *owned_fields(const json_t *object, const char *operation)
{
	size_t index;
	json_t *record;

	json_array_foreach(json_at(object, "metadata.managedFields"), index, record) {
		if (string_equal(json_string_at(record, "manager"), KAMAJI_FIELD_MANAGER) &&
		    string_equal(json_string_at(record, "operation"), operation) && string_empty(json_string_at(record, "subresource")))
			return json_object_get(record, "fieldsV1");
	}
	return NULL;
}

static bool is_long(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) > KEPT_VALUE_MAXIMUM;
}

/* Drops the members of a map that we do not own; a value too long to be ours is no value. */
static void keep_owned(json_t *map, const json_t *owned, const char *always)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(map, next, key, value) {
		FREE_CLEANUP char *field = string_printf("f:%s", key);

		if (is_long(value) || (!json_object_get(owned, field) && !string_equal(key, always)))
			(void)json_object_del(map, key);
	}
}

static void add_checksum(json_t *object)
{
	json_t *data = json_object_get(object, "data"), *value;
	size_t count = json_object_size(data), i = 0;
	struct digest_entry *entries = calloc(count + 1, sizeof(*entries));
	char hex[DIGEST_HEX_SIZE];
	const char *key;

	if (!entries)
		abort();
	json_object_foreach(data, key, value)
		entries[i++] = (struct digest_entry){ .key = key, .value = json_string_value(value), .length = json_string_length(value) };
	digest_entries_hex(entries, count, hex);
	free(entries);
	(void)json_object_set_new(object, CLUSTER_CHECKSUM_MEMBER, json_string_new(hex));
}

/*
 * metadata.generation of an entry is a digest of all that it keeps, the owned fields included: equal means that nothing of ours moved.
 * (The server's own generation says nothing of labels and owners, and most kinds have none.)
 */
static void set_generation(json_t *object, const json_t *owned)
{
	json_t *metadata = json_object_get(object, "metadata");
	JSON_CLEANUP json_t *kept_metadata = json_copy(metadata);
	JSON_CLEANUP json_t *kept = json_copy(object);
	unsigned char digest[DIGEST_MAXIMUM_SIZE];
	json_int_t number = 0;

	if (!kept || !kept_metadata)
		abort();
	(void)json_object_del(kept_metadata, "managedFields");
	(void)json_object_del(kept_metadata, "resourceVersion");
	(void)json_object_set(kept, "metadata", kept_metadata);
	if (owned)
		(void)json_object_set(kept, "owned", (json_t *)(uintptr_t)owned);
	FREE_CLEANUP char *text = json_canonical(kept);

	(void)digest_bytes(DIGEST_SHA256, text, strlen(text), digest);
	memcpy(&number, digest, sizeof(number));
	(void)json_object_set_new(metadata, "generation", json_integer(number));
}

void cluster_watches_reduce(json_t *object, void *unused)
{
	const json_t *applied = owned_fields(object, "Apply");
	const json_t *owned = applied ? applied : owned_fields(object, "Update");
	const json_t *owned_metadata = json_object_get(owned, "f:metadata");
	json_t *metadata = json_object_get(object, "metadata");

	if (string_equal(json_string_at(metadata, "name"), "cluster-info"))
		add_checksum(object);
	keep_owned(json_object_get(metadata, "labels"), json_object_get(owned_metadata, "f:labels"), LABEL_PROJECT);
	keep_owned(json_object_get(metadata, "annotations"), json_object_get(owned_metadata, "f:annotations"), NULL);
	keep_owned(json_object_get(object, "data"), json_object_get(owned, "f:data"), NULL);
	(void)json_object_del(object, "binaryData");
	(void)json_object_del(object, "status");
	(void)json_object_del(object, "secrets");
	(void)json_object_del(object, "imagePullSecrets");
	(void)json_object_del(metadata, "creationTimestamp");
	(void)json_object_del(metadata, "generation");
	if (metadata)
		set_generation(object, owned);
}

static bool is_news(const struct kube_notice *notice)
{
	if (notice->own_write)
		return false;
	if (notice->change == KUBE_ADDED)
		return kube_cache_synced(notice->cache);
	return notice->change != KUBE_UPDATED || notice->before->generation != notice->after->generation;
}

static void on_notice(const struct kube_notice *notice, void *argument)
{
	const struct cluster_watches *watches = argument;

	if (is_news(notice))
		watches->options.on_change(watches->options.argument);
}

static struct kube_cache *start_watch(struct cluster_watches *watches, const struct watch *watch)
{
	FREE_CLEANUP char *selector = watch->name ? string_printf("metadata.name=%s", watch->name) : NULL;
	struct kube_cache *cache = kube_cache_new(&(struct kube_cache_options){ .loop = watches->options.loop,
	                                                                        .client = watches->options.client,
	                                                                        .resource = watch->resource,
	                                                                        .namespace = watch->namespace_name,
	                                                                        .label_selector = watch->label_selector,
	                                                                        .field_selector = selector,
	                                                                        .transform = cluster_watches_reduce,
	                                                                        .keep = is_ours,
	                                                                        .page_size = PAGE });

	kube_cache_add_handler(cache, on_notice, watches);
	kube_cache_start(cache);
	return cache;
}

struct cluster_watches *cluster_watches_new(const struct cluster_watches_options *options)
{
	struct cluster_watches *watches = calloc(1, sizeof(*watches));

	if (!watches)
		abort();
	watches->options = *options;
	for (size_t i = 0; i < ARRAY_LENGTH(watches_table); i++)
		watches->caches[i] = start_watch(watches, &watches_table[i]);
	return watches;
}

int cluster_watches_wait(struct cluster_watches *watches, struct cancel *cancel, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LENGTH(watches_table); i++) {
		if (kube_cache_wait_synced(watches->caches[i], cancel, err) < 0)
			return error_wrap(err, "%s", watches_table[i].resource->plural);
	}
	return 0;
}

static bool covers(const struct watch *watch, const struct kube_resource *resource, const char *namespace_name, const char *name)
{
	return watch->resource == resource && string_equal(watch->namespace_name, namespace_name) &&
	       (!watch->name || string_equal(watch->name, name));
}

struct kube_cache *cluster_watches_of(const struct cluster_watches *watches, const struct kube_resource *resource,
                                      const char *namespace_name, const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(watches_table); i++) {
		if (covers(&watches_table[i], resource, namespace_name, name))
			return watches->caches[i];
	}
	return NULL;
}

bool cluster_watches_cover(const json_t *object)
{
	const struct kube_resource *resource = kube_resource_of(object);
	const json_t *labels = json_at(object, "metadata.labels");
	bool labelled = string_equal(json_string_value(json_object_get(labels, LABEL_PROJECT)), LABEL_PROJECT_VALUE);

	for (size_t i = 0; i < ARRAY_LENGTH(watches_table); i++) {
		const struct watch *watch = &watches_table[i];

		if (covers(watch, resource, json_string_at(object, "metadata.namespace"), json_string_or(object, "metadata.name", "")))
			return is_ours(object, NULL) && (labelled || !string_equal(watch->label_selector, OURS));
	}
	return false;
}

size_t cluster_watches_memory(const struct cluster_watches *watches)
{
	size_t bytes = sizeof(*watches);

	for (size_t i = 0; i < ARRAY_LENGTH(watches_table); i++)
		bytes += kube_cache_memory(watches->caches[i]);
	return bytes;
}

void cluster_watches_free(struct cluster_watches *watches)
{
	if (!watches)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(watches_table); i++)
		kube_cache_free(watches->caches[i]);
	free(watches);
}
