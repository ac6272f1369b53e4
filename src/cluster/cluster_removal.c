/* SPDX-License-Identifier: Apache-2.0 */
/* Takes away what the spec does not want any more. The watches say what is there, so nothing to remove means no request. */
#include "api/names.h"
#include "base/strings.h"
#include "cluster/cluster_objects.h"
#include "cluster/cluster_reconcile.h"
#include "kube/cache.h"
#include "kube/client.h"

struct part {
	const struct kube_resource *resource;
	const char *namespace_name, *name;
};

static bool has_our_label(const json_t *object)
{
	const json_t *labels = json_at(object, "metadata.labels");

	return string_equal(json_string_value(json_object_get(labels, LABEL_PROJECT)), LABEL_PROJECT_VALUE);
}

/* The uid goes along: an object that somebody has put in its place meanwhile is another one, and stays. */
static int remove_entry(const struct cluster_target *target, const struct part *part, struct kube_cache *cache,
                        const struct kube_entry *entry, unsigned *removed, struct cancel *cancel, struct error *err)
{
	bool completed = false;
	const struct kube_delete_options options = { .uid = entry->uid, .completed = &completed };

	if (kube_client_delete(target->client, part->resource, part->namespace_name, part->name, &options, cancel, err) < 0) {
		if (err->class != ERROR_NOT_FOUND && err->class != ERROR_CONFLICT)
			return error_wrap(err, "remove %s %s", part->resource->kind, part->name);
		error_clear(err);
		return 0;
	}
	if (completed)
		(void)kube_cache_observe_deleted(cache, entry);
	(*removed)++;
	return 0;
}

static int remove_part(const struct cluster_target *target, const struct part *part, unsigned *removed, struct cancel *cancel,
                       struct error *err)
{
	struct kube_cache *cache = cluster_watches_of(target->watches, part->resource, part->namespace_name, part->name);
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = cache ? kube_cache_get(cache, part->namespace_name, part->name) : NULL;
	JSON_CLEANUP json_t *object = entry ? kube_entry_parse(entry) : NULL;

	if (!object || !has_our_label(object) || json_at(object, "metadata.deletionTimestamp"))
		return 0;
	return remove_entry(target, part, cache, entry, removed, cancel, err);
}

static int remove_parts(const struct cluster_target *target, const struct part *parts, size_t count, unsigned *removed,
                        struct cancel *cancel, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (remove_part(target, &parts[i], removed, cancel, err) < 0)
			return -1;
	}
	return 0;
}

int cluster_remove_core_dns(const struct cluster_target *target, unsigned *removed, struct cancel *cancel, struct error *err)
{
	const struct part parts[] = {
		{ &kube_resource_service_account, "kube-system", "coredns" },
		{ &kube_resource_cluster_role_binding, NULL, "system:coredns" },
		{ &kube_resource_cluster_role, NULL, "system:coredns" },
		{ &kube_resource_service, "kube-system", "kube-dns" },
		{ &kube_resource_config_map, "kube-system", "coredns" },
		{ &kube_resource_deployment, "kube-system", "coredns" },
	};

	return remove_parts(target, parts, ARRAY_LENGTH(parts), removed, cancel, err);
}

int cluster_remove_kube_proxy(const struct cluster_target *target, unsigned *removed, struct cancel *cancel, struct error *err)
{
	const struct part parts[] = {
		{ &kube_resource_service_account, "kube-system", "kube-proxy" },
		{ &kube_resource_cluster_role_binding, NULL, "kubeadm:node-proxier" },
		{ &kube_resource_role, "kube-system", "kube-proxy" },
		{ &kube_resource_role_binding, "kube-system", "kube-proxy" },
		{ &kube_resource_config_map, "kube-system", "kube-proxy" },
		{ &kube_resource_daemon_set, "kube-system", "kube-proxy" },
	};

	return remove_parts(target, parts, ARRAY_LENGTH(parts), removed, cancel, err);
}

int cluster_remove_konnectivity(const struct cluster_target *target, const char *mode, unsigned *removed, struct cancel *cancel,
                                struct error *err)
{
	const struct part daemon_set = { &kube_resource_daemon_set, "kube-system", "konnectivity-agent" };
	const struct part deployment = { &kube_resource_deployment, "kube-system", "konnectivity-agent" };
	const struct part access[] = {
		{ &kube_resource_service_account, "kube-system", "konnectivity-agent" },
		{ &kube_resource_cluster_role_binding, NULL, "system:konnectivity-server" },
	};

	if (!string_equal(mode, "DaemonSet") && remove_part(target, &daemon_set, removed, cancel, err) < 0)
		return -1;
	if (!string_equal(mode, "Deployment") && remove_part(target, &deployment, removed, cancel, err) < 0)
		return -1;
	return mode ? 0 : remove_parts(target, access, ARRAY_LENGTH(access), removed, cancel, err);
}

/* It has no label of ours, as upstream's has none; its first webhook's name says whose it is. */
int cluster_remove_write_guard(const struct cluster_target *target, unsigned *removed, struct cancel *cancel, struct error *err)
{
	const struct part part = { &kube_resource_validating_webhook_configuration, NULL, CLUSTER_WRITE_GUARD };
	struct kube_cache *cache = cluster_watches_of(target->watches, part.resource, NULL, part.name);
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get(cache, NULL, part.name);
	JSON_CLEANUP json_t *object = entry ? kube_entry_parse(entry) : NULL;

	if (!object || !string_has_suffix(json_string_or(object, "webhooks[0].name", ""), "." CLUSTER_WRITE_GUARD_DOMAIN))
		return 0;
	return remove_entry(target, &part, cache, entry, removed, cancel, err);
}

/* addressType cannot be changed (validation of discovery.k8s.io/v1): a slice of the other family makes way for the one that is wanted. */
int cluster_remove_unfit_own_endpoint(const struct cluster_target *target, const json_t *wanted, unsigned *removed, struct cancel *cancel,
                                      struct error *err)
{
	const struct part part = { &kube_resource_endpoint_slice, "default", CLUSTER_OWN_ENDPOINT };
	struct kube_cache *cache = cluster_watches_of(target->watches, part.resource, part.namespace_name, part.name);
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get(cache, part.namespace_name, part.name);
	JSON_CLEANUP json_t *object = entry ? kube_entry_parse(entry) : NULL;

	if (!object || (wanted && string_equal(json_string_at(wanted, "addressType"), json_string_at(object, "addressType"))))
		return 0;
	if (!wanted && !cluster_is_own_endpoint(object))
		return 0;
	return remove_entry(target, &part, cache, entry, removed, cancel, err);
}
