/* SPDX-License-Identifier: Apache-2.0 */
#include "local/environment_worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/file.h"
#include "local/cluster_explain.h"
#include "local/host_settings.h"
#include "local/local_index.h"
#include "local/node_control.h"
#include "local/node_worker.h"
#include "local/worker_task.h"

enum { POLL_MS = 300, RETURN_LIMIT_MS = 180000 };

/*
 * What `kubeadm join` asks a tenant for. The operator puts it there once the API server answers, so a tenant that has just become Ready may
 * not have it yet.
 */
static int look_at_tenant(const struct worker_task *task, struct error *err)
{
	if (cluster_run(&task->tenant, NULL, err, "get", "-n", "kube-public", "configmap/cluster-info",
	                "role/kubeadm:bootstrap-signer-clusterinfo", "-o", "name", "--request-timeout=3s", NULL) < 0)
		return -1;
	return cluster_run(&task->tenant, NULL, err, "get", "-n", "kube-system", "configmap/kubeadm-config", "configmap/kubelet-config",
	                   "role/kubeadm:kubelet-config", "clusterrolebinding/kubeadm:kubelet-bootstrap",
	                   "clusterrolebinding/kubeadm:node-autoapprove-bootstrap", "-o", "name", "--request-timeout=3s", NULL);
}

static int wait_tenant(const struct worker_task *task, struct error *err)
{
	struct error last = { 0 };
	while (look_at_tenant(task, &last) < 0)
		if (cancel_sleep(task->cancel, POLL_MS, err) < 0) {
			if (err->class == ERROR_TIMEOUT)
				return error_set(err, ERROR_TIMEOUT, "the tenant is not ready for nodes: %s", last.message);
			return -1;
		}
	return 0;
}

/* A kubelet that has its certificate needs no token again. */
static bool has_certificate(const struct worker_task *task)
{
	FREE_CLEANUP char *path = string_printf("%s/kubernetes/kubelet.conf", task->directory);
	return file_exists(path);
}

/* Another machine's node of this name, or one whose record was lost, would be taken over by a kubelet that is not it. */
static int check_name(const struct worker_task *task, struct error *err)
{
	BUFFER_CLEANUP struct buffer found = { 0 };
	const struct local_worker *worker = task->worker;
	if (cluster_run(&task->tenant, &found, err, "get", "node", worker->name, "--ignore-not-found", "-o", "name", NULL) < 0)
		return -1;
	if (found.length == 0)
		return 0;
	return error_set(
		err, ERROR_EXISTS,
		"the tenant %s/%s has a node '%s' already, which is no worker of this environment; choose another name, or delete it",
		worker->namespace, worker->tenant, worker->name);
}

static int join(struct worker_task *task, struct error *err)
{
	if (!has_certificate(task)) {
		/* What a join that was cut off left is of no use to the next. */
		if (check_name(task, err) < 0 || worker_node_remove(task, 0, err) < 0)
			return -1;
	}
	task->phase = progress_begin(task->progress, "node");
	if (worker_node_start(task, err) < 0)
		return -1;
	progress_end(task->progress, task->phase, "containerd is ready");
	task->phase = progress_begin(task->progress, "images");
	if (worker_node_images(task, err) < 0)
		return error_wrap(err, "images");
	progress_end(task->progress, task->phase, "pause, kube-proxy, CoreDNS");
	if (!has_certificate(task)) {
		task->phase = progress_begin(task->progress, "kubeadm join");
		if (worker_join(task, err) < 0)
			return -1;
		progress_end(task->progress, task->phase, task->worker->version);
	}
	task->worker->joined = true;
	return environment_save(task->environment, err);
}

/* The controller manager of the tenant gives every node a part of the tenant's pod range. */
static int wait_pods_range(struct worker_task *task, struct error *err)
{
	struct local_worker *worker = task->worker;
	for (;;) {
		BUFFER_CLEANUP struct buffer range = { 0 };
		struct error ignored;
		if (cluster_run(&task->tenant, &range, &ignored, "get", "node", worker->name, "-o", "jsonpath={.spec.podCIDR}", NULL) ==
		            0 &&
		    range.length && !strchr(range.data, ':')) {
			free(worker->pods);
			worker->pods = string_dup(range.data);
			return environment_save(task->environment, err);
		}
		if (string_empty(task->tenant_pods))
			return error_set(err, ERROR_INVALID,
			                 "the tenant has no IPv4 pod range (spec.networkProfile.podCidr), so its nodes get none");
		if (cancel_sleep(task->cancel, POLL_MS, err) < 0)
			return error_wrap(err, "wait for the pod range of node %s", worker->name);
	}
}

