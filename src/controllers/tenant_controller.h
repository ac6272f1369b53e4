/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconciles TenantControlPlanes. A queue of keys ("namespace/name"), N workers; one worker at a time owns a key, so nothing below needs a
 * lock per tenant. A pass: snapshot from caches -> steps of controlplane/ -> apply what differs -> status patch when it differs.
 *
 * Who wakes a tenant: its own spec or metadata, objects it owns, its DataStore becoming ready or changing, Secrets of that
 * DataStore, a certificate's due date. Status writes of our own do not. Nothing polls; a slow safety net (resync) reads caches only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct manager_context;
struct tenant_controller;

struct tenant_controller *tenant_controller_new(struct manager_context *context, struct error *err);
int tenant_controller_start(struct tenant_controller *controller, struct error *err); /* workers begin */
/* No new work; waits for work under way until the deadline (clock_monotonic_ms()), then returns false. */
bool tenant_controller_stop(struct tenant_controller *controller, uint64_t deadline_ms);
/* After a stop that ended all work, before the Lease goes: the next start finds what was settled (tenant_memory.h). */
void tenant_controller_remember(struct tenant_controller *controller);
void tenant_controller_free(struct tenant_controller *controller);

void tenant_controller_enqueue(struct tenant_controller *controller, const char *key); /* any thread */
/* Every tenant whose spec or status names this DataStore. Any thread. */
void tenant_controller_enqueue_data_store(struct tenant_controller *controller, const char *data_store);
void tenant_controller_update_metrics(struct tenant_controller *controller); /* before /metrics is written */
/* Between two terms of leading: see worker_group_pause(). */
bool tenant_controller_pause(struct tenant_controller *controller, uint64_t deadline_ms);
void tenant_controller_resume(struct tenant_controller *controller);
