/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "api/names.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/strings.h"
#include "cmd/why.h"

enum { LEASE_OLD_SECONDS = 60 };

/* What to do where the message does not say it. */
static const struct {
	const char *reason, *step, *remedy;
} remedies[] = {
	{ "InvalidSpec", "spec", "change the field that is named" },
	{ "DataStoreMissing", "datastore", "set spec.dataStore, or start the operator with --datastore" },
	{ "DataStoreNotFound", "datastore", "create the DataStore, or name another in spec.dataStore" },
	{ "DataStoreNotReady", "datastore", "see `kubectl describe datastore`" },
	{ "DataStoreInvalid", "datastore", "mend the DataStore or the Secrets it refers to" },
	{ "LoadBalancerPending", "service", "install something that gives LoadBalancer Services an address, or use another serviceType" },
	{ "LoadBalancerHostname", "service", "set spec.networkProfile.address to an IP address" },
	{ "AddressMissing", "service", "set spec.networkProfile.address" },
	{ "ServicePending", "service", "wait; if it stays, look at the events of the Service" },
	{ "GatewayAPIMissing", "gateway", "install the Gateway API with TLSRoute" },
	{ "RouteAmbiguous", "gateway", "leave one parent reference" },
	{ "MigrationNotSupported", "datastore", "set spec.dataStore back to the one in status.storage.dataStoreName" },
};

/* The DataStore and the tenant's condition often tell the same. */
static bool is_told(const struct why *why, const char *step, const char *reason)
{
	for (size_t i = 0; i < why->finding_count; i++)
		if (string_equal(why->findings[i].step, step) && string_equal(why->findings[i].reason, reason))
			return true;
	return false;
}

static struct why_finding *add(struct why *why, const char *step, const char *reason, const char *cause, const char *remedy)
{
	struct why_finding *finding = &why->findings[why->finding_count < WHY_FINDINGS ? why->finding_count++ : WHY_FINDINGS - 1];

	*finding = (struct why_finding){ .step = step, .reason = reason, .cause = cause, .remedy = remedy };
	return finding;
}

static void look_at_deletion(struct arena *arena, const struct why_input *input, struct why *why)
{
	const json_t *metadata = json_object_get(input->tenant, "metadata");
	struct string_list finalizers STRING_LIST_CLEANUP = { 0 };
	json_t *item;
	size_t i;

	if (!json_object_get(metadata, "deletionTimestamp"))
		return;
	json_array_foreach(json_object_get(metadata, "finalizers"), i, item)
		string_list_add(&finalizers, json_is_string(item) ? json_string_value(item) : "?");
	FREE_CLEANUP char *text = string_list_join(&finalizers, ", ");

	add(why, "deletion", "Deleting", arena_printf(arena, "the tenant is being deleted and waits for %s", *text ? text : "its objects"),
	    "it ends by itself while the operator runs and the DataStore is ready; removing the finalizer by hand leaves data in the "
	    "store");
}

static void look_at_pause(const struct why_input *input, struct why *why)
{
	if (json_object_get(json_at(input->tenant, "metadata.annotations"), ANNOTATION_PAUSED))
		add(why, "operator", "Paused", "the annotation " ANNOTATION_PAUSED " is set: the operator leaves this tenant alone",
		    "remove the annotation");
}

/* Silence of the operator matters only while it owes something. */
static void look_at_operator(struct arena *arena, const struct why_input *input, struct why *why)
{
	int64_t generation = json_integer_or(input->tenant, "metadata.generation", 0), renewed = 0;
	int64_t observed = json_integer_or(input->tenant, "status.observedGeneration", -1);
	const json_t *condition = status_condition(json_object_get(input->tenant, "status"), CONDITION_READY);

	if (observed == generation || json_integer_or(condition, "observedGeneration", -1) == generation)
		return;
	if (!input->lease) {
		add(why, "operator", "OperatorUnknown",
		    "this generation of the tenant has not been looked at yet, and the operator's Lease cannot be found",
		    "start the operator, or name its namespace with --operator-namespace");
		return;
	}
	if (clock_parse_rfc3339(json_string_or(input->lease, "spec.renewTime", ""), &renewed) != 0 ||
	    input->now - renewed > LEASE_OLD_SECONDS)
		add(why, "operator", "OperatorSilent",
		    arena_printf(arena, "the operator's Lease was last renewed at %s: it does not run",
		                 json_string_or(input->lease, "spec.renewTime", "no time")),
		    "look at the operator's pods and their logs");
}