static int make_ready(struct worker_task *task, struct error *err)
{
	struct local_worker *worker = task->worker;
	FREE_CLEANUP char *object = string_printf("node/%s", worker->name);
	bool bridge = file_exists("/proc/sys/net/bridge/bridge-nf-call-iptables");
	task->phase = progress_begin(task->progress, "Ready");
	if (wait_pods_range(task, err) < 0 || node_worker_write_cni(task->directory, worker->pods, bridge, err) < 0 ||
	    worker_routes_sync(task->environment, worker->namespace, worker->tenant, err) < 0)
		return -1;
	if (cluster_wait(&task->tenant, NULL, object, "condition=Ready", err) < 0)
		return error_wrap(err, "node %s", worker->name);
	progress_end(task->progress, task->phase, worker->pods);
	return 0;
}

/* kube-proxy sets a limit of connections that belongs to the whole machine and cannot be set from within a node. */
static int prepare_machine(struct error *err)
{
	LOCAL_INDEX_CLEANUP struct local_index index = { .lock = -1 };
	if (local_index_open(LOCAL_INDEX_FOLDER, &index, err) < 0)
		return -1;
	return host_settings_apply_workers(&index, err);
}

static int bring(struct worker_task *task, struct error *err)
{
	task->phase = progress_begin(task->progress, "components");
	if (worker_task_find_programs(task, err) < 0)
		return error_wrap(err, "components");
	progress_end(task->progress, task->phase, task->worker->version);
	task->phase = progress_begin(task->progress, "tenant");
	if (wait_tenant(task, err) < 0)
		return -1;
	progress_end(task->progress, task->phase, task->tenant_endpoint);
	if (prepare_machine(err) < 0 || join(task, err) < 0)
		return -1;
	return make_ready(task, err);
}

static void explain_failure(const struct worker_task *task, struct buffer *reasons)
{
	struct error err;
	JSON_CLEANUP json_t *status = task->directory ? node_control_status(task->directory, &err) : NULL;
	if (status)
		cluster_explain_node(status, task->directory, reasons);
	if (task->tenant.kubeconfig && task->worker->joined)
		cluster_explain_object(&(struct cluster_tool){ .kubectl = task->tenant.kubectl, .kubeconfig = task->tenant.kubeconfig },
		                       "default", "node", task->worker->name, reasons);
}

static int open_running(const struct worker_options *options, struct local_environment *environment, struct error *err)
{
	if (geteuid() != 0)
		return error_set(err, ERROR_FORBIDDEN, "it makes namespaces and interfaces and needs root: run it with sudo");
	if (environment_open(options->state_root, options->name, false, environment, err) < 0)
		return -1;
	bool absent = environment->state.phase == LOCAL_ABSENT;
	environment_close(environment);
	if (absent)
		return error_set(err, ERROR_NOT_FOUND, "there is no environment '%s' in %s; 'kamaji local up' makes one", options->name,
		                 options->state_root);
	if (environment_open(options->state_root, options->name, true, environment, err) < 0)
		return -1;
	if (environment->state.phase == LOCAL_UP && node_identity_is_alive(&environment->state.admin))
		return 0;
	environment_close(environment);
	return error_set(err, ERROR_INVALID, "the environment '%s' is not up; 'kamaji local up' starts it", options->name);
}

static int fill_record(struct local_worker *worker, const struct worker_options *options, struct error *err)
{
	struct buffer hosts = { 0 };
	FREE_CLEANUP char *host = NULL;
	uint16_t port;
	if (!string_empty(options->endpoint) && string_split_host_port(options->endpoint, "--endpoint", &host, &port, err) < 0)
		return -1;
	for (size_t i = 0; options->hosts && i < options->hosts->count; i++) {
		const char *entry = options->hosts->items[i], *equals = strchr(entry, '=');
		FREE_CLEANUP char *name = equals ? string_ndup(entry, (size_t)(equals - entry)) : NULL;
		uint32_t address;
		if (!name || !name_is_dns1123_subdomain(name) || local_address_parse(equals + 1, &address, err) < 0) {
			buffer_free(&hosts);
			return error_set(err, ERROR_INVALID, "--host: '%.128s' is not NAME=ADDRESS", entry);
		}
		buffer_printf(&hosts, "%s %s\n", equals + 1, name);
	}
	if (!string_empty(options->endpoint)) {
		free(worker->endpoint);
		worker->endpoint = string_dup(options->endpoint);
	}
	if (hosts.length) {
		free(worker->hosts);
		worker->hosts = buffer_take(&hosts);
	}
	return 0;
}

static void describe(const struct worker_task *task, struct worker_result *result)
{
	const struct local_worker *worker = task->worker;
	local_address_format(local_worker_address(&task->environment->plan, worker), result->address);
	result->version = string_dup(worker->version);
	result->pods = string_dup(worker->pods);
}

