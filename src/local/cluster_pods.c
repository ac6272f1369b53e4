/* SPDX-License-Identifier: Apache-2.0 */
#include "local/cluster_pods.h"

#include "base/clock.h"
#include "base/strings.h"

/* The condition Ready of a pod or node when it holds, or NULL. */
static const json_t *ready_condition(const json_t *object)
{
	const json_t *conditions = json_at(object, "status.conditions");
	for (size_t i = 0; i < json_array_size(conditions); i++) {
		const json_t *condition = json_array_get(conditions, i);
		if (string_equal(json_string_at(condition, "type"), "Ready"))
			return string_equal(json_string_at(condition, "status"), "True") ? condition : NULL;
	}
	return NULL;
}

bool cluster_pod_is_fresh(const json_t *pod, int64_t since)
{
	const json_t *containers = json_at(pod, "status.containerStatuses");
	if (string_equal(json_string_at(pod, "status.phase"), "Succeeded"))
		return true;
	if (!ready_condition(pod) || json_array_size(containers) == 0)
		return false;
	for (size_t i = 0; i < json_array_size(containers); i++) {
		const char *started = json_string_at(json_array_get(containers, i), "state.running.startedAt");
		int64_t seconds;
		if (!started || clock_parse_rfc3339(started, &seconds) < 0 || seconds < since)
			return false;
	}
	return true;
}

/* 1: all fresh, 0: not yet. */
static int look_at_pods(const struct cluster_tool *tool, const char *namespace, const char *selector, int64_t since, struct error *err)
{
	JSON_CLEANUP json_t *pods = selector ? cluster_get(tool, err, "pods", "-n", namespace, "-l", selector, NULL)
	                                     : cluster_get(tool, err, "pods", "-n", namespace, NULL);
	const json_t *items = json_object_get(pods, "items");
	size_t counted = 0;
	if (!pods)
		return -1;
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *pod = json_array_get(items, i);
		if (json_at(pod, "metadata.deletionTimestamp"))
			continue;
		if (!cluster_pod_is_fresh(pod, since))
			return 0;
		counted++;
	}
	return counted > 0;
}

int cluster_wait_pods(const struct cluster_tool *tool, const char *namespace, const char *selector, int64_t since, struct error *err)
{
	for (;;) {
		int found = look_at_pods(tool, namespace, selector, since, err);
		if (found < 0)
			return error_wrap(err, "pods in namespace %s", namespace);
		if (found > 0)
			return 0;
		if (cancel_sleep(tool->cancel, CLUSTER_PODS_POLL_MS, err) < 0)
			return error_wrap(err, "wait for the pods in namespace %s", namespace);
	}
}

bool cluster_node_is_fresh(const json_t *node, int64_t since)
{
	const char *heartbeat = json_string_at(ready_condition(node), "lastHeartbeatTime");
	int64_t seconds;
	return heartbeat && clock_parse_rfc3339(heartbeat, &seconds) == 0 && seconds >= since;
}

int cluster_wait_node(const struct cluster_tool *tool, const char *name, int64_t since, struct error *err)
{
	FREE_CLEANUP char *object = string_printf("node/%s", name);
	for (;;) {
		if (cluster_wait(tool, NULL, object, "condition=Ready", err) < 0)
			return -1;
		JSON_CLEANUP json_t *node = cluster_get(tool, err, "node", name, NULL);
		if (!node)
			return error_wrap(err, "node %s", name);
		if (cluster_node_is_fresh(node, since))
			return 0;
		if (cancel_sleep(tool->cancel, CLUSTER_PODS_POLL_MS, err) < 0)
			return error_wrap(err, "wait for node %s", name);
	}
}
