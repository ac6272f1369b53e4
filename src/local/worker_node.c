/* SPDX-License-Identifier: Apache-2.0 */
/* The namespaces of a worker: made, filled with images, entered, ended. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "io/file.h"
#include "io/process.h"
#include "local/host_cgroup.h"
#include "local/host_network.h"
#include "local/node_admin.h"
#include "local/node_control.h"
#include "local/node_images.h"
#include "local/node_worker.h"
#include "local/worker_task.h"

enum { STOP_GRACE_MS = 10000, POLL_MS = 50, RESOLV_CONF_MAX = 64 * 1024, PROCESS_RESTARTS_MAX = 8 };

static int prepare_init(pid_t init, void *context, struct error *err)
{
	const struct worker_task *task = context;
	const struct local_environment *environment = task->environment;
	struct local_node_names node;
	FREE_CLEANUP char *id = local_worker_id(task->worker);
	FREE_CLEANUP char *group = string_printf("%s/%s/init", environment->names.cgroup, id);
	if (local_worker_names(environment->names.name, task->worker, &node, err) < 0)
		return -1;
	if (host_cgroup_make(&environment->facts.cgroup, group, err) < 0 ||
	    host_cgroup_enter(&environment->facts.cgroup, group, init, err) < 0)
		return error_wrap(err, "cgroup of the node");
	return host_network_attach(&environment->names, &node, init, err);
}

static int record_init(const struct node_identity *identity, void *context, struct error *err)
{
	const struct worker_task *task = context;
	task->worker->identity = *identity;
	return environment_save(task->environment, err);
}

static bool is_wanted_node(const struct worker_task *task, const json_t *config)
{
	struct error err;
	if (!node_identity_is_alive(&task->worker->identity))
		return false;
	JSON_CLEANUP json_t *status = node_control_status(task->directory, &err);
	return status && !json_boolean_or(status, "stopping", false) &&
	       string_equal(json_string_at(status, "configuration"), json_string_at(config, "digest"));
}

static char *read_resolv_conf(struct error *err)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	const char *path = file_exists("/run/systemd/resolve/resolv.conf") ? "/run/systemd/resolve/resolv.conf" : "/etc/resolv.conf";
	if (file_exists(path) && file_read(path, RESOLV_CONF_MAX, &text, err) < 0)
		return NULL;
	return node_admin_resolv_conf(text.data ? text.data : "");
}

/* Ends the node and clears the kernel of it; files stay. */
static int end_node(struct worker_task *task, uint64_t grace_ms, struct error *err)
{
	FREE_CLEANUP char *id = local_worker_id(task->worker);
	return environment_end_node(task->environment, id, &task->worker->identity, grace_ms, err);
}

static int wait_containerd(const struct worker_task *task, struct error *err)
{
	for (;;) {
		struct error silent;
		JSON_CLEANUP json_t *status = node_control_status(task->directory, &silent);
		const json_t *first = json_array_get(json_object_get(status, "processes"), 0);
		if (string_equal(json_string_at(first, "state"), "ready"))
			return 0;
		if (json_integer_or(first, "restarts", 0) >= PROCESS_RESTARTS_MAX)
			return error_set(err, ERROR_SYSTEM, "containerd does not stay up: it %s; see %s/log/containerd.log",
			                 json_string_or(first, "lastExit", "ended"), task->directory);
		if (!status && !node_identity_is_alive(&task->worker->identity))
			return error_set(err, ERROR_SYSTEM, "the node ended while starting; see %s/log/init.log", task->directory);
		if (cancel_sleep(task->cancel, POLL_MS, err) < 0)
			return error_wrap(err, "wait for containerd");
	}
}

/* What belongs to one life of the node: pod addresses are never given back, and sockets are of processes that have ended. */
static int remove_traces(const struct worker_task *task, struct error *err)
{
	static const char *const folders[] = { "var/lib/cni", "socket" };
	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		FREE_CLEANUP char *path = string_printf("%s/%s", task->directory, folders[i]);
		if (file_remove_tree(path, err) < 0)
			return -1;
	}
	return 0;
}

static int start_node(struct worker_task *task, const struct node_worker_options *options, struct error *err)
{
	if (end_node(task, STOP_GRACE_MS, err) < 0 || remove_traces(task, err) < 0 || environment_save(task->environment, err) < 0 ||
	    node_worker_write(options, err) < 0)
		return -1;
	const struct node_start_options start = {
		.program = task->program,
		.directory = task->directory,
		.prepare = prepare_init,
		.record = record_init,
		.context = task,
	};
	struct node_identity identity;
	return node_start(&start, &identity, err) < 0 ? error_wrap(err, "start the node") : 0;
}

