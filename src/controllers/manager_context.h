/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controllers share: the loop, the admin cluster's client, the caches and the queues' wiring. Made by manager.c, lives longer than
 * every controller. All members are set before the first controller starts and do not change afterwards.
 *
 * Caches and what they hold (bytes, not trees):
 *   tenants       TenantControlPlane, all namespaces, whole
 *   data_stores   DataStore, whole
 *   secrets       label kamaji.clastix.io/project=kamaji: metadata, type, resourceVersion, a digest of data, and the not-after dates of
 *                 the certificates in it. Never a value: a reconcile that needs bytes reads the Secret itself
 *   references    all Secrets as metadata only, kept for those that a DataStore names
 *   config_maps, deployments, services   label kamaji.clastix.io/project=kamaji, whole
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "controllers/manager_options.h"
#include "io/cancel.h"

struct loop;
struct thread_pool;
struct kube_client;
struct kube_cache;
struct event_recorder;
struct tenant_controller;
struct data_store_controller;
struct cluster_controller;

struct manager_context {
	const struct manager_options *options;
	struct loop *loop;                /* drives every connection and watch */
	struct thread_pool *crypto;       /* key generation and signatures */
	struct kube_client *client;       /* admin cluster */
	struct event_recorder *events;
	struct cancel *stop;              /* triggered when reconciles under way must end */
	struct kube_cache *tenants, *data_stores, *secrets, *references, *config_maps, *deployments, *services;
	struct tenant_controller *tenant_controller;
	struct data_store_controller *data_store_controller;
	struct cluster_controller *cluster_controller;
};

/* Parsed copy of what the cache holds (new reference), NULL when absent. Any thread. key is "namespace/name" or "name". */
json_t *manager_context_tenant(const struct manager_context *context, const char *key);
json_t *manager_context_data_store(const struct manager_context *context, const char *name);
