/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/tenant_digest.h"

#include <string.h>

static void add_value(struct string_list *lines, const char *what, const json_t *value)
{
	if (!value)
		return;
	JSON_CLEANUP json_t *wrapped = json_build("[O]", value);
	FREE_CLEANUP char *text = json_canonical(wrapped);

	string_list_printf(lines, "%s %s", what, text);
}

static void add_metadata(struct string_list *lines, const char *what, const json_t *object)
{
	static const char *const members[] = { "labels", "annotations", "ownerReferences", "finalizers", "deletionTimestamp", "uid" };
	const json_t *metadata = json_at(object, "metadata");

	for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
		FREE_CLEANUP char *name = string_printf("%s %s", what, members[i]);

		add_value(lines, name, json_object_get(metadata, members[i]));
	}
}

void tenant_digest_tenant(struct string_list *lines, const json_t *tenant)
{
	static const char *const paths[] = { "metadata.generation",       "status.storage",       "status.certificates",
		                             "status.kubeconfig",         "status.kubeadmconfig", "status.controlPlaneEndpoint",
		                             "status.addons.konnectivity" };

	add_metadata(lines, "tenant", tenant);
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
		add_value(lines, paths[i], json_at(tenant, paths[i]));
}

void tenant_digest_service(struct string_list *lines, const json_t *service)
{
	if (!service)
		return;
	add_metadata(lines, "service", service);
	add_value(lines, "service spec", json_at(service, "spec"));
	add_value(lines, "service address", json_at(service, "status.loadBalancer"));
}

/* As the cache holds it: its version moves with every route of anybody. */
void tenant_digest_gateway(struct string_list *lines, const json_t *gateway)
{
	add_value(lines, "gateway", json_at(gateway, "metadata.uid"));
	add_value(lines, "gateway listeners", json_at(gateway, "spec"));
	add_value(lines, "gateway state", json_at(gateway, "status"));
}

/* The Deployment controller writes its revision into an annotation, which says nothing new. */
void tenant_digest_deployment(struct string_list *lines, const json_t *deployment)
{
	if (!deployment)
		return;
	JSON_CLEANUP json_t *metadata = json_deep_copy(json_at(deployment, "metadata"));
	JSON_CLEANUP json_t *reduced = json_build("{s:O}", "metadata", metadata);

	(void)json_object_del(json_object_get(metadata, "annotations"), "deployment.kubernetes.io/revision");
	add_metadata(lines, "deployment", reduced);
	add_value(lines, "deployment generation", json_object_get(metadata, "generation"));
}

void tenant_digest_version(struct string_list *lines, const char *kind, const char *key, const char *uid, const char *resource_version)
{
	string_list_printf(lines, "%s %s %s %s", kind, key, uid, resource_version);
}

void tenant_digest_finish(struct string_list *lines, char hex[DIGEST_HEX_SIZE])
{
	string_list_sort(lines);
	FREE_CLEANUP char *text = string_list_join(lines, "\n");

	digest_hex(DIGEST_SHA256, text ? text : "", text ? strlen(text) : 0, hex);
}
