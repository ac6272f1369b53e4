/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something does not get ready, in words for a person: the state, conditions and events of pods with their last log lines, and the
 * processes of a node with theirs. Nothing here fails: what cannot be found out is left out.
 */
#pragma once

#include "base/buffer.h"
#include "base/json.h"
#include "local/cluster_tool.h"

enum { EXPLAIN_LOG_LINES = 12, EXPLAIN_PODS_MAX = 5, EXPLAIN_EVENTS_MAX = 6 };

/* Appends a description of the pod when it is not ready; true then. Events (a List, may be NULL) of other objects are left out. */
bool cluster_explain_pod(const json_t *pod, const json_t *events, struct buffer *out);
/* The pods of a namespace (selector NULL: all) that are not ready, with logs. */
void cluster_explain_pods(const struct cluster_tool *tool, const char *namespace, const char *selector, struct buffer *out);
/* What an object of ours says about itself: conditions that do not hold, and its own events. resource: "tenantcontrolplane". */
void cluster_explain_object(const struct cluster_tool *tool, const char *namespace, const char *resource, const char *name,
                            struct buffer *out);
/* Processes of a node that are not ready or were restarted, from the answer of its control socket, with the tail of their logs. */
void cluster_explain_node(const json_t *status, const char *node_directory, struct buffer *out);