static void look_at_condition(struct arena *arena, const struct why_input *input, struct why *why)
{
	const json_t *condition = status_condition(json_object_get(input->tenant, "status"), CONDITION_READY);
	const char *reason = json_string_or(condition, "reason", ""), *message = json_string_or(condition, "message", "");
	const char *step = "control plane", *remedy = "";

	if (!condition || string_equal(json_string_at(condition, "status"), "True"))
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(remedies); i++) {
		if (string_equal(remedies[i].reason, reason)) {
			step = remedies[i].step;
			remedy = remedies[i].remedy;
		}
	}
	if (string_equal(reason, PHASE_SLEEPING))
		remedy = "set spec.controlPlane.deployment.replicas above zero";
	if (strstr(message, ".nodePort:"))
		remedy = "with NodePort, spec.networkProfile.port is the node port, too: choose one that is free and in the range the API "
			 "server names";
	if (is_told(why, step, reason))
		return;
	/* "... (what to do)" says it itself. */
	const char *open = strrchr(message, '(');

	if (open && string_has_suffix(message, ")") && open > message)
		add(why, step, reason, arena_strndup(arena, message, (size_t)(open - message)),
		    arena_strndup(arena, open + 1, strlen(open) - 2));
	else
		add(why, step, reason, message, remedy);
}

static void look_at_store(struct arena *arena, const struct why_input *input, struct why *why)
{
	const json_t *condition = status_condition(json_object_get(input->data_store, "status"), CONDITION_DATA_STORE_VALIDATION);

	if (string_empty(input->data_store_name) || json_boolean_or(input->data_store, "status.ready", false))
		return;
	if (!input->data_store)
		add(why, "datastore", "DataStoreNotFound", arena_printf(arena, "DataStore %s cannot be found", input->data_store_name),
		    "create it, or name another in spec.dataStore");
	else
		add(why, "datastore", "DataStoreNotReady",
		    arena_printf(arena, "DataStore %s is not ready: %s", input->data_store_name,
		                 json_string_or(condition, "message", "it has not been validated yet")),
		    arena_printf(arena, "mend what the cause names; `kubectl describe datastore %s` tells when it is right",
		                 input->data_store_name));
}

static void look_at_deployment(struct arena *arena, const struct why_input *input, struct why *why)
{
	json_t *condition;
	size_t i;

	json_array_foreach(json_at(input->deployment, "status.conditions"), i, condition) {
		const char *type = json_string_or(condition, "type", ""), *status = json_string_or(condition, "status", "");
		const char *message = json_string_or(condition, "message", "");

		if (string_equal(type, "ReplicaFailure") && string_equal(status, "True"))
			add(why, "deployment", json_string_or(condition, "reason", "ReplicaFailure"),
			    arena_printf(arena, "pods cannot be created: %s", message),
			    "mend what forbids the pods (quota, admission, service account)");
		else if (string_equal(type, "Progressing") && string_equal(status, "False"))
			add(why, "deployment", json_string_or(condition, "reason", "Progressing"), message, "see the pods below");
	}
}

static const char *waiting_remedy(const char *reason)
{
	if (strstr(reason, "Image"))
		return "check image name, tag and registry access (spec.controlPlane.deployment.registrySettings), and imagePullSecrets of "
		       "the "
		       "service account";
	if (string_equal(reason, "CrashLoopBackOff"))
		return "read the log; extraArgs and additional containers are the usual cause";
	if (strstr(reason, "Config"))
		return "check the Secrets, ConfigMaps and volumes that the container names";
	return "see the pod's events";
}

static void look_at_container(struct arena *arena, const struct why_input *input, struct why *why, const char *pod, const json_t *status)
{
	const char *name = json_string_or(status, "name", "");
	const json_t *waiting = json_at(status, "state.waiting"), *ended = json_at(status, "lastState.terminated");
	const json_t *now_ended = json_at(status, "state.terminated");
	const char *reason = json_string_or(waiting, "reason", ""), *step = arena_printf(arena, "pod %s, container %s", pod, name), *cause;
	bool again = json_integer_or(status, "restartCount", 0) > 0;
	struct why_finding *finding;

	if (json_boolean_or(status, "ready", false) || (now_ended && json_integer_or(now_ended, "exitCode", 1) == 0))
		return;
	if (!ended && now_ended)
		ended = now_ended;
	if (ended)
		cause = arena_printf(arena, "it ended with exit code %lld (%s), %lld times; now %s",
		                     (long long)json_integer_or(ended, "exitCode", 0), json_string_or(ended, "reason", ""),
		                     (long long)json_integer_or(status, "restartCount", 0), *reason ? reason : "started again");
	else if (*reason)
		cause = arena_printf(arena, "%s%s%s", reason, *json_string_or(waiting, "message", "") ? ": " : "",
		                     json_string_or(waiting, "message", ""));
	else
		cause = "it runs and is not ready yet";
	if (string_equal(reason, "PodInitializing") || string_equal(reason, "ContainerCreating"))
		return;
	finding = add(why, step, *reason ? reason : "NotReady", cause,
	              *reason || ended ? waiting_remedy(*reason ? reason : "CrashLoopBackOff") : "wait, or read the log");
	if (input->log && (ended || !*reason))
		finding->log = input->log(pod, name, again && *reason, arena, input->argument);
}

static bool pod_is_ready(const json_t *pod)
{
	json_t *condition;
	size_t i;

	json_array_foreach(json_at(pod, "status.conditions"), i, condition)
		if (string_equal(json_string_at(condition, "type"), "Ready"))
			return string_equal(json_string_at(condition, "status"), "True");
	return false;
}

