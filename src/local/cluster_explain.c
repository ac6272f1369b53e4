/* SPDX-License-Identifier: Apache-2.0 */
#include "local/cluster_explain.h"

#include <string.h>

#include "base/strings.h"
#include "local/log_file.h"

static void indent_lines(struct buffer *out, const char *text)
{
	for (const char *at = text; *at;) {
		size_t length = strcspn(at, "\n");
		buffer_printf(out, "      | %.*s\n", (int)(length > 400 ? 400 : length), at);
		at += length;
		at += *at == '\n';
	}
}

static bool pod_is_ready(const json_t *pod)
{
	if (string_equal(json_string_at(pod, "status.phase"), "Succeeded"))
		return true;
	const json_t *conditions = json_at(pod, "status.conditions");
	for (size_t i = 0; i < json_array_size(conditions); i++) {
		const json_t *condition = json_array_get(conditions, i);
		if (string_equal(json_string_at(condition, "type"), "Ready"))
			return string_equal(json_string_at(condition, "status"), "True");
	}
	return false;
}

static void explain_containers(const json_t *pod, const char *list, struct buffer *out)
{
	const json_t *containers = json_object_get(json_object_get(pod, "status"), list);
	for (size_t i = 0; i < json_array_size(containers); i++) {
		const json_t *container = json_array_get(containers, i);
		const char *state;
		json_t *detail;
		if (json_boolean_or(container, "ready", false))
			continue;
		json_object_foreach(json_object_get(container, "state"), state, detail) {
			buffer_printf(out, "      container %s: %s %s %s (restarts %lld)\n", json_string_or(container, "name", "?"), state,
			              json_string_or(detail, "reason", ""), json_string_or(detail, "message", ""),
			              (long long)json_integer_or(container, "restartCount", 0));
		}
		const json_t *last = json_at(container, "lastState.terminated");
		if (last)
			buffer_printf(out, "        before: %s, exit code %lld\n", json_string_or(last, "reason", ""),
			              (long long)json_integer_or(last, "exitCode", 0));
	}
}

static void explain_events(const json_t *pod, const json_t *events, struct buffer *out)
{
	const json_t *items = json_object_get(events, "items");
	const char *uid = json_string_at(pod, "metadata.uid");
	size_t shown = 0;
	for (size_t i = json_array_size(items); i > 0 && shown < EXPLAIN_EVENTS_MAX; i--) {
		const json_t *event = json_array_get(items, i - 1);
		if (!uid || !string_equal(json_string_at(event, "involvedObject.uid"), uid))
			continue;
		buffer_printf(out, "      event %s %s: %.300s\n", json_string_or(event, "type", ""), json_string_or(event, "reason", ""),
		              json_string_or(event, "message", ""));
		shown++;
	}
}

/* Conditions that are not "True", with their messages. */
static void explain_conditions(const json_t *object, struct buffer *out)
{
	const json_t *conditions = json_at(object, "status.conditions");
	for (size_t i = 0; i < json_array_size(conditions); i++) {
		const json_t *condition = json_array_get(conditions, i);
		const char *message = json_string_at(condition, "message");
		if (!string_equal(json_string_at(condition, "status"), "True") && message)
			buffer_printf(out, "      %s: %.300s\n", json_string_or(condition, "type", ""), message);
	}
}

bool cluster_explain_pod(const json_t *pod, const json_t *events, struct buffer *out)
{
	if (pod_is_ready(pod))
		return false;
	buffer_printf(out, "    pod %s/%s is %s\n", json_string_or(pod, "metadata.namespace", ""), json_string_or(pod, "metadata.name", ""),
	              json_string_or(pod, "status.phase", "unknown"));
	explain_conditions(pod, out);
	explain_containers(pod, "initContainerStatuses", out);
	explain_containers(pod, "containerStatuses", out);
	explain_events(pod, events, out);
	return true;
}

void cluster_explain_object(const struct cluster_tool *tool, const char *namespace, const char *resource, const char *name,
                            struct buffer *out)
{
	struct cluster_tool own = { .kubectl = tool->kubectl, .kubeconfig = tool->kubeconfig };
	struct error err;
	JSON_CLEANUP json_t *object = cluster_get(&own, &err, resource, "-n", namespace, name, NULL);
	JSON_CLEANUP json_t *events = object ? cluster_get(&own, &err, "events", "-n", namespace, "--sort-by=.lastTimestamp", NULL) : NULL;
	if (!object) {
		buffer_printf(out, "    %s %s/%s: %s\n", resource, namespace, name, err.message);
		return;
	}
	buffer_printf(out, "    %s %s/%s\n", resource, namespace, name);
	explain_conditions(object, out);
	explain_events(object, events, out);
}

void cluster_explain_pods(const struct cluster_tool *tool, const char *namespace, const char *selector, struct buffer *out)
{
	/* The deadline has passed when this is asked for: it gets time of its own. */
	struct cluster_tool own = { .kubectl = tool->kubectl, .kubeconfig = tool->kubeconfig };
	struct error err;
	JSON_CLEANUP json_t *pods = selector ? cluster_get(&own, &err, "pods", "-n", namespace, "-l", selector, NULL)
	                                     : cluster_get(&own, &err, "pods", "-n", namespace, NULL);
	JSON_CLEANUP json_t *events = pods ? cluster_get(&own, &err, "events", "-n", namespace, "--sort-by=.lastTimestamp", NULL) : NULL;
	const json_t *items = json_object_get(pods, "items");
	size_t shown = 0;
	if (pods && json_array_size(items) == 0)
		buffer_printf(out, "    there is no pod in namespace %s%s%s\n", namespace, selector ? " with " : "",
		              selector ? selector : "");
	for (size_t i = 0; i < json_array_size(items) && shown < EXPLAIN_PODS_MAX; i++) {
		const json_t *pod = json_array_get(items, i);
		BUFFER_CLEANUP struct buffer logs = { 0 };
		if (!cluster_explain_pod(pod, events, out))
			continue;
		shown++;
		if (cluster_run(&own, &logs, &err, "logs", "-n", namespace, json_string_or(pod, "metadata.name", ""), "--all-containers",
		                "--prefix", "--tail=12", NULL) == 0 &&
		    logs.data)
			indent_lines(out, logs.data);
	}
}

void cluster_explain_node(const json_t *status, const char *node_directory, struct buffer *out)
{
	const json_t *processes = json_object_get(status, "processes");
	for (size_t i = 0; i < json_array_size(processes); i++) {
		const json_t *process = json_array_get(processes, i);
		const char *state = json_string_or(process, "state", "");
		const char *name = json_string_or(process, "name", "");
		int64_t restarts = json_integer_or(process, "restarts", 0);
		if ((string_equal(state, "ready") && restarts == 0) || string_equal(state, "waiting"))
			continue;
		buffer_printf(out, "    %s is %s, restarts %lld%s%s\n", name, state, (long long)restarts,
		              json_string_at(process, "lastExit") ? ", last " : "", json_string_or(process, "lastExit", ""));
		FREE_CLEANUP char *path = string_printf("%s/log/%s.log", node_directory, name);
		FREE_CLEANUP char *tail = log_file_tail(path, EXPLAIN_LOG_LINES);
		indent_lines(out, tail);
	}
}
