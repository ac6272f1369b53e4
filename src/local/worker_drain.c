/* SPDX-License-Identifier: Apache-2.0 */
/* `worker remove`: what runs on the worker moves away first, then the node ends, then nothing is left of it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "local/environment_worker.h"
#include "local/worker_task.h"

enum { STOP_GRACE_MS = 10000, DRAIN_REASON_MAX = 4096 };

/* Lines that say why a pod stays, each once. */
static void collect_reasons(const struct buffer *complaints, struct buffer *reasons)
{
	STRING_LIST_CLEANUP struct string_list lines = { 0 };
	string_list_split(&lines, complaints->length ? complaints->data : "", '\n');
	string_list_sort(&lines);
	string_list_unique(&lines);
	for (size_t i = 0; i < lines.count && reasons->length < DRAIN_REASON_MAX; i++)
		if (!string_empty(lines.items[i]) && !string_has_prefix(lines.items[i], "Warning: ignoring DaemonSet"))
			buffer_printf(reasons, "  %s\n", lines.items[i]);
}

static int drain(struct worker_task *task, const struct worker_options *options, struct buffer *reasons, struct error *err)
{
	FREE_CLEANUP char *timeout = string_printf("--timeout=%llus", (unsigned long long)(options->timeout_ms / 1000));
	BUFFER_CLEANUP struct buffer complaints = { 0 };
	/* --force: pods without a controller go as well; nobody would make them anew, and the node is going away. */
	if (cluster_run_limited(&task->tenant, options->timeout_ms + 10000, NULL, &complaints, err, "drain", task->worker->name,
	                        "--ignore-daemonsets", "--delete-emptydir-data", "--force", timeout, NULL) == 0)
		return 0;
	struct error cause = *err, ignored;
	collect_reasons(&complaints, reasons);
	if (options->force)
		return 0;
	(void)cluster_run(&task->tenant, NULL, &ignored, "uncordon", task->worker->name, NULL);
	if (cause.class == ERROR_CANCELLED)
		return error_set(err, ERROR_CANCELLED, "interrupted; the node takes pods again");
	return error_set(
		err, ERROR_TIMEOUT,
		"the pods of worker %s could not be evicted within %llu s; it stays and takes pods again (--force removes it all the same)",
		task->worker->name, (unsigned long long)(options->timeout_ms / 1000));
}

/* 1: the tenant has this node, 0: it has not. */
static int node_exists(const struct worker_task *task, struct error *err)
{
	BUFFER_CLEANUP struct buffer found = { 0 };
	if (cluster_run_limited(&task->tenant, 15000, &found, NULL, err, "get", "node", task->worker->name, "--ignore-not-found", "-o",
	                        "name", "--request-timeout=10s", NULL) < 0)
		return error_wrap(err, "ask the tenant (--force removes the worker without it)");
	return found.length != 0;
}

/* Empties the node as far as there is a tenant to ask. */
static int leave_tenant(struct worker_task *task, const struct worker_options *options, struct buffer *reasons, struct error *err)
{
	if (!node_identity_is_alive(&task->environment->state.admin) && !options->force)
		return error_set(
			err, ERROR_INVALID,
			"the environment is not up: 'kamaji local up' starts it, --force removes the worker without asking the tenant");
	if (worker_task_find_tenant(task, err) < 0) {
		task->tenant.kubeconfig = NULL;
		if (err->class == ERROR_NOT_FOUND || options->force)
			return 0; /* nobody to ask */
		return error_wrap(err, "--force removes the worker without asking the tenant");
	}
	int exists = node_exists(task, err);
	if (exists < 0) {
		task->tenant.kubeconfig = NULL;
		return options->force ? 0 : -1;
	}
	if (!exists || task->worker->leaving || !node_identity_is_alive(&task->worker->identity))
		return 0;
	task->phase = progress_begin(task->progress, "drain");
	if (drain(task, options, reasons, err) < 0)
		return -1;
	progress_end(task->progress, task->phase, reasons->length ? "not every pod could be evicted (--force)" : "empty");
	return 0;
}

static int remove_worker(struct worker_task *task, const struct worker_options *options, struct buffer *reasons, struct error *err)
{
	struct local_environment *environment = task->environment;
	FREE_CLEANUP char *namespace = string_dup(task->worker->namespace);
	FREE_CLEANUP char *tenant = string_dup(task->worker->tenant);
	if (worker_task_open(task, err) < 0 || leave_tenant(task, options, reasons, err) < 0)
		return -1;
	task->worker->leaving = true;
	task->phase = progress_begin(task->progress, "node");
	/* The node ends before its object goes: a kubelet that runs would report for a node that is not there. */
	if (environment_save(environment, err) < 0 || worker_node_remove(task, STOP_GRACE_MS, err) < 0)
		return -1;
	if (task->tenant.kubeconfig &&
	    cluster_run(&task->tenant, NULL, err, "delete", "node", task->worker->name, "--ignore-not-found", NULL) < 0 && !options->force)
		return error_wrap(err, "delete the Node");
	local_worker_remove(&environment->state.workers, task->worker);
	task->worker = NULL;
	if (environment_save(environment, err) < 0 || worker_routes_sync(environment, namespace, tenant, err) < 0)
		return -1;
	progress_end(task->progress, task->phase, "gone");
	return 0;
}

int environment_worker_remove(const struct worker_options *options, struct worker_result *ret_result, struct error *err)
{
	ENVIRONMENT_CLEANUP struct local_environment environment = { .lock = -1 };
	*ret_result = (struct worker_result){ 0 };
	if (local_tenant_parse(options->tenant, &ret_result->namespace, &ret_result->tenant, err) < 0)
		return -1;
	if (geteuid() != 0)
		return error_set(err, ERROR_FORBIDDEN, "it ends processes and interfaces of root and needs root: run it with sudo");
	if (environment_open(options->state_root, options->name, true, &environment, err) < 0)
		return -1;
	WORKER_TASK_CLEANUP struct worker_task task = {
		.environment = &environment, .program = options->program, .progress = options->progress, .cancel = options->cancel
	};
	task.worker = local_worker_find(&environment.state.workers, ret_result->namespace, ret_result->tenant, options->worker);
	if (!task.worker) {
		ret_result->was_there = true;
		return 0;
	}
	int result = remove_worker(&task, options, &ret_result->reasons, err);
	progress_abandon(options->progress, result < 0 && err->class == ERROR_CANCELLED);
	progress_finish(options->progress);
	return result;
}
