/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods that really run, and nodes. After a node was started anew the API server still shows what was true before, until the kubelet and the
 * controllers have looked; so readiness is believed only of containers that began after the node did.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "local/cluster_tool.h"

enum { CLUSTER_PODS_POLL_MS = 400 };

/* Ready, and every container began at `since` (seconds since the epoch) or later. A pod that ended well counts. */
bool cluster_pod_is_fresh(const json_t *pod, int64_t since);
/* Until there is at least one pod and all are fresh; pods that are being deleted do not count. selector NULL: the whole namespace. */
int cluster_wait_pods(const struct cluster_tool *tool, const char *namespace, const char *selector, int64_t since, struct error *err);

/* Ready, by the word of a kubelet that began at `since` or later: the controllers take 50 s to notice that one has gone. */
bool cluster_node_is_fresh(const json_t *node, int64_t since);
/* Until there is a Node of this name and it is fresh. */
int cluster_wait_node(const struct cluster_tool *tool, const char *name, int64_t since, struct error *err);
