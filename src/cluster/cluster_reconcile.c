/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster_reconcile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "cluster/cluster_objects.h"
#include "kube/apply.h"
#include "pki/digest.h"

void cluster_applied_free(struct cluster_applied *applied)
{
	map_free(&applied->digests, free);
	memset(applied, 0, sizeof(*applied));
}

static char *object_key(const json_t *object)
{
	return string_printf("%s/%s/%s", json_string_or(object, "kind", ""), json_string_or(object, "metadata.namespace", ""),
	                     json_string_or(object, "metadata.name", ""));
}

static struct kube_cache *cache_of(const struct cluster_target *target, const json_t *object)
{
	const char *name = json_string_or(object, "metadata.name", "");

	if (!string_equal(json_string_at(object, "kind"), "ConfigMap"))
		return NULL;
	if (string_equal(name, "kubeadm-config"))
		return target->kubeadm_config;
	if (string_equal(name, "cluster-info"))
		return target->cluster_info;
	return string_has_prefix(name, "kubelet-config") ? target->kubelet_config : NULL;
}

/* The object as it is now; applied when it differs. NULL on error. New reference. */
static json_t *apply_watched(const struct cluster_target *target, const struct kube_resource *resource, struct kube_cache *cache,
                             const json_t *object, struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	const struct kube_apply_request request = { .client = target->client, .resource = resource, .desired = object, .cache = cache };
	struct kube_apply_result applied = { 0 };

	if (kube_apply_if_different(target->applier, &request, &applied, cancel, err) < 0)
		return NULL;
	result->writes += applied.wrote;
	if (applied.object)
		return applied.object;
	json_t *live =
		kube_cache_get_json(cache, json_string_at(object, "metadata.namespace"), json_string_or(object, "metadata.name", ""));

	if (!live)
		(void)error_set(err, ERROR_CONFLICT, "the object vanished while it was looked at");
	return live;
}

/* kubeadm leaves an existing binding of its administrators alone, and so do we. */
static bool is_create_only(const json_t *object)
{
	return string_equal(json_string_at(object, "metadata.name"), "kubeadm:cluster-admins");
}

static json_t *write_object(const struct cluster_target *target, const struct kube_resource *resource, const json_t *object,
                            struct cancel *cancel, struct error *err)
{
	const struct kube_write_options options = { .force = true };

	if (!is_create_only(object))
		return kube_client_apply(target->client, resource, object, &options, cancel, err);
	json_t *stored = kube_client_create(target->client, resource, object, NULL, cancel, err);

	if (!stored && err->class == ERROR_EXISTS) {
		error_clear(err);
		stored = json_deep_copy(object);
	}
	return stored;
}

/* Applies what was not applied before in this form. *stored (may be NULL) is set when a request was made; new reference. */
static int apply_remembered(const struct cluster_target *target, const struct kube_resource *resource, const json_t *object,
                            json_t **stored, struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	FREE_CLEANUP char *key = object_key(object);
	FREE_CLEANUP char *text = json_canonical(object);
	char digest[DIGEST_HEX_SIZE];

	digest_hex(DIGEST_SHA256, text, strlen(text), digest);
	if (string_equal(map_get(&target->applied->digests, key), digest))
		return 0;
	json_t *written = write_object(target, resource, object, cancel, err);

	if (!written)
		return -1;
	result->writes++;
	free(map_put(&target->applied->digests, key, string_dup(digest)));
	if (stored)
		*stored = written;
	else
		json_decref(written);
	return 0;
}

static void record_checksum(struct cluster_result *result, const json_t *cluster_info)
{
	const json_t *data = json_at(cluster_info, "data");
	size_t count = json_object_size(data), i = 0;
	struct digest_entry *entries = calloc(count + 1, sizeof(*entries));
	char hex[DIGEST_HEX_SIZE];
	const char *key;
	json_t *value;

	if (!entries)
		abort();
	json_object_foreach((json_t *)(uintptr_t)data, key, value)
		entries[i++] = (struct digest_entry){ .key = key, .value = json_string_value(value), .length = json_string_length(value) };
	digest_entries_hex(entries, count, hex);
	(void)snprintf(result->bootstrap_checksum, sizeof(result->bootstrap_checksum), "%.32s", hex);
	free(entries);
}

