/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API resources that this program touches, and the paths they live at. The table is constant; a client needs no discovery to build a
 * URL. Whether an optional resource is served at all is asked with kube_client_serves() (client.h).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct kube_resource {
	const char *group;   /* "" for the core group */
	const char *version; /* "v1" */
	const char *plural;  /* the path element: "configmaps" */
	const char *kind;    /* "ConfigMap" */
	bool namespaced;
};

/* Our own kinds. */
extern const struct kube_resource kube_resource_tenant_control_plane; /* kamaji.clastix.io/v1alpha1 */
extern const struct kube_resource kube_resource_data_store;           /* cluster-scoped */
extern const struct kube_resource kube_resource_kubeconfig_generator; /* cluster-scoped */
/* Core. */
extern const struct kube_resource kube_resource_config_map;
extern const struct kube_resource kube_resource_endpoints;
extern const struct kube_resource kube_resource_event; /* core/v1 */
extern const struct kube_resource kube_resource_namespace;
extern const struct kube_resource kube_resource_node;
extern const struct kube_resource kube_resource_persistent_volume;
extern const struct kube_resource kube_resource_persistent_volume_claim;
extern const struct kube_resource kube_resource_pod;
extern const struct kube_resource kube_resource_secret;
extern const struct kube_resource kube_resource_service;
extern const struct kube_resource kube_resource_service_account;
/* Workloads. */
extern const struct kube_resource kube_resource_daemon_set;
extern const struct kube_resource kube_resource_deployment;
extern const struct kube_resource kube_resource_replica_set;
extern const struct kube_resource kube_resource_stateful_set;
extern const struct kube_resource kube_resource_job;
/* Network. */
extern const struct kube_resource kube_resource_endpoint_slice;
extern const struct kube_resource kube_resource_gateway;
extern const struct kube_resource kube_resource_grpc_route;
extern const struct kube_resource kube_resource_http_route;
extern const struct kube_resource kube_resource_ingress;
extern const struct kube_resource kube_resource_tls_route;          /* gateway.networking.k8s.io/v1 */
extern const struct kube_resource kube_resource_tls_route_v1alpha2; /* where only the experimental channel is installed */
/* Access. */
extern const struct kube_resource kube_resource_cluster_role;
extern const struct kube_resource kube_resource_cluster_role_binding;
extern const struct kube_resource kube_resource_role;
extern const struct kube_resource kube_resource_role_binding;
extern const struct kube_resource kube_resource_certificate_signing_request;
/* Machinery. */
extern const struct kube_resource kube_resource_api_service;
extern const struct kube_resource kube_resource_custom_resource_definition;
extern const struct kube_resource kube_resource_events_event; /* events.k8s.io/v1 */
extern const struct kube_resource kube_resource_lease;
extern const struct kube_resource kube_resource_mutating_webhook_configuration;
extern const struct kube_resource kube_resource_storage_class;
extern const struct kube_resource kube_resource_validating_webhook_configuration;

/* The entry of the table for "apps/v1" and "Deployment", or NULL. */
const struct kube_resource *kube_resource_find(const char *api_version, const char *kind);
/* The same for an object's apiVersion and kind, or NULL. */
const struct kube_resource *kube_resource_of(const json_t *object);

/* "v1" or "apps/v1". The buffer holds 128 bytes at least. Returns text. */
const char *kube_resource_api_version(const struct kube_resource *resource, char *text, size_t size);

/*
 * "/apis/apps/v1/namespaces/NAMESPACE/deployments/NAME/status" (free()). namespace NULL or "": all namespaces, or cluster-scoped; it is
 * left out for cluster-scoped resources. name and subresource may be NULL. Elements are percent-encoded, so no name can climb out of its
 * place; there is no length limit and nothing is ever cut.
 */
char *kube_resource_path(const struct kube_resource *resource, const char *namespace, const char *name, const char *subresource);
/* Appends "?key=value" or "&key=value", value percent-encoded; consumes and returns the (re)allocated path. value NULL: unchanged. */
char *kube_path_add_query(char *path, const char *key, const char *value);

/* "namespace/name", or "name" when namespace is NULL or "" (free()). */
char *kube_key(const char *namespace, const char *name);
/* Splits a key; *namespace is "" for cluster-scoped ones. Both are free()d by the caller. */
void kube_key_split(const char *key, char **namespace, char **name);