static void look_at_pod(struct arena *arena, const struct why_input *input, struct why *why, const json_t *pod)
{
	const char *name = json_string_or(pod, "metadata.name", "");
	json_t *item;
	size_t i;

	json_array_foreach(json_at(pod, "status.conditions"), i, item)
		if (string_equal(json_string_at(item, "type"), "PodScheduled") && string_equal(json_string_at(item, "status"), "False"))
			add(why, arena_printf(arena, "pod %s", name), json_string_or(item, "reason", "Unschedulable"),
			    json_string_or(item, "message", ""),
			    "add room or nodes, or change resources, nodeSelector, tolerations, affinity");
	json_array_foreach(json_at(pod, "status.initContainerStatuses"), i, item)
		look_at_container(arena, input, why, name, item);
	json_array_foreach(json_at(pod, "status.containerStatuses"), i, item)
		look_at_container(arena, input, why, name, item);
}

static void look_at_pods(struct arena *arena, const struct why_input *input, struct why *why)
{
	json_t *pod;
	size_t i, seen = 0;

	json_array_foreach(input->pods, i, pod) {
		if (pod_is_ready(pod) || json_at(pod, "metadata.deletionTimestamp"))
			continue;
		if (seen++ < WHY_PODS)
			look_at_pod(arena, input, why, pod);
	}
}

static bool is_about(const json_t *event, const char *tenant)
{
	const char *kind = json_string_or(event, "involvedObject.kind", ""), *name = json_string_or(event, "involvedObject.name", "");

	if (string_equal(name, tenant))
		return true;
	return string_has_prefix(name, tenant) && name[strlen(tenant)] == '-' &&
	       (string_equal(kind, "Pod") || string_equal(kind, "ReplicaSet"));
}

static const char *event_time(const json_t *event)
{
	const char *time = json_string_or(event, "lastTimestamp", "");

	return *time ? time : json_string_or(event, "eventTime", "");
}

static int newest_first(const void *a, const void *b)
{
	return strcmp(event_time(*(json_t *const *)b), event_time(*(json_t *const *)a));
}

static void collect_events(struct arena *arena, const struct why_input *input, struct why *why)
{
	const char *tenant = json_string_or(input->tenant, "metadata.name", "");
	json_t **warnings = arena_alloc(arena, (json_array_size(input->events) + 1) * sizeof(json_t *)), *event;
	size_t i, count = 0;

	json_array_foreach(input->events, i, event)
		if (string_equal(json_string_at(event, "type"), "Warning") && is_about(event, tenant))
			warnings[count++] = event;
	qsort(warnings, count, sizeof(json_t *), newest_first);
	for (i = 0; i < count && i < WHY_EVENTS; i++)
		why->events[why->event_count++] = arena_printf(
			arena, "%s %s/%s %s: %s", event_time(warnings[i]), json_string_or(warnings[i], "involvedObject.kind", ""),
			json_string_or(warnings[i], "involvedObject.name", ""), json_string_or(warnings[i], "reason", ""),
			json_string_or(warnings[i], "message", ""));
}

/* The condition of our operator; where upstream's CRD prunes it, the phase. */
static bool is_ready(const struct why_input *input, const struct why *why)
{
	const json_t *condition = status_condition(json_object_get(input->tenant, "status"), CONDITION_READY);

	if (json_at(input->tenant, "metadata.deletionTimestamp"))
		return false;
	if (condition)
		return string_equal(json_string_at(condition, "status"), "True") &&
		       json_integer_or(condition, "observedGeneration", 0) >= json_integer_or(input->tenant, "metadata.generation", 0);
	return string_equal(why->phase, PHASE_READY);
}

void why_explain(struct arena *arena, const struct why_input *input, struct why *why)
{
	memset(why, 0, sizeof(*why));
	why->phase = json_string_or(input->tenant, "status.kubernetesResources.version.status", "");
	why->endpoint = json_string_or(input->tenant, "status.controlPlaneEndpoint", "");
	why->version = json_string_or(input->tenant, "status.kubernetesResources.version.version", "");
	why->ready = is_ready(input, why);
	if (why->ready)
		return;
	look_at_deletion(arena, input, why);
	look_at_pause(input, why);
	look_at_operator(arena, input, why);
	look_at_store(arena, input, why);
	/* What pods and Deployment say is the cause of a phase; what else the condition says comes first. */
	const json_t *condition = status_condition(json_object_get(input->tenant, "status"), CONDITION_READY);
	bool only_phase = string_equal(json_string_at(condition, "reason"), why->phase) && !string_equal(why->phase, PHASE_SLEEPING);

	if (!only_phase)
		look_at_condition(arena, input, why);
	look_at_deployment(arena, input, why);
	look_at_pods(arena, input, why);
	if (only_phase)
		look_at_condition(arena, input, why);
	if (why->finding_count == 0)
		add(why, "control plane", *why->phase ? why->phase : "Pending", "nothing stands in the way that can be seen from here",
		    "wait a moment; the operator's log tells more");
	collect_events(arena, input, why);
}
