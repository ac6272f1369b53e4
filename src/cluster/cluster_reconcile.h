/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the inside of one tenant cluster to what cluster_objects.h says. Blocking; any thread but the loop's. Every object is compared
 * with its watch (cluster_watches.h), so a call that finds all as it should be makes no request, also after a restart.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "cluster/cluster_inputs.h"
#include "cluster/cluster_watches.h"
#include "io/cancel.h"

struct kube_client;
struct kube_applier;

struct cluster_target {
	struct kube_client *client;
	struct kube_applier *applier;
	struct cluster_watches *watches;
};

/* What the tenant's status says afterwards. Zero-initialise. */
struct cluster_result {
	char bootstrap_checksum[33]; /* of all data of ConfigMap kube-public/cluster-info */
	bool core_dns_enabled, kube_proxy_enabled;
	const char *konnectivity_mode; /* of the agent, static; NULL: there is none */
	unsigned writes, removals;
};

/* The watches of the target must be filled; they say inputs' dns_address. */
int cluster_reconcile(const struct cluster_target *target, const struct cluster_inputs *inputs, struct cluster_result *result,
                      struct cancel *cancel, struct error *err);

/*
 * Takes away what left the spec (cluster_removal.c): objects that our watches hold and that carry our project label. What somebody else
 * made under such a name stays.
 */
int cluster_remove_core_dns(const struct cluster_target *target, unsigned *removed, struct cancel *cancel, struct error *err);
int cluster_remove_kube_proxy(const struct cluster_target *target, unsigned *removed, struct cancel *cancel, struct error *err);
/* mode: the workload that stays ("DaemonSet" or "Deployment"); NULL: the whole add-on goes. */
int cluster_remove_konnectivity(const struct cluster_target *target, const char *mode, unsigned *removed, struct cancel *cancel,
                                struct error *err);
int cluster_remove_write_guard(const struct cluster_target *target, unsigned *removed, struct cancel *cancel, struct error *err);
/*
 * The EndpointSlice of ours, when it cannot become `wanted` (another address family) or none is wanted (NULL: the tenant has a name for an
 * address). One that somebody else made is left unless it stands in the way.
 */
int cluster_remove_unfit_own_endpoint(const struct cluster_target *target, const json_t *wanted, unsigned *removed, struct cancel *cancel,
                                      struct error *err);
