/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what is inside tenant clusters. A tenant is served while its API server answers (a ready replica) and it is neither sleeping
 * nor being deleted. Per tenant: one HTTP/2 connection (dialled at the Service's address, name <tenant>.<namespace>.svc verified) that
 * carries the writes and the watches (cluster/cluster_watches.h); no thread. Separate queue and workers from
 * the tenant controller's, so that an API server that hangs delays nobody else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct manager_context;
struct cluster_controller;

struct cluster_controller *cluster_controller_new(struct manager_context *context, struct error *err);
int cluster_controller_start(struct cluster_controller *controller, struct error *err);
bool cluster_controller_stop(struct cluster_controller *controller, uint64_t deadline_ms);
void cluster_controller_free(struct cluster_controller *controller);

/* Looks at the tenant again: starts, nudges or ends what serves it. Any thread. */
void cluster_controller_enqueue(struct cluster_controller *controller, const char *key);
void cluster_controller_update_metrics(struct cluster_controller *controller); /* before /metrics is written */
/* Between two terms of leading: see worker_group_pause(). */
bool cluster_controller_pause(struct cluster_controller *controller, uint64_t deadline_ms);
void cluster_controller_resume(struct cluster_controller *controller);
