/* SPDX-License-Identifier: Apache-2.0 */
#include "local/environment_status.h"

#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "io/file.h"
#include "local/balancer_plan.h"
#include "local/cluster_tool.h"
#include "local/component_fetch.h"
#include "local/environment.h"
#include "local/host_cgroup.h"
#include "local/local_pki.h"
#include "local/node_admin.h"
#include "local/node_control.h"
#include "local/node_images.h"

#define BALANCER_NOTE "addresses are routed to the node by an assigner of 'kamaji local'; this is not a load balancer"

struct status {
	struct local_environment *environment;
	json_t *root, *problems;
	const char *kubectl, *ctr;
	char *kubeconfig, *node_directory;
	json_int_t memory;
};

static void problem(struct status *status, const char *what, const struct error *err)
{
	json_array_append_new(status->problems, json_string_printf("%s: %s", what, err->message));
}

/* Memory of a pod by its cgroup: the kubelet names it after quality of service and uid. */
static uint64_t pod_memory(const struct status *status, const json_t *pod)
{
	const char *uid = json_string_or(pod, "metadata.uid", "");
	const char *quality = json_string_or(pod, "status.qosClass", "");
	const char *folder = string_equal(quality, "Burstable") ? "burstable/" : string_equal(quality, "BestEffort") ? "besteffort/" : "";
	/* A node's name is the environment's and its own. */
	const struct local_names *names = &status->environment->names;
	const char *node = json_string_or(pod, "spec.nodeName", "");
	if (!string_has_prefix(node, names->name) || node[strlen(names->name)] != '-')
		return 0;
	FREE_CLEANUP char *path = string_printf("%s/%s/kubepods/%spod%s", names->cgroup, node + strlen(names->name) + 1, folder, uid);
	return host_cgroup_memory(&status->environment->facts.cgroup, path);
}

/* One node: its init's answer, or that there is none. id: "admin", "worker-3". New reference. */
static json_t *describe_node(struct status *status, const char *id, const char *role)
{
	struct error err;
	FREE_CLEANUP char *directory = environment_node_directory(status->environment, id);
	json_t *answer = node_control_status(directory, &err);
	if (!answer) {
		if (err.class != ERROR_NOT_FOUND) {
			FREE_CLEANUP char *what = string_printf("node %s", id);
			problem(status, what, &err);
		}
		return json_build("{s:s, s:s, s:b}", "name", id, "role", role, "running", 0);
	}
	json_int_t processes = 0;
	const json_t *list = json_object_get(answer, "processes");
	for (size_t i = 0; i < json_array_size(list); i++)
		processes += json_integer_or(json_array_get(list, i), "residentBytes", 0);
	FREE_CLEANUP char *pods = string_printf("%s/%s/kubepods", status->environment->names.cgroup, id);
	json_int_t pod_bytes = (json_int_t)host_cgroup_memory(&status->environment->facts.cgroup, pods);
	json_object_set_new(answer, "running", json_true());
	json_object_set_new(answer, "processBytes", json_integer(processes));
	json_object_set_new(answer, "podBytes", json_integer(pod_bytes));
	status->memory += processes + pod_bytes;
	return answer;
}

static json_t *describe_worker(struct status *status, const struct local_worker *worker)
{
	char address[LOCAL_ADDRESS_TEXT_MAX];
	FREE_CLEANUP char *id = local_worker_id(worker);
	json_t *node = describe_node(status, id, "worker");
	local_address_format(local_worker_address(&status->environment->plan, worker), address);
	json_object_set_new(node, "hostname", json_string_new(worker->name));
	json_object_set_new(node, "tenant", json_string_printf("%s/%s", worker->namespace, worker->tenant));
	json_object_set_new(node, "address", json_string_new(address));
	json_object_set_new(node, "pods", json_string_new(worker->pods));
	json_object_set_new(node, "joined", json_boolean(worker->joined));
	json_object_set_new(node, "leaving", json_boolean(worker->leaving));
	return node;
}

