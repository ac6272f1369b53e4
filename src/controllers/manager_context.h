/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controllers share: the loop, the admin cluster's client, the caches and the queues' wiring. Made by manager.c, lives longer than
 * every controller. All members but the atomic one are set before the first controller starts and do not
 * change afterwards.
 *
 * Caches and what they hold (bytes, not trees):
 *   tenants       TenantControlPlane, all namespaces, whole
 *   data_stores   DataStore, whole
 *   secrets       label kamaji.clastix.io/project=kamaji: metadata, type, resourceVersion, a digest of data, and the not-after dates of
 *                 the certificates in it. Never a value: a reconcile that needs bytes reads the Secret itself
 *   references    all other Secrets: name, uid and version alone. For those that a DataStore names or that bear a tenant's names
 *   config_maps, deployments, services, ingresses, routes   label kamaji.clastix.io/project=kamaji, whole
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "controllers/manager_options.h"
#include "io/cancel.h"

struct heap_trim;
struct loop;
struct string_list;
struct thread_pool;
struct kube_client;
struct kube_cache;
struct kube_entry;
struct event_recorder;
struct kube_applier;
struct datastore_pool;
struct data_store_credentials;
struct issuer;
struct tenant_controller;
struct data_store_controller;
struct cluster_controller;

struct manager_context {
	const struct manager_options *options;
	struct loop *loop;            /* drives every connection and watch */
	struct heap_trim *heap;       /* gives back what reconciles freed */
	struct thread_pool *requests; /* runs the independent writes of one reconcile side by side */
	struct issuer *issuer;        /* keys made in advance */
	struct kube_client *client;   /* admin cluster */
	struct kube_applier *applier;
	struct datastore_pool *data_store_pool;
	struct data_store_credentials *credentials;
	struct event_recorder *events; /* NULL until leading */
	struct cancel *stop;           /* triggered when reconciles under way must end */
	struct kube_cache *tenants, *data_stores, *secrets, *references, *config_maps, *deployments, *services, *ingresses;
	struct kube_cache *routes;          /* NULL when the Gateway API is not served */
	struct kube_cache *gateways;        /* likewise; listeners and whether they are programmed */
	bool started;                       /* the controllers' workers run (manager.c only) */
	atomic_bool conditions_unsupported; /* the CRD installed prunes status.conditions of tenants */
	struct tenant_controller *tenant_controller;
	struct data_store_controller *data_store_controller;
	struct cluster_controller *cluster_controller;
};

/* Index names of the caches. */
#define INDEX_TENANT "tenant"         /* "namespace/name" of the tenant an object belongs to, by its labels */
#define INDEX_DATA_STORE "data-store" /* of tenants: DataStores that spec or status name; "" never */
#define INDEX_STORAGE "storage"       /* of tenants: the DataStores that hold data of theirs */
#define INDEX_GATEWAY "gateway"       /* of tenants: "namespace/name" of the Gateways that its parentRefs name */
#define INDEX_SERVED "served"         /* of Deployments: "namespace/name" of the tenant, when a replica is wanted and ready */
#define INDEX_SECRET "secret"         /* of DataStores: "namespace/name" of the Secrets they refer to */

/* Makes every cache, not started. gateway: those of routes and Gateways too. Indexes need context->options. */
void manager_context_make_caches(struct manager_context *context, bool gateway);
/* Whether TLSRoutes and Gateways of gateway.networking.k8s.io/v1 are served: one without the other is of no use. */
int manager_context_gateway_served(struct kube_client *client, bool *served, struct cancel *cancel, struct error *err);
/* The Secret from whichever of the two caches holds it (only uid and version are sure to be there): a reference, or NULL. */
struct kube_entry *manager_context_secret(const struct manager_context *context, const char *key);
void manager_context_start_caches(struct manager_context *context);
/* Waits until all are filled; an error names the resource and why. */
int manager_context_wait_caches(struct manager_context *context, struct cancel *cancel, struct error *err);
void manager_context_free_caches(struct manager_context *context);

/* Adds the DataStores that hold data of the tenant, each once: where status says it is, and with that those of the overrides. */
void manager_context_add_stores(const json_t *tenant, struct string_list *names);
/* "namespace/name" of the tenant that an object with our labels belongs to (free()), or NULL. */
char *manager_context_tenant_key(const json_t *object);
