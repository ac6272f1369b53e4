/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers that an environment has: what state.json remembers of each. A record is written before anything of the worker is made and
 * goes last, so an interrupted command loses none. `number` gives everything that belongs to this machine (address, folder, cgroup,
 * interface); the Node object in the tenant is called `name`, and two tenants may use the same one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/json.h"
#include "local/local_address.h"
#include "local/local_names.h"
#include "local/node_start.h"

enum {
	LOCAL_WORKERS_MAX = 64,
	LOCAL_WORKER_NAME_MAX = 60 /* a host name */
};

struct local_worker {
	unsigned number;          /* 1 and up */
	char *namespace, *tenant; /* of the TenantControlPlane */
	char *name;               /* of the Node */
	char *version;            /* of its kubelet, "v1.36.3" */
	char *hosts;              /* further lines for its /etc/hosts; "" when none */
	char *endpoint;           /* "host:port" that it joined through; "" for the tenant's own */
	char *pods;               /* range of its pods as the tenant assigned it; "" until then */
	bool joined;              /* its kubelet has a certificate of the tenant */
	bool leaving;             /* drained: `remove` was interrupted behind that point */
	struct node_identity identity;
};

struct local_worker_list {
	struct local_worker *items; /* in the order of their numbers */
	size_t count;
};

/* "NAME" (namespace default) or "NAMESPACE/NAME"; both free(). */
int local_tenant_parse(const char *text, char **ret_namespace, char **ret_name, struct error *err);

/* Borrowed, valid until the list changes. NULL when there is none. */
struct local_worker *local_worker_find(const struct local_worker_list *list, const char *namespace, const char *tenant, const char *name);
/* A record with the lowest free number. ERROR_EXHAUSTED when there are LOCAL_WORKERS_MAX. */
struct local_worker *local_worker_new(struct local_worker_list *list, const char *namespace, const char *tenant, const char *name,
                                      struct error *err);
void local_worker_remove(struct local_worker_list *list, const struct local_worker *worker);
void local_worker_list_free(struct local_worker_list *list);

/* "worker-3". */
char *local_worker_id(const struct local_worker *worker);
/* Names on the machine; the host name is the worker's own. */
int local_worker_names(const char *environment, const struct local_worker *worker, struct local_node_names *ret_names, struct error *err);
uint32_t local_worker_address(const struct local_address_plan *plan, const struct local_worker *worker);

/* Members "worker-N" of the object `nodes` of state.json. */
void local_worker_list_write(const struct local_worker_list *list, json_t *nodes);
int local_worker_list_read(const json_t *nodes, struct local_worker_list *ret_list, struct error *err);
