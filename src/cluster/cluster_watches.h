/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is ours inside one tenant cluster, kept by watches on the tenant's one connection: a watch per kind and namespace, narrowed by
 * label or field so that a busy tenant costs no more than an idle one. RBAC objects carry no label of ours (kubeadm's do not); there the
 * selector leaves out what the API server makes itself, and of the rest only our names are held. Deployments and DaemonSets report every
 * pod in their status: such events end here.
 *
 * Entries hold what drift is told by and nothing else: no status, of labels, annotations and data only what our field manager owns. Any
 * value of ours that somebody changes or removes leaves our managedFields record, so an edit cannot hide.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/json.h"
#include "io/cancel.h"
#include "io/loop.h"
#include "kube/resource.h"

struct kube_client;
struct kube_cache;
struct cluster_watches;

/* Member of an entry of cluster-info: MD5 of all data, as the tenant's status records it. */
#define CLUSTER_CHECKSUM_MEMBER "checksum"

struct cluster_watches_options {
	struct loop *loop;
	struct kube_client *client;
	/* On the loop: something of ours was changed by somebody else, removed, or came back. Not told of our own writes. */
	void (*on_change)(void *argument);
	void *argument;
};

/* Lists begin at once. */
struct cluster_watches *cluster_watches_new(const struct cluster_watches_options *options);
/* 0 once every list is complete. Not on the loop. */
int cluster_watches_wait(struct cluster_watches *watches, struct cancel *cancel, struct error *err);
/* The cache that holds objects of that kind, namespace and name (whether there is one or not); NULL: no watch covers it. */
struct kube_cache *cluster_watches_of(const struct cluster_watches *watches, const struct kube_resource *resource,
                                      const char *namespace_name, const char *name);
/* Bytes held for one tenant: entries, tables and the caches themselves. */
size_t cluster_watches_memory(const struct cluster_watches *watches);
void cluster_watches_free(struct cluster_watches *watches); /* not on the loop; NULL is fine */

/* True when one of our watches would hold the object. Pure. */
bool cluster_watches_cover(const json_t *object);
/* What an entry keeps of an object. Pure. */
void cluster_watches_reduce(json_t *object, void *unused);
