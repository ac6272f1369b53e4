/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster_reconcile.h"

#include <stdio.h>
#include <string.h>

#include "base/strings.h"
#include "cluster/cluster_objects.h"
#include "kube/apply.h"
#include "kube/cache.h"

static const char *name_of(const json_t *object)
{
	return json_string_or(object, "metadata.name", "");
}

/* kubeadm leaves an existing binding of its administrators alone, and so do we. */
static bool is_create_only(const json_t *object)
{
	return string_equal(name_of(object), "kubeadm:cluster-admins");
}

static int create_once(const struct cluster_target *target, struct kube_cache *cache, const struct kube_resource *resource,
                       const json_t *object, struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get(cache, NULL, name_of(object));

	if (entry)
		return 0;
	JSON_CLEANUP json_t *stored = kube_client_create(target->client, resource, object, NULL, cancel, err);

	if (!stored && err->class != ERROR_EXISTS)
		return -1;
	error_clear(err);
	if (stored) {
		(void)kube_cache_observe(cache, NULL, stored);
		result->writes++;
	}
	return 0;
}

static int apply_different(const struct cluster_target *target, struct kube_cache *cache, const struct kube_resource *resource,
                           const json_t *object, struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	const struct kube_apply_request request = { .client = target->client, .resource = resource, .desired = object, .cache = cache };
	KUBE_APPLY_RESULT_CLEANUP struct kube_apply_result applied = { 0 };

	if (kube_apply_if_different(target->applier, &request, &applied, cancel, err) < 0)
		return -1;
	result->writes += applied.wrote;
	return 0;
}

static int apply_one(const struct cluster_target *target, const json_t *object, struct cluster_result *result, struct cancel *cancel,
                     struct error *err)
{
	const struct kube_resource *resource = kube_resource_of(object);
	struct kube_cache *cache =
		resource ? cluster_watches_of(target->watches, resource, json_string_at(object, "metadata.namespace"), name_of(object))
			 : NULL;

	if (!cache)
		return error_set(err, ERROR_BUG, "no watch covers it");
	return is_create_only(object) ? create_once(target, cache, resource, object, result, cancel, err)
	                              : apply_different(target, cache, resource, object, result, cancel, err);
}

static int apply_all(const struct cluster_target *target, const json_t *objects, struct cluster_result *result, struct cancel *cancel,
                     struct error *err)
{
	size_t index;
	json_t *object;

	json_array_foreach(objects, index, object) {
		if (apply_one(target, object, result, cancel, err) < 0)
			return error_wrap(err, "%s %s", json_string_or(object, "kind", ""), name_of(object));
	}
	return 0;
}

typedef int (*add_on_builder)(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err);

/* The owner first: its UID stands in the others. */
static int apply_owned_add_on(const struct cluster_target *target, const struct cluster_inputs *inputs, add_on_builder build,
                              struct cluster_result *result, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *owner = json_array();
	JSON_CLEANUP json_t *objects = json_array();

	if (build(inputs, NULL, owner, err) < 0 || apply_all(target, owner, result, cancel, err) < 0)
		return -1;
	const char *name = name_of(json_array_get(owner, 0));
	struct kube_cache *cache = cluster_watches_of(target->watches, kube_resource_of(json_array_get(owner, 0)), NULL, name);
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get(cache, NULL, name);

	if (!entry)
		return error_set(err, ERROR_CONFLICT, "%s vanished while it was looked at", name);
	if (build(inputs, entry->uid, objects, err) < 0)
		return -1;
	return apply_all(target, objects, result, cancel, err);
}

static int apply_konnectivity(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                              struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *objects = json_array();

	if (inputs->tenant->konnectivity)
		result->konnectivity_mode = cluster_konnectivity_mode(inputs->tenant);
	if (cluster_build_konnectivity_agent(inputs, objects, err) < 0 || apply_all(target, objects, result, cancel, err) < 0)
		return -1;
	return cluster_remove_konnectivity(target, result->konnectivity_mode, &result->removals, cancel, err);
}

static int apply_add_ons(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                         struct cancel *cancel, struct error *err)
{
	int status;

	result->core_dns_enabled = inputs->tenant->core_dns != NULL;
	result->kube_proxy_enabled = inputs->tenant->kube_proxy != NULL;
	status = result->core_dns_enabled ? apply_owned_add_on(target, inputs, cluster_build_core_dns, result, cancel, err)
	                                  : cluster_remove_core_dns(target, &result->removals, cancel, err);
	if (status < 0)
		return error_wrap(err, "CoreDNS");
	status = result->kube_proxy_enabled ? apply_owned_add_on(target, inputs, cluster_build_kube_proxy, result, cancel, err)
	                                    : cluster_remove_kube_proxy(target, &result->removals, cancel, err);
	if (status < 0)
		return error_wrap(err, "kube-proxy");
	if (apply_konnectivity(target, inputs, result, cancel, err) < 0)
		return error_wrap(err, "konnectivity");
	return 0;
}

static int apply_guard(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                       struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *objects = json_array();

	if (cluster_build_write_guard(inputs, objects, err) < 0)
		return -1;
	return apply_all(target, objects, result, cancel, err);
}

static int apply_own_endpoint(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                              struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *objects = json_array();

	if (cluster_build_own_endpoint(inputs, objects, err) < 0 ||
	    cluster_remove_unfit_own_endpoint(target, json_array_get(objects, 0), &result->removals, cancel, err) < 0)
		return -1;
	return apply_all(target, objects, result, cancel, err);
}

static void record_checksum(const struct cluster_target *target, struct cluster_result *result)
{
	struct kube_cache *cache = cluster_watches_of(target->watches, &kube_resource_config_map, "kube-public", "cluster-info");
	JSON_CLEANUP json_t *entry = kube_cache_get_json(cache, "kube-public", "cluster-info");

	(void)snprintf(result->bootstrap_checksum, sizeof(result->bootstrap_checksum), "%s",
	               json_string_or(entry, CLUSTER_CHECKSUM_MEMBER, ""));
}

static int reconcile_seen(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                          struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *objects = json_array();

	/* The rights of people and nodes are first in the list: until they are there the admin kubeconfig may do nothing. */
	if (cluster_build_bootstrap_rbac(inputs, objects, err) < 0 || cluster_build_kubeadm_config(inputs, objects, err) < 0 ||
	    cluster_build_kubelet_config(inputs, objects, err) < 0 || cluster_build_cluster_info(inputs, objects, err) < 0)
		return -1;
	/* A guard that left the spec goes before anything it would deny. */
	if (!inputs->tenant->write_limited && cluster_remove_write_guard(target, &result->removals, cancel, err) < 0)
		return -1;
	if (apply_all(target, objects, result, cancel, err) < 0 || apply_own_endpoint(target, inputs, result, cancel, err) < 0)
		return -1;
	record_checksum(target, result);
	if (apply_add_ons(target, inputs, result, cancel, err) < 0)
		return -1;
	return apply_guard(target, inputs, result, cancel, err);
}

int cluster_reconcile(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                      struct cancel *cancel, struct error *err)
{
	struct kube_cache *services = cluster_watches_of(target->watches, &kube_resource_service, "kube-system", "kube-dns");
	JSON_CLEANUP json_t *dns = kube_cache_get_json(services, "kube-system", "kube-dns");
	struct cluster_inputs seen = *inputs;

	seen.dns_address = json_string_at(dns, "spec.clusterIP");
	return reconcile_seen(target, &seen, result, cancel, err);
}
