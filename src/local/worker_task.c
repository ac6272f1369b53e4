/* SPDX-License-Identifier: Apache-2.0 */
#include "local/worker_task.h"

#include <stdio.h>
#include <string.h>

#include "io/file.h"
#include "local/tenant_kubeconfig.h"

int worker_task_open(struct worker_task *task, struct error *err)
{
	FREE_CLEANUP char *id = local_worker_id(task->worker);
	task->directory = environment_node_directory(task->environment, id);
	task->admin_kubeconfig = environment_path(task->environment, "kubeconfig");
	task->lock = component_lock_read(NULL, err);
	const struct component_fetch_options options = { .lock = task->lock };
	task->fetch = task->lock ? component_fetch_new(&options, err) : NULL;
	const char *kubectl = task->fetch ? component_path(task->fetch, "kubernetes", NULL, "kubectl", err) : NULL;
	if (!kubectl)
		return -1;
	task->admin = (struct cluster_tool){ .kubectl = kubectl, .kubeconfig = task->admin_kubeconfig, .cancel = task->cancel };
	task->tenant = (struct cluster_tool){ .kubectl = kubectl, .cancel = task->cancel };
	return 0;
}

void worker_task_close(struct worker_task *task)
{
	char *const texts[] = { task->directory,   task->admin_kubeconfig, task->tenant_kubeconfig, task->tenant_endpoint,
		                task->tenant_pods, task->tenant_version,   task->cni_folder_text };
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		free(texts[i]);
	component_fetch_free(task->fetch);
	component_lock_free(task->lock);
	*task = (struct worker_task){ 0 };
}

/* The first IPv4 range; the node network has no other family. */
static char *first_range(const json_t *tenant)
{
	const json_t *list = json_at(tenant, "spec.networkProfile.podCidrs");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *range = json_string_value(json_array_get(list, i));
		if (range && !strchr(range, ':'))
			return string_dup(range);
	}
	const char *single = json_string_or(tenant, "spec.networkProfile.podCidr", "");
	return string_dup(strchr(single, ':') ? "" : single);
}

static int read_kubeconfig(struct worker_task *task, const char *address, struct error *err)
{
	FREE_CLEANUP char *tenant = string_printf("%s/%s", task->worker->namespace, task->worker->tenant);
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	FREE_CLEANUP char *path = NULL;
	if (tenant_kubeconfig_read(&task->admin, task->environment, tenant, &text, &path, err) < 0)
		return -1;
	static const char key[] = "server: https://";
	const char *server = strstr(text.data, key);
	if (!server)
		return error_set(err, ERROR_CORRUPT, "the kubeconfig of tenant %s names no server", tenant);
	server += strlen(key);
	size_t length = strcspn(server, " \n/");
	task->tenant_endpoint = string_ndup(server, length);
	BUFFER_SECRET_CLEANUP struct buffer direct = { 0 };
	buffer_append(&direct, text.data, (size_t)(server - text.data));
	buffer_printf(&direct, "%s%s", string_empty(address) ? task->tenant_endpoint : address, server + length);
	path[strlen(path) - strlen(".kubeconfig")] = '\0';
	task->tenant_kubeconfig = string_printf("%s.direct.kubeconfig", path);
	task->tenant.kubeconfig = task->tenant_kubeconfig;
	return file_write_atomic(task->tenant_kubeconfig, direct.data, direct.length, 0600, err);
}

int worker_task_find_tenant(struct worker_task *task, struct error *err)
{
	const struct local_worker *worker = task->worker;
	JSON_CLEANUP json_t *tenant =
		cluster_get(&task->admin, err, "tenantcontrolplanes.kamaji.clastix.io", worker->tenant, "-n", worker->namespace, NULL);
	if (!tenant) {
		if (strstr(err->message, "NotFound"))
			return error_set(err, ERROR_NOT_FOUND, "there is no tenant %s/%s in this environment", worker->namespace,
			                 worker->tenant);
		return error_wrap(err, "tenant %s/%s", worker->namespace, worker->tenant);
	}
	const char *status = json_string_or(tenant, "status.kubernetesResources.version.status", "Unknown");
	if (string_equal(status, "Sleeping"))
		return error_set(err, ERROR_INVALID, "the tenant %s/%s sleeps; give it replicas first", worker->namespace, worker->tenant);
	task->tenant_pods = first_range(tenant);
	task->tenant_version = string_dup(json_string_or(tenant, "status.kubernetesResources.version.version",
	                                                 json_string_or(tenant, "spec.kubernetes.version", "")));
	return read_kubeconfig(task, json_string_or(tenant, "status.controlPlaneEndpoint", ""), err);
}

static int choose_version(struct worker_task *task, struct error *err)
{
	struct local_worker *worker = task->worker;
	if (!string_empty(worker->version))
		return 0;
	if (!component_lock_find(task->lock, "kubernetes", task->tenant_version, err))
		return error_wrap(err, "a kubelet for the tenant's version %s", task->tenant_version);
	free(worker->version);
	worker->version = string_dup(task->tenant_version);
	return 0;
}

int worker_task_find_programs(struct worker_task *task, struct error *err)
{
	static const char *const others[] = { "containerd", "runc", "cni-plugins" };
	if (choose_version(task, err) < 0)
		return -1;
	const char *version = task->worker->version;
	if (component_ensure(task->fetch, "kubernetes", version, task->cancel, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		if (component_ensure(task->fetch, others[i], NULL, task->cancel, err) < 0)
			return -1;
	const struct {
		const char *component, *version, *file;
		const char **path;
	} rows[] = {
		{ "kubernetes", version, "kubeadm", &task->kubeadm },
		{ "kubernetes", version, "kubelet", &task->kubelet },
		{ "containerd", NULL, "containerd", &task->containerd },
		{ "containerd", NULL, "ctr", &task->ctr },
		{ "runc", NULL, "runc", &task->runc },
		{ "cni-plugins", NULL, "bridge", &task->cni_folder },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (!(*rows[i].path = component_path(task->fetch, rows[i].component, rows[i].version, rows[i].file, err)))
			return -1;
	task->cni_folder_text = string_dup(task->cni_folder);
	*strrchr(task->cni_folder_text, '/') = '\0';
	task->cni_folder = task->cni_folder_text;
	return 0;
}
