/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `worker` share: one worker of an environment that is open for change, with the tools to handle it. */
#pragma once

#include "io/cancel.h"
#include "local/cluster_tool.h"
#include "local/component_fetch.h"
#include "local/environment.h"
#include "local/progress.h"

struct worker_task {
	struct local_environment *environment;
	struct local_worker *worker; /* its record */
	const char *program;
	struct progress *progress;
	struct cancel *cancel;
	unsigned phase;
	/* worker_task_open() */
	struct component_lock *lock;
	struct component_fetch *fetch;
	char *directory; /* nodes/worker-N */
	char *admin_kubeconfig;
	struct cluster_tool admin, tenant; /* tenant.kubeconfig is set by worker_task_find_tenant() */
	/* worker_task_find_tenant() */
	char *tenant_kubeconfig; /* by the address that the operator was given, which this machine reaches in any case */
	char *tenant_endpoint;   /* "host:port" that the tenant's own kubeconfig names */
	char *tenant_pods;       /* IPv4 range of all its pods, "" when it has none */
	char *tenant_version;
	/* worker_task_find_programs() */
	const char *kubeadm, *kubelet, *containerd, *ctr, *runc, *cni_folder;
	char *cni_folder_text;
};

/* The caller set the first members. */
int worker_task_open(struct worker_task *task, struct error *err);
void worker_task_close(struct worker_task *task);
#define WORKER_TASK_CLEANUP __attribute__((cleanup(worker_task_close)))

/* ERROR_NOT_FOUND: the admin cluster has no such tenant. */
int worker_task_find_tenant(struct worker_task *task, struct error *err);
/* Makes the components of the worker's version present. Chooses the version when the record has none. */
int worker_task_find_programs(struct worker_task *task, struct error *err);

/* worker_node.c */
int worker_node_start(struct worker_task *task, struct error *err);
int worker_node_images(struct worker_task *task, struct error *err);
/* Ends the node and removes everything of it but its record. grace_ms: for an orderly end. */
int worker_node_remove(struct worker_task *task, uint64_t grace_ms, struct error *err);
/* Runs a program in the node's namespaces. input and output may be NULL. */
int worker_node_run(const struct worker_task *task, const char *const *arguments, const char *input, struct buffer *output,
                    struct error *err);

/* worker_routes.c: every running worker of the tenant gets routes to the pods of all others, and loses those to workers that are gone. */
int worker_routes_sync(struct local_environment *environment, const char *namespace, const char *tenant, struct error *err);
/* The change from what `ip -j route` printed on the node to the wanted routes, as input of `ip -batch`. Pure. */
int worker_routes_plan(const char *routes_json, size_t length, const struct local_worker_list *workers, const struct local_worker *self,
                       const struct local_address_plan *plan, struct buffer *batch, struct error *err);

/* worker_join.c: a bootstrap token and `kubeadm join`. */
int worker_join(struct worker_task *task, struct error *err);
/* The command that `kubeadm token create --print-join-command` prints; free(), the token with secret_free(). Pure. */
int worker_join_parse(const char *command, char **ret_token, char **ret_hash, struct error *err);
/* JoinConfiguration in the version that this kubeadm reads; secret_free(). Pure. */
char *worker_join_config(const char *kubeadm_version, const char *endpoint, const char *token, const char *hash, const char *node);
