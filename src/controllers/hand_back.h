/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What upstream's operator knows nothing of and would leave inside tenants for ever: EndpointSlice default/kamaji-kubernetes
 * (cluster/own_endpoint.c). It is right as long as the tenant keeps its address; then it would lead pods to an address where nobody answers.
 * So it goes when an installation is handed back. Blocking; not on the loop.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"
#include "controllers/manager_options.h"
#include "io/cancel.h"

struct manager_context;
struct kube_client;

/*
 * The slice as it is inside the tenant (new reference), NULL when there is none of ours. *client is the connection to the tenant, of the
 * server and as the user that its admin kubeconfig names. err->class ERROR_NONE tells "none" from "could not look".
 */
json_t *hand_back_find_slice(struct manager_context *context, const json_t *tenant, struct kube_client **client, struct cancel *cancel,
                             struct error *err);

struct hand_back {
	json_t *tenants; /* "namespace/name" of all, sorted */
	json_t *removed; /* of those inside which the slice was, and is no more */
	json_t *left;    /* objects tenant, why: could not be looked into */
};
void hand_back_free(struct hand_back *result);
#define HAND_BACK_CLEANUP __attribute__((cleanup(hand_back_free)))

/*
 * Takes the slice out of every tenant. ERROR_CONFLICT while an operator holds the Lease: ours would put it back. Nothing else is written.
 */
int hand_back_clean(const struct manager_options *options, struct hand_back *result, struct error *err);