/* A record that nothing was made for yet would only be in the way. */
static void forget_unmade(struct local_environment *environment, const struct local_worker *worker)
{
	struct error ignored;
	local_worker_remove(&environment->state.workers, worker);
	(void)environment_save(environment, &ignored);
}

static int add(const struct worker_options *options, struct local_environment *environment, struct cancel *cancel,
               struct worker_result *result, struct error *err)
{
	struct local_worker_list *workers = &environment->state.workers;
	WORKER_TASK_CLEANUP struct worker_task task = {
		.environment = environment, .program = options->program, .progress = options->progress, .cancel = cancel
	};
	task.worker = local_worker_find(workers, result->namespace, result->tenant, options->worker);
	bool is_new = !task.worker;
	if (task.worker && task.worker->leaving)
		return error_set(err, ERROR_EXISTS, "the worker '%s' is being removed; end that with 'kamaji local worker remove'",
		                 options->worker);
	if (is_new && !(task.worker = local_worker_new(workers, result->namespace, result->tenant, options->worker, err)))
		return -1;
	if (fill_record(task.worker, options, err) < 0 || worker_task_open(&task, err) < 0 || worker_task_find_tenant(&task, err) < 0 ||
	    environment_save(environment, err) < 0) {
		if (is_new)
			forget_unmade(environment, task.worker);
		return -1;
	}
	result->was_there = task.worker->joined && node_identity_is_alive(&task.worker->identity);
	int done = bring(&task, err);
	if (done == 0)
		describe(&task, result);
	else if (err->class != ERROR_CANCELLED)
		explain_failure(&task, &result->reasons);
	return done;
}

int environment_worker_add(const struct worker_options *options, struct worker_result *ret_result, struct error *err)
{
	ENVIRONMENT_CLEANUP struct local_environment environment = { .lock = -1 };
	*ret_result = (struct worker_result){ 0 };
	if (local_tenant_parse(options->tenant, &ret_result->namespace, &ret_result->tenant, err) < 0 ||
	    open_running(options, &environment, err) < 0)
		return -1;
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(options->cancel, clock_monotonic_ms() + options->timeout_ms);
	int result = add(options, &environment, cancel, ret_result, err);
	struct error stopped;
	/* A child that was stopped at the deadline says "cancelled"; it was nobody's wish. */
	if (result < 0 && err->class == ERROR_CANCELLED && cancel_check(cancel, &stopped) < 0)
		err->class = stopped.class;
	progress_abandon(options->progress, result < 0 && err->class == ERROR_CANCELLED);
	progress_finish(options->progress);
	return result;
}

static int bring_recorded(struct worker_task *task, struct buffer *reasons, struct error *err)
{
	const struct local_worker *worker = task->worker;
	if (worker->leaving) {
		progress_print(task->progress, "     worker %s waits for 'kamaji local worker remove %s/%s %s'", worker->name,
		               worker->namespace, worker->tenant, worker->name);
		return 0;
	}
	if (worker_task_open(task, err) < 0)
		return -1;
	if (worker_task_find_tenant(task, err) < 0) {
		if (err->class != ERROR_NOT_FOUND && err->class != ERROR_INVALID)
			return -1;
		progress_print(task->progress, "     worker %s stays away: %s", worker->name, err->message);
		return 0;
	}
	if (bring(task, err) == 0)
		return 0;
	progress_fail(task->progress, task->phase);
	explain_failure(task, reasons);
	return error_wrap(err, "worker %s of %s/%s", worker->name, worker->namespace, worker->tenant);
}

int environment_workers_bring(struct local_environment *environment, const char *program, struct cancel *cancel, struct progress *progress,
                              struct buffer *reasons, struct error *err)
{
	struct local_worker_list *workers = &environment->state.workers;
	int result = 0;
	for (size_t i = 0; i < workers->count; i++) {
		struct error one, stopped;
		CANCEL_CLEANUP struct cancel *limit = cancel_new(cancel, clock_monotonic_ms() + RETURN_LIMIT_MS);
		WORKER_TASK_CLEANUP struct worker_task task = {
			.environment = environment, .worker = &workers->items[i], .program = program, .progress = progress, .cancel = limit
		};
		if (bring_recorded(&task, reasons, &one) == 0)
			continue;
		/* A child that was stopped at the deadline says "cancelled"; it was nobody's wish. */
		if (one.class == ERROR_CANCELLED && cancel_check(limit, &stopped) < 0)
			one.class = stopped.class;
		/* The others come back all the same. */
		if (result == 0)
			*err = one;
		result = -1;
		if (cancel_is_triggered(cancel))
			break;
	}
	return result;
}

void worker_result_free(struct worker_result *result)
{
	free(result->namespace);
	free(result->tenant);
	free(result->version);
	free(result->pods);
	buffer_free(&result->reasons);
	*result = (struct worker_result){ 0 };
}