int worker_node_start(struct worker_task *task, struct error *err)
{
	const struct local_environment *environment = task->environment;
	FREE_CLEANUP char *id = local_worker_id(task->worker);
	FREE_CLEANUP char *resolv_conf = read_resolv_conf(err);
	if (!resolv_conf)
		return -1;
	struct node_worker_options options = {
		.names = environment->names,
		.plan = environment->plan,
		.facts = environment->facts,
		.id = id,
		.address = local_worker_address(&environment->plan, task->worker),
		.directory = task->directory,
		.components_root = component_cache_root(component_fetch_cache(task->fetch)),
		.program = task->program,
		.kubelet = task->kubelet,
		.containerd = task->containerd,
		.runc = task->runc,
		.cni_folder = task->cni_folder,
		.pause_image = IMAGE_PAUSE,
		.resolv_conf = resolv_conf,
		.hosts = task->worker->hosts,
		.tenant_pods = task->tenant_pods,
		.bridge_netfilter = file_exists("/proc/sys/net/bridge/bridge-nf-call-iptables"),
	};
	if (local_worker_names(environment->names.name, task->worker, &options.node, err) < 0)
		return -1;
	JSON_CLEANUP json_t *config = node_worker_config(&options);
	if (!is_wanted_node(task, config) && start_node(task, &options, err) < 0)
		return -1;
	return wait_containerd(task, err);
}

/* What pods on a worker run before the user's: the sandbox, the tenant's add-ons. */
static bool is_worker_image(const struct image_entry *entry)
{
	return strstr(entry->references[0], "/pause:") || strstr(entry->references[0], "/kube-proxy:") ||
	       strstr(entry->references[0], "/coredns:");
}

static void show_image(void *context, const char *title, size_t done, size_t total)
{
	struct worker_task *task = context;
	progress_note(task->progress, task->phase, "%s (%zu of %zu)", title, done + 1, total);
}

int worker_node_images(struct worker_task *task, struct error *err)
{
	const char *const versions[] = { task->tenant_version, NULL };
	const bool known = component_lock_find(task->lock, "kubernetes", task->tenant_version, err) != NULL;
	FREE_CLEANUP char *socket = node_worker_containerd_socket(task->directory);
	struct node_images_result result;
	IMAGE_SET_CLEANUP struct image_set *set = image_set_new(task->fetch, known ? versions : NULL, task->program, err);
	if (!set)
		return -1;
	const struct node_images_options options = {
		.ctr = task->ctr,
		.socket = socket,
		.set = set,
		.wanted = is_worker_image,
		.cancel = task->cancel,
		.progress = show_image,
		.context = task,
	};
	return node_images_bring(&options, &result, err);
}

int worker_node_run(const struct worker_task *task, const char *const *arguments, const char *input, struct buffer *output,
                    struct error *err)
{
	static const char *const environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		                                   "LC_ALL=C", NULL };
	enum { ARGUMENTS_MAX = 32 };
	char target[32];
	const char *all[ARGUMENTS_MAX] = { "nsenter", target, "--mount", "--uts", "--ipc", "--net", "--pid", "--" };
	size_t count = 8;
	snprintf(target, sizeof(target), "--target=%d", (int)task->worker->identity.pid);
	for (size_t i = 0; arguments[i] && count < ARGUMENTS_MAX - 1; i++)
		all[count++] = arguments[i];
	if (!node_identity_is_alive(&task->worker->identity))
		return error_set(err, ERROR_NOT_FOUND, "the node of worker %s does not run", task->worker->name);
	uint64_t deadline = cancel_deadline(task->cancel);
	BUFFER_CLEANUP struct buffer complaints = { .limit = CLUSTER_OUTPUT_MAX };
	const struct process_options options = {
		.arguments = all,
		.environment = environment,
		.input = input,
		.input_length = input ? strlen(input) : 0,
		.output = output,
		.error_output = output ? output : &complaints,
		.timeout_ms = deadline == UINT64_MAX ? 0 : clock_until(deadline) + 1,
	};
	return process_run(&options, task->cancel, NULL, err);
}

int worker_node_remove(struct worker_task *task, uint64_t grace_ms, struct error *err)
{
	if (end_node(task, grace_ms, err) < 0)
		return -1;
	return file_remove_tree(task->directory, err);
}