static void add_nodes(struct status *status)
{
	const struct local_worker_list *workers = &status->environment->state.workers;
	json_t *nodes = json_array();
	for (unsigned number = 1; number <= local_state_node_count(&status->environment->state); number++) {
		FREE_CLEANUP char *id = local_admin_node_id(number);
		json_array_append_new(nodes, describe_node(status, id, "admin"));
	}
	for (size_t i = 0; i < workers->count; i++)
		json_array_append_new(nodes, describe_worker(status, &workers->items[i]));
	json_object_set_new(status->root, "nodes", nodes);
}

static bool pod_is_ready(const json_t *pod)
{
	const json_t *conditions = json_at(pod, "status.conditions");
	for (size_t i = 0; i < json_array_size(conditions); i++) {
		const json_t *condition = json_array_get(conditions, i);
		if (string_equal(json_string_at(condition, "type"), "Ready"))
			return string_equal(json_string_at(condition, "status"), "True");
	}
	return false;
}

/* The operator labels a tenant's pods with kamaji.clastix.io/name. */
static bool belongs_to(const json_t *pod, const char *namespace, const char *tenant)
{
	const json_t *labels = json_at(pod, "metadata.labels");
	return string_equal(json_string_at(pod, "metadata.namespace"), namespace) &&
	       string_equal(json_string_value(json_object_get(labels, "kamaji.clastix.io/name")), tenant);
}

static json_t *describe_tenant(const struct status *status, const json_t *tenant, const json_t *pods)
{
	const char *namespace = json_string_or(tenant, "metadata.namespace", ""), *name = json_string_or(tenant, "metadata.name", "");
	json_int_t memory = 0, count = 0, ready = 0;
	for (size_t i = 0; i < json_array_size(pods); i++) {
		const json_t *pod = json_array_get(pods, i);
		if (!belongs_to(pod, namespace, name))
			continue;
		count++;
		ready += pod_is_ready(pod);
		memory += (json_int_t)pod_memory(status, pod);
	}
	return json_build(
		"{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "namespace", namespace, "name", name, "status",
		json_string_or(tenant, "status.kubernetesResources.version.status", "Unknown"), "version",
		json_string_or(tenant, "status.kubernetesResources.version.version", json_string_or(tenant, "spec.kubernetes.version", "")),
		"endpoint", json_string_or(tenant, "status.controlPlaneEndpoint", ""), "memoryBytes", memory, "pods", count, "readyPods",
		ready);
}

static void add_tenants(struct status *status, const struct cluster_tool *tool)
{
	struct error err;
	JSON_CLEANUP json_t *found = cluster_get(tool, &err, "tenantcontrolplanes.kamaji.clastix.io", "--all-namespaces", NULL);
	JSON_CLEANUP json_t *pods =
		found ? cluster_get(tool, &err, "pods", "--all-namespaces", "-l", "kamaji.clastix.io/name", NULL) : NULL;
	if (!pods) {
		problem(status, "tenants", &err);
		return;
	}
	json_t *tenants = json_array();
	const json_t *items = json_object_get(found, "items");
	for (size_t i = 0; i < json_array_size(items); i++)
		json_array_append_new(tenants, describe_tenant(status, json_array_get(items, i), json_object_get(pods, "items")));
	json_object_set_new(status->root, "tenants", tenants);
}

static void add_balancer(struct status *status, const struct cluster_tool *tool)
{
	struct error err;
	const struct local_address_plan *plan = &status->environment->plan;
	const struct balancer_range range = { .first = plan->balancer_first, .last = plan->balancer_last };
	JSON_CLEANUP json_t *services = cluster_get(tool, &err, "services", "--all-namespaces", NULL);
	if (!services) {
		problem(status, "Services", &err);
		return;
	}
	char first[LOCAL_ADDRESS_TEXT_MAX], last[LOCAL_ADDRESS_TEXT_MAX], address[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(range.first, first);
	local_address_format(range.last, last);
	json_t *addresses = json_array();
	const json_t *items = json_object_get(services, "items");
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *service = json_array_get(items, i);
		struct balancer_service read = balancer_service_read(service, "", &range);
		if (!read.wanted)
			continue;
		if (read.current)
			local_address_format(read.current, address);
		json_array_append_new(addresses, json_build("{s:o, s:s}", "service",
		                                            json_string_printf("%s/%s", json_string_or(service, "metadata.namespace", ""),
		                                                               json_string_or(service, "metadata.name", "")),
		                                            "address", read.current ? address : ""));
	}
	json_object_set_new(
		status->root, "balancer",
		json_build("{s:s, s:s, s:s, s:o}", "note", BALANCER_NOTE, "first", first, "last", last, "addresses", addresses));
}

