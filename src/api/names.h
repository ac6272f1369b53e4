/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every name that other programs read: groups, labels, annotations, finalizers, object names and Secret keys. They are the contract
 * with users, Cluster API providers and an operator that is switched over from upstream, so none may change.
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"

#define KAMAJI_GROUP "kamaji.clastix.io"
#define KAMAJI_API_VERSION "kamaji.clastix.io/v1alpha1"
#define KAMAJI_KIND_TENANT_CONTROL_PLANE "TenantControlPlane"
#define KAMAJI_KIND_DATA_STORE "DataStore"
#define KAMAJI_KIND_KUBECONFIG_GENERATOR "KubeconfigGenerator"
#define KAMAJI_FIELD_MANAGER "kamaji"

/* The highest tenant version admission accepts; only the minor counts (v1.36.9 passes, v1.37.0 does not). */
#define KAMAJI_SUPPORTED_KUBERNETES_VERSION "v1.36.0"

/* Labels of objects in the admin cluster. The component is the step's name (controlplane/steps.h). */
#define LABEL_PROJECT "kamaji.clastix.io/project"
#define LABEL_PROJECT_VALUE "kamaji"
#define LABEL_NAME "kamaji.clastix.io/name"
#define LABEL_COMPONENT "kamaji.clastix.io/component"
#define LABEL_CERTIFICATE_LIFECYCLE "kamaji.clastix.io/certificate_lifecycle_controller"
#define LABEL_CERTIFICATE_LIFECYCLE_X509 "x509"
#define LABEL_CERTIFICATE_LIFECYCLE_KUBECONFIG "kubeconfig"
#define LABEL_MANAGED_BY "kamaji.clastix.io/managed-by"   /* KubeconfigGenerator name, on generated Secrets */
#define LABEL_MANAGED_FOR "kamaji.clastix.io/managed-for" /* tenant name, on generated Secrets */
#define LABEL_JOB_TENANT_NAME "tcp.kamaji.clastix.io/name"
#define LABEL_JOB_TENANT_NAMESPACE "tcp.kamaji.clastix.io/namespace"
/* Labels of the pod template: MD5 of a Secret's data, so that new credentials restart the pods. */
#define LABEL_HASH_PREFIX "component.kamaji.clastix.io/"

#define ANNOTATION_PAUSED "kamaji.clastix.io/paused" /* presence counts, not the value */
#define ANNOTATION_CHECKSUM "kamaji.clastix.io/checksum"
#define ANNOTATION_ROTATE "certs.kamaji.clastix.io/rotate" /* "" asks for rotation; a time says when it happened */
#define ANNOTATION_API_SERVER_ARGUMENTS "kube-apiserver.kamaji.clastix.io/args"
#define ANNOTATION_STORAGE_CONFIG "storage.kamaji.clastix.io/config"
#define ANNOTATION_STORAGE_CERTIFICATE "storage.kamaji.clastix.io/certificate"
#define ANNOTATION_KUBECONFIG_SECRET_KEY "kamaji.clastix.io/kubeconfig-secret-key"
#define ANNOTATION_CLEANUP_PRIOR_MIGRATION "kamaji.clastix.io/cleanup-prior-migration"
#define ANNOTATION_MIGRATION_TIMEOUT "kamaji.clastix.io/migration-timeout"
/* Ours: which template profile a Deployment is rendered with; a Deployment without it is "upstream". Never on pods. */
#define ANNOTATION_TEMPLATE_PROFILE "kamaji.clastix.io/template-profile"

#define FINALIZER_TENANT "finalizer.kamaji.clastix.io"    /* the data store holds something of this tenant */
#define FINALIZER_SOOT "finalizer.kamaji.clastix.io/soot" /* upstream's tenant manager runs; ours only removes it */
#define FINALIZER_DATA_STORE_SECRET "finalizer.kamaji.clastix.io/datastore-secret"
#define FINALIZER_DATA_STORE "kamaji.clastix.io/TenantControlPlane" /* on DataStores */

#define LEASE_MANAGER "kamaji.clastix.io"
#define LEASE_KUBECONFIG_GENERATOR "kubeconfiggenerator.kamaji.clastix.io"

