/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/resource.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/strings.h"

/* One row per resource: constant, group, version, plural, kind, namespaced. */
#define KUBE_RESOURCES(ROW) \
	ROW(tenant_control_plane, "kamaji.clastix.io", "v1alpha1", "tenantcontrolplanes", "TenantControlPlane", true) \
	ROW(data_store, "kamaji.clastix.io", "v1alpha1", "datastores", "DataStore", false) \
	ROW(kubeconfig_generator, "kamaji.clastix.io", "v1alpha1", "kubeconfiggenerators", "KubeconfigGenerator", false) \
	ROW(config_map, "", "v1", "configmaps", "ConfigMap", true) \
	ROW(endpoints, "", "v1", "endpoints", "Endpoints", true) \
	ROW(event, "", "v1", "events", "Event", true) \
	ROW(namespace, "", "v1", "namespaces", "Namespace", false) \
	ROW(node, "", "v1", "nodes", "Node", false) \
	ROW(persistent_volume, "", "v1", "persistentvolumes", "PersistentVolume", false) \
	ROW(persistent_volume_claim, "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true) \
	ROW(pod, "", "v1", "pods", "Pod", true) \
	ROW(secret, "", "v1", "secrets", "Secret", true) \
	ROW(service, "", "v1", "services", "Service", true) \
	ROW(service_account, "", "v1", "serviceaccounts", "ServiceAccount", true) \
	ROW(daemon_set, "apps", "v1", "daemonsets", "DaemonSet", true) \
	ROW(deployment, "apps", "v1", "deployments", "Deployment", true) \
	ROW(replica_set, "apps", "v1", "replicasets", "ReplicaSet", true) \
	ROW(stateful_set, "apps", "v1", "statefulsets", "StatefulSet", true) \
	ROW(job, "batch", "v1", "jobs", "Job", true) \
	ROW(endpoint_slice, "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true) \
	ROW(gateway, "gateway.networking.k8s.io", "v1", "gateways", "Gateway", true) \
	ROW(grpc_route, "gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute", true) \
	ROW(http_route, "gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", true) \
	ROW(ingress, "networking.k8s.io", "v1", "ingresses", "Ingress", true) \
	ROW(tls_route, "gateway.networking.k8s.io", "v1", "tlsroutes", "TLSRoute", true) \
	ROW(tls_route_v1alpha2, "gateway.networking.k8s.io", "v1alpha2", "tlsroutes", "TLSRoute", true) \
	ROW(cluster_role, "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false) \
	ROW(cluster_role_binding, "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false) \
	ROW(role, "rbac.authorization.k8s.io", "v1", "roles", "Role", true) \
	ROW(role_binding, "rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true) \
	ROW(certificate_signing_request, "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", false) \
	ROW(api_service, "apiregistration.k8s.io", "v1", "apiservices", "APIService", false) \
	ROW(custom_resource_definition, "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false) \
	ROW(events_event, "events.k8s.io", "v1", "events", "Event", true) \
	ROW(lease, "coordination.k8s.io", "v1", "leases", "Lease", true) \
	ROW(mutating_webhook_configuration, "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", \
	    "MutatingWebhookConfiguration", false) \
	ROW(storage_class, "storage.k8s.io", "v1", "storageclasses", "StorageClass", false) \
	ROW(validating_webhook_configuration, "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", \
	    "ValidatingWebhookConfiguration", false)

#define DEFINE(constant, group_, version_, plural_, kind_, namespaced_) \
	const struct kube_resource kube_resource_##constant = { \
		.group = group_, .version = version_, .plural = plural_, .kind = kind_, .namespaced = namespaced_ \
	};
KUBE_RESOURCES(DEFINE)
#undef DEFINE

#define ADDRESS(constant, ...) &kube_resource_##constant,
static const struct kube_resource *const all_resources[] = { KUBE_RESOURCES(ADDRESS) };
#undef ADDRESS

const struct kube_resource *kube_resource_find(const char *api_version, const char *kind)
{
	char text[128];

	if (api_version == NULL || kind == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LENGTH(all_resources); i++)
		if (string_equal(all_resources[i]->kind, kind) &&
		    string_equal(kube_resource_api_version(all_resources[i], text, sizeof(text)), api_version))
			return all_resources[i];
	return NULL;
}

const struct kube_resource *kube_resource_of(const json_t *object)
{
	return kube_resource_find(json_string_at(object, "apiVersion"), json_string_at(object, "kind"));
}

const char *kube_resource_api_version(const struct kube_resource *resource, char *text, size_t size)
{
	(void)snprintf(text, size, "%s%s%s", resource->group, resource->group[0] != '\0' ? "/" : "", resource->version);
	return text;
}

static void append_encoded(struct buffer *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		if (isalnum(*p) || *p == '-' || *p == '_' || *p == '~' || *p == '.' || *p == ':')
			buffer_append_char(out, (char)*p);
		else
			buffer_printf(out, "%%%02X", *p);
	}
}

static void append_element(struct buffer *out, const char *text)
{
	buffer_append_char(out, '/');
	/* "." and ".." would be resolved by proxies on the way. */
	if (string_equal(text, ".") || string_equal(text, ".."))
		buffer_append_string(out, text[1] == '\0' ? "%2E" : "%2E%2E");
	else
		append_encoded(out, text);
}

char *kube_resource_path(const struct kube_resource *resource, const char *namespace, const char *name, const char *subresource)
{
	struct buffer out = { 0 };

	buffer_append_string(&out, resource->group[0] != '\0' ? "/apis" : "/api");
	if (resource->group[0] != '\0')
		append_element(&out, resource->group);
	append_element(&out, resource->version);
	if (resource->namespaced && !string_empty(namespace)) {
		buffer_append_string(&out, "/namespaces");
		append_element(&out, namespace);
	}
	append_element(&out, resource->plural);
	if (!string_empty(name)) {
		append_element(&out, name);
		if (!string_empty(subresource))
			append_element(&out, subresource);
	}
	return buffer_take(&out);
}

char *kube_path_add_query(char *path, const char *key, const char *value)
{
	struct buffer out = { 0 };

	if (value == NULL)
		return path;
	buffer_append_string(&out, path);
	buffer_append_char(&out, strchr(path, '?') == NULL ? '?' : '&');
	append_encoded(&out, key);
	buffer_append_char(&out, '=');
	append_encoded(&out, value);
	free(path);
	return buffer_take(&out);
}

char *kube_key(const char *namespace, const char *name)
{
	return string_empty(namespace) ? string_dup(name) : string_printf("%s/%s", namespace, name);
}

void kube_key_split(const char *key, char **namespace, char **name)
{
	const char *slash = strchr(key, '/');

	*namespace = slash == NULL ? string_dup("") : string_ndup(key, (size_t)(slash - key));
	*name = string_dup(slash == NULL ? key : slash + 1);
}
