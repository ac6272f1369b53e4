/* SPDX-License-Identifier: Apache-2.0 */
/* Takes an add-on away that the spec does not want any more. */
#include "api/names.h"
#include "base/strings.h"
#include "cluster/cluster_objects.h"
#include "kube/client.h"

struct part {
	const struct kube_resource *resource;
	const char *namespace_name, *name;
};

static bool is_ours(const json_t *object)
{
	const json_t *labels = json_at(object, "metadata.labels");

	return string_equal(json_string_value(json_object_get(labels, LABEL_PROJECT)), LABEL_PROJECT_VALUE);
}

/* What somebody else installed under the same name stays. */
static int remove_part(struct kube_client *client, const struct part *part, unsigned *removed, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *object = kube_client_get(client, part->resource, part->namespace_name, part->name, cancel, err);

	if (!object && err->class != ERROR_NOT_FOUND)
		return -1;
	error_clear(err);
	if (!object || !is_ours(object))
		return 0;
	const struct kube_delete_options options = { .uid = json_string_at(object, "metadata.uid") };

	if (kube_client_delete(client, part->resource, part->namespace_name, part->name, &options, cancel, err) < 0 &&
	    err->class != ERROR_NOT_FOUND)
		return -1;
	error_clear(err);
	(*removed)++;
	return 0;
}

static int remove_parts(struct kube_client *client, const struct part *parts, size_t count, unsigned *removed, struct cancel *cancel,
                        struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (remove_part(client, &parts[i], removed, cancel, err) < 0)
			return error_wrap(err, "remove %s %s", parts[i].resource->kind, parts[i].name);
	}
	return 0;
}

int cluster_remove_core_dns(struct kube_client *client, unsigned *removed, struct cancel *cancel, struct error *err)
{
	const struct part parts[] = {
		{ &kube_resource_service_account, "kube-system", "coredns" },
		{ &kube_resource_cluster_role_binding, NULL, "system:coredns" },
		{ &kube_resource_cluster_role, NULL, "system:coredns" },
		{ &kube_resource_service, "kube-system", "kube-dns" },
		{ &kube_resource_config_map, "kube-system", "coredns" },
		{ &kube_resource_deployment, "kube-system", "coredns" },
	};

	return remove_parts(client, parts, ARRAY_LENGTH(parts), removed, cancel, err);
}

int cluster_remove_kube_proxy(struct kube_client *client, unsigned *removed, struct cancel *cancel, struct error *err)
{
	const struct part parts[] = {
		{ &kube_resource_service_account, "kube-system", "kube-proxy" },
		{ &kube_resource_cluster_role_binding, NULL, "kubeadm:node-proxier" },
		{ &kube_resource_role, "kube-system", "kube-proxy" },
		{ &kube_resource_role_binding, "kube-system", "kube-proxy" },
		{ &kube_resource_config_map, "kube-system", "kube-proxy" },
		{ &kube_resource_daemon_set, "kube-system", "kube-proxy" },
	};

	return remove_parts(client, parts, ARRAY_LENGTH(parts), removed, cancel, err);
}
