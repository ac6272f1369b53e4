/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin cluster as a person would handle it: with kubectl, which is one of the components. Waiting is `kubectl wait` (a watch), never
 * a loop of ours. Any thread; each call is one child process.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "io/cancel.h"

enum { CLUSTER_OUTPUT_MAX = 64 * 1024 * 1024, CLUSTER_CALL_MS = 60000, CLUSTER_ARGUMENT_MAX = 24 };

struct cluster_tool {
	const char *kubectl;    /* absolute path */
	const char *kubeconfig; /* of the cluster */
	struct cancel *cancel;  /* deadline of the whole command; may be NULL */
};

/* Server-side apply of YAML documents, forced: in its own environment `kamaji local` owns what it installs. */
int cluster_apply(const struct cluster_tool *tool, const char *documents, struct error *err);
/* `kubectl get ARGUMENTS -o json`; new reference or NULL. End the arguments with NULL. */
json_t *cluster_get(const struct cluster_tool *tool, struct error *err, ...) __attribute__((sentinel));
/* `kubectl ARGUMENTS`; output may be NULL. End the arguments with NULL. */
int cluster_run(const struct cluster_tool *tool, struct buffer *output, struct error *err, ...) __attribute__((sentinel));
/* The same with a time limit of its own; error_output gets what kubectl complained about (may be NULL). */
int cluster_run_limited(const struct cluster_tool *tool, uint64_t timeout_ms, struct buffer *output, struct buffer *error_output,
                        struct error *err, ...) __attribute__((sentinel));
/*
 * `kubectl wait --for=CONDITION OBJECT` until it holds or the tool's deadline passes (ERROR_TIMEOUT). Waits for the object to be there
 * first. namespace NULL: cluster-scoped. condition: "condition=Available", "jsonpath={.status.phase}=Running".
 */
int cluster_wait(const struct cluster_tool *tool, const char *namespace, const char *object, const char *condition, struct error *err);
/* `kubectl rollout status`: until every replica is of the newest template and available, or the tool's deadline passes. */
int cluster_wait_rollout(const struct cluster_tool *tool, const char *namespace, const char *deployment, struct error *err);
