/* SPDX-License-Identifier: Apache-2.0 */
/* One look at the inside of one tenant cluster. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "controllers/cluster_session.h"
#include "controllers/manager_context.h"
#include "io/cancel.h"

/*
 * *session is the tenant's session or NULL; it is ended (NULL), replaced or kept. The caller owns what is there afterwards and frees the one
 * that was there before when it differs.
 */
int cluster_look(struct manager_context *context, const char *key, struct cluster_session **session,
                 void (*on_change)(const char *key, void *argument), void *argument, struct cancel *cancel, struct error *err);

/* True while the tenant's API server can be served: not deleted, not asleep, a replica ready, credentials there. Pure. */
bool cluster_is_served(const json_t *tenant, const json_t *deployment);

/* Appends the kubeconfig that the operator uses for the tenant: of its Secret, the key that its annotation chooses. Zero it after use. */
int cluster_kubeconfig_read(struct manager_context *context, const json_t *tenant, struct buffer *text, struct cancel *cancel,
                            struct error *err);
