/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One environment: its name, its folder and what is recorded there.
 *
 *   ROOT/NAME/lock            held by the command that changes the environment
 *   ROOT/NAME/state.json      phase, block of addresses and the identity of running nodes; written before a node runs, so no crash loses one
 *   ROOT/NAME/pki/            local_pki.h
 *   ROOT/NAME/nodes/NODE/     configuration, log/, var/ (etcd, containerd, kubelet), control socket
 *   ROOT/NAME/kubeconfig      of the admin cluster, for people; tenants/NAMESPACE/NAME.kubeconfig of tenants
 *
 * Nothing of an environment is outside this folder except, while it is up, what the kernel holds for it (processes, mounts in the node's
 * namespace, cgroups, interfaces, firewall table), the settings of host_settings.h and a line in local_index.h; `down` ends all of that.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "local/host_facts.h"
#include "local/local_address.h"
#include "local/local_names.h"
#include "local/local_worker.h"
#include "local/node_start.h"

#define LOCAL_STATE_ROOT "/var/lib/kamaji/local"
#define LOCAL_DEFAULT_NAME "kamaji"

enum { LOCAL_STATE_BYTES_MAX = 1024 * 1024, LOCAL_STATE_VERSION = 1, LOCAL_DIRECTORY_MAX = 70 };

enum local_phase { LOCAL_ABSENT, LOCAL_STARTING, LOCAL_UP, LOCAL_STOPPING, LOCAL_DOWN };

struct local_state {
	enum local_phase phase;
	struct node_identity admin;
	unsigned further_count; /* nodes of the admin cluster beside the admin node; never less than it was */
	struct node_identity further[LOCAL_ADMIN_NODES_MAX - 1];
	struct local_worker_list workers;
	bool has_block;
	struct local_cidr block; /* given at the first `up`, kept until the folder is removed */
	bool audit;
	bool own_store; /* stores are `kamaji datastore`, not etcd; chosen at the first `up` */
	json_t *times;  /* of the last `up`, progress_times(); NULL when none */
};

struct local_environment {
	struct local_names names;
	char *root, *directory;
	struct local_address_plan plan; /* valid when state.has_block */
	struct local_state state;
	struct host_facts facts;
	int lock; /* -1: opened for looking */
};

/* JSON text of a state and back. A damaged text is ERROR_CORRUPT. */
char *local_state_write(const struct local_state *state);
int local_state_parse(const char *text, size_t length, struct local_state *ret_state, struct error *err);
void local_state_free(struct local_state *state);
const char *local_phase_name(enum local_phase phase);
const char *local_store_name(bool own_store); /* "kamaji" or "etcd" */

/*
 * change: makes the folder and takes the lock (ERROR_EXISTS when another command has it); a damaged state file is then set aside as
 * state.json.damaged and the kernel's own records (cgroups, interfaces) are relied on. Without change, nothing is written and an
 * environment that was never made has the phase LOCAL_ABSENT.
 */
int environment_open(const char *root, const char *name, bool change, struct local_environment *ret_environment, struct error *err);
void environment_close(struct local_environment *environment);
#define ENVIRONMENT_CLEANUP __attribute__((cleanup(environment_close)))
int environment_save(struct local_environment *environment, struct error *err);
/* Names of the environments that have a state file in this folder, sorted. */
void environment_names(const char *root, struct string_list *names);
/* Blocks of the other environments of the same folder, up or not. local_route_list_free(). */
void environment_reserved_blocks(const struct local_environment *environment, struct local_route_list *ret_blocks);
/* Gives the environment its block. */
int environment_set_block(struct local_environment *environment, struct local_cidr block, struct error *err);

/* Nodes of the admin cluster, numbered from 1; the admin node is the first. */
unsigned local_state_node_count(const struct local_state *state);
struct node_identity *local_state_node(struct local_state *state, unsigned number);

/* Paths; free(). */
char *environment_path(const struct local_environment *environment, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *environment_node_directory(const struct local_environment *environment, const char *node);

/* Ends one node and clears the kernel of it. id: "worker-3". Keeps files; *identity is zero then, and not saved. */
int environment_end_node(const struct local_environment *environment, const char *id, struct node_identity *identity, uint64_t grace_ms,
                         struct error *err);
/*
 * Ends every process of the environment and removes its cgroups, interfaces, routes and firewall table, whatever state an earlier command
 * left it in. Known by identity, cgroup and name only, never by what a process is called. Keeps files. grace_ms: for an orderly end.
 */
int environment_sweep(struct local_environment *environment, uint64_t grace_ms, struct error *err);
/* Names everything that environment_sweep() would have to remove. Empty after `down`. */
void environment_leftovers(const struct local_environment *environment, struct string_list *found);