static void add_images(struct status *status)
{
	struct error err;
	NODE_IMAGE_LIST_CLEANUP struct node_image_list list = { 0 };
	FREE_CLEANUP char *socket = node_admin_containerd_socket(status->node_directory);
	if (node_image_list_read(status->ctr, socket, NULL, &list, &err) < 0) {
		problem(status, "images", &err);
		return;
	}
	json_t *made = json_array(), *pulled = json_array();
	for (size_t i = 0; i < list.count; i++)
		/* containerd lists every image by its bare digest a second time. */
		if (!string_has_prefix(list.items[i].reference, "sha256:") && !strchr(list.items[i].reference, '@'))
			json_array_append_new(list.items[i].made_here ? made : pulled, json_string_new(list.items[i].reference));
	json_object_set_new(status->root, "images", json_build("{s:o, s:o}", "madeHere", made, "pulled", pulled));
}

static void add_cluster(struct status *status)
{
	struct error err;
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = component_lock_read(NULL, &err);
	const struct component_fetch_options options = { .lock = lock };
	COMPONENT_FETCH_CLEANUP struct component_fetch *fetch = lock ? component_fetch_new(&options, &err) : NULL;
	status->kubectl = fetch ? component_path(fetch, "kubernetes", NULL, "kubectl", &err) : NULL;
	status->ctr = status->kubectl ? component_path(fetch, "containerd", NULL, "ctr", &err) : NULL;
	if (!status->ctr) {
		problem(status, "components", &err);
		return;
	}
	const struct cluster_tool tool = { .kubectl = status->kubectl, .kubeconfig = status->kubeconfig };
	add_tenants(status, &tool);
	add_balancer(status, &tool);
	add_images(status);
}

static void add_addresses(struct status *status)
{
	char block[LOCAL_CIDR_TEXT_MAX], node[LOCAL_ADDRESS_TEXT_MAX];
	if (!status->environment->state.has_block)
		return;
	local_cidr_format(status->environment->plan.block, block);
	local_address_format(status->environment->plan.admin_node, node);
	json_put_string(status->root, "block", block);
	json_object_set_new(status->root, "endpoint", json_string_printf("https://%s:%d", node, LOCAL_API_PORT));
}

json_t *environment_status(const char *state_root, const char *name, struct error *err)
{
	ENVIRONMENT_CLEANUP struct local_environment environment;
	if (environment_open(state_root, name, false, &environment, err) < 0)
		return NULL;
	struct status status = { .environment = &environment, .problems = json_array() };
	status.kubeconfig = environment_path(&environment, "kubeconfig");
	status.node_directory = environment_node_directory(&environment, "admin");
	status.root = json_build("{s:s, s:s, s:s, s:s}", "name", name, "phase", local_phase_name(environment.state.phase), "stateDirectory",
	                         environment.directory, "kubeconfig", status.kubeconfig);
	bool running = node_identity_is_alive(&environment.state.admin);
	if (environment.state.phase != LOCAL_ABSENT) {
		add_addresses(&status);
		add_nodes(&status);
	}
	if (running)
		add_cluster(&status);
	json_object_set_new(status.root, "memoryBytes", json_integer(status.memory));
	if (environment.state.times)
		json_object_set(status.root, "lastUp", environment.state.times);
	json_object_set_new(status.root, "problems", status.problems);
	free(status.kubeconfig);
	free(status.node_directory);
	return status.root;
}