static int apply_one(const struct cluster_target *target, const json_t *object, struct cluster_result *result, struct cancel *cancel,
                     struct error *err)
{
	const struct kube_resource *resource = kube_resource_of(object);
	struct kube_cache *cache = cache_of(target, object);

	if (!resource)
		return error_set(err, ERROR_BUG, "unknown kind");
	if (!cache)
		return apply_remembered(target, resource, object, NULL, result, cancel, err);
	JSON_CLEANUP json_t *live = apply_watched(target, resource, cache, object, result, cancel, err);

	if (!live)
		return -1;
	if (cache == target->cluster_info)
		record_checksum(result, live);
	return 0;
}

static int apply_all(const struct cluster_target *target, const json_t *objects, struct cluster_result *result, struct cancel *cancel,
                     struct error *err)
{
	size_t index;
	json_t *object;

	json_array_foreach(objects, index, object) {
		if (apply_one(target, object, result, cancel, err) < 0) {
			FREE_CLEANUP char *key = object_key(object);

			return error_wrap(err, "%s", key);
		}
	}
	return 0;
}

typedef int (*add_on_builder)(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err);

/* The owner first: its UID stands in the others. */
static int apply_add_on(const struct cluster_target *target, const struct cluster_inputs *inputs, add_on_builder build, char uid[64],
                        struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	if (*uid == '\0') {
		JSON_CLEANUP json_t *owner = json_array();
		JSON_CLEANUP json_t *stored = NULL;

		if (build(inputs, NULL, owner, err) < 0)
			return -1;
		if (apply_remembered(target, kube_resource_of(json_array_get(owner, 0)), json_array_get(owner, 0), &stored, result, cancel,
		                     err) < 0)
			return error_wrap(err, "%s", json_string_or(json_array_get(owner, 0), "metadata.name", ""));
		(void)snprintf(uid, 64, "%s", json_string_or(stored, "metadata.uid", ""));
	}
	JSON_CLEANUP json_t *objects = json_array();

	if (build(inputs, uid, objects, err) < 0)
		return -1;
	return apply_all(target, objects, result, cancel, err);
}

static bool is_enabled(const struct cluster_inputs *inputs, const char *path)
{
	return json_boolean_or(inputs->tenant->status, path, false);
}

/* One that is wanted is applied; one that the status still calls enabled is taken away, and what was applied of it forgotten. */
static int apply_add_ons(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                         struct cancel *cancel, struct error *err)
{
	struct cluster_applied *applied = target->applied;
	unsigned removed = 0;

	result->core_dns_enabled = inputs->tenant->core_dns != NULL;
	result->kube_proxy_enabled = inputs->tenant->kube_proxy != NULL;
	if (result->core_dns_enabled) {
		if (apply_add_on(target, inputs, cluster_build_core_dns, applied->core_dns_uid, result, cancel, err) < 0)
			return error_wrap(err, "CoreDNS");
	} else if (is_enabled(inputs, "addons.coreDNS.enabled") && cluster_remove_core_dns(target->client, &removed, cancel, err) < 0) {
		return error_wrap(err, "CoreDNS");
	}
	if (result->kube_proxy_enabled) {
		if (apply_add_on(target, inputs, cluster_build_kube_proxy, applied->kube_proxy_uid, result, cancel, err) < 0)
			return error_wrap(err, "kube-proxy");
	} else if (is_enabled(inputs, "addons.kubeProxy.enabled") && cluster_remove_kube_proxy(target->client, &removed, cancel, err) < 0) {
		return error_wrap(err, "kube-proxy");
	}
	if (removed > 0)
		cluster_applied_free(applied);
	result->writes += removed;
	return 0;
}

int cluster_reconcile_access(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                             struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *objects = json_array();

	if (cluster_build_bootstrap_rbac(inputs, objects, err) < 0)
		return -1;
	return apply_all(target, objects, result, cancel, err);
}

int cluster_reconcile(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                      struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *objects = json_array();

	if (cluster_build_kubeadm_config(inputs, objects, err) < 0 || cluster_build_kubelet_config(inputs, objects, err) < 0 ||
	    cluster_build_cluster_info(inputs, objects, err) < 0)
		return -1;
	if (apply_all(target, objects, result, cancel, err) < 0)
		return -1;
	return apply_add_ons(target, inputs, result, cancel, err);
}
