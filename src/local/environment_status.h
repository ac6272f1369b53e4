/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `kamaji local status` shows, as one JSON object:
 *
 *   {"name","phase":"absent|starting|up|stopping|down","stateDirectory","block","endpoint","kubeconfig",
 *    "nodes":[{"name" ("admin", "admin-2", "worker-1"),"role","hostname","running":bool,"uptimeSeconds","processes":[as node_control.h],"processBytes","podBytes"}],
 *    "tenants":[{"namespace","name","status","version","endpoint","memoryBytes","pods","readyPods","error"}],
 *    "balancer":{"note","first","last","addresses":[{"service","address"}]},
 *    "images":{"madeHere":[reference],"pulled":[reference]},
 *    "memoryBytes", "problems":["what could not be found out, and why"]}
 *
 * Members whose source does not answer are left out and named under "problems".
 */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* New reference, or NULL when the environment cannot be looked at, at all. */
json_t *environment_status(const char *state_root, const char *name, struct error *err);