/* Secret and ConfigMap keys. */
#define KEY_CA_CERTIFICATE "ca.crt"
#define KEY_CA_PRIVATE_KEY "ca.key"
#define KEY_TLS_CERTIFICATE "tls.crt"
#define KEY_TLS_PRIVATE_KEY "tls.key"
#define KEY_FRONT_PROXY_CA_CERTIFICATE "front-proxy-ca.crt"
#define KEY_FRONT_PROXY_CA_PRIVATE_KEY "front-proxy-ca.key"
#define KEY_SERVICE_ACCOUNT_PUBLIC "sa.pub"
#define KEY_SERVICE_ACCOUNT_PRIVATE "sa.key"
#define KEY_API_SERVER_CERTIFICATE "apiserver.crt"
#define KEY_API_SERVER_PRIVATE_KEY "apiserver.key"
#define KEY_KUBELET_CLIENT_CERTIFICATE "apiserver-kubelet-client.crt"
#define KEY_KUBELET_CLIENT_PRIVATE_KEY "apiserver-kubelet-client.key"
#define KEY_FRONT_PROXY_CLIENT_CERTIFICATE "front-proxy-client.crt"
#define KEY_FRONT_PROXY_CLIENT_PRIVATE_KEY "front-proxy-client.key"
#define KEY_ADMIN_CONF "admin.conf"
#define KEY_ADMIN_SVC "admin.svc"
#define KEY_SUPER_ADMIN_CONF "super-admin.conf" /* what the operator itself uses, unless ANNOTATION_KUBECONFIG_SECRET_KEY says otherwise */
#define KEY_SUPER_ADMIN_SVC "super-admin.svc"
#define KEY_CONTROLLER_MANAGER_CONF "controller-manager.conf"
#define KEY_SCHEDULER_CONF "scheduler.conf"
#define KEY_KONNECTIVITY_CONF "konnectivity-server.conf"
#define KEY_SERVER_CERTIFICATE "server.crt"
#define KEY_SERVER_PRIVATE_KEY "server.key"
#define KEY_DB_CONNECTION_STRING "DB_CONNECTION_STRING"
#define KEY_DB_SCHEMA "DB_SCHEMA"
#define KEY_DB_USER "DB_USER"
#define KEY_DB_PASSWORD "DB_PASSWORD"
#define KEY_INIT_CONFIGURATION "InitConfiguration"
#define KEY_CLUSTER_CONFIGURATION "ClusterConfiguration"

/* What is appended to the tenant's name (names_object). The Service, Deployment, Ingress and main TLSRoute carry the name alone. */
#define SUFFIX_KUBEADM_CONFIG "-kubeadmconfig"
#define SUFFIX_CA "-ca"
#define SUFFIX_FRONT_PROXY_CA "-front-proxy-ca-certificate"
#define SUFFIX_SERVICE_ACCOUNT "-sa-certificate"
#define SUFFIX_API_SERVER_CERTIFICATE "-api-server-certificate"
#define SUFFIX_KUBELET_CLIENT_CERTIFICATE "-api-server-kubelet-client-certificate"
#define SUFFIX_FRONT_PROXY_CLIENT_CERTIFICATE "-front-proxy-client-certificate"
#define SUFFIX_ADMIN_KUBECONFIG "-admin-kubeconfig"
#define SUFFIX_CONTROLLER_MANAGER_KUBECONFIG "-controller-manager-kubeconfig"
#define SUFFIX_SCHEDULER_KUBECONFIG "-scheduler-kubeconfig"
#define SUFFIX_DATA_STORE_CONFIG "-datastore-config"
#define SUFFIX_DATA_STORE_CERTIFICATE "-datastore-certificate"
#define SUFFIX_KONNECTIVITY_EGRESS "-konnectivity-egress-selector-configuration"
#define SUFFIX_KONNECTIVITY_CERTIFICATE "-konnectivity-certificate"
#define SUFFIX_KONNECTIVITY_KUBECONFIG "-konnectivity-kubeconfig"
#define SUFFIX_KONNECTIVITY_ROUTE "-konnectivity"

/* Condition types and DataStore condition reasons. */
#define CONDITION_READY "Ready"         /* the tenant is what its spec asks for and serves; else the blocking step */
#define CONDITION_AVAILABLE "Available" /* at least one control-plane pod serves */
#define CONDITION_DATA_STORE_VALIDATION "kamaji.clastix.io/DataStoreValidation"
#define CONDITION_DATA_STORE_DELETION "kamaji.clastix.io/DataStoreAllowedDeletion"

/* The operator's webhooks, as the operator itself and tenants' API servers name them. */
#define WEBHOOK_SECRET "kamaji-webhook-server-cert" /* the serving certificate, in the operator's namespace */
#define ADMISSION_PATH_WRITE_PERMISSION "/write-permission"

/* "<tenant><suffix>". */
const char *names_object(struct arena *arena, const char *tenant, const char *suffix);
/* "<tenant>.<namespace>.svc": in every API server certificate, so it is the name to verify whatever address is dialled. */
const char *names_service_host(struct arena *arena, const char *tenant, const char *namespace);
/* "migrate-<uid>". */
const char *names_migration_job(struct arena *arena, const char *uid);
/* "kamaji.clastix.io/name=<tenant>", the value of status.kubernetesResources.deployment.selector. */
const char *names_selector(struct arena *arena, const char *tenant);
