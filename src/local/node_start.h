/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and ending the namespaces of a node from the host.
 *
 * Identity: a PID alone may belong to somebody else after a restart, so a node is known by its init's PID, that process's start time
 * and the inode of its PID namespace. All three must agree before anything is signalled.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

struct node_identity {
	pid_t pid;              /* of init, on the host; 0 = none */
	uint64_t start_ticks;   /* field 22 of /proc/PID/stat */
	uint64_t pid_namespace; /* inode of /proc/PID/ns/pid */
};

struct node_start_options {
	const char *program;   /* absolute path of this program */
	const char *directory; /* of the node: node.json is given to node-init, log/init.log takes its stdout and stderr, appended */
	/* Called on the host when the namespaces exist and before init runs: puts init into its cgroups, moves its interface. Its failure
	 * ends the new process. May be NULL. */
	int (*prepare)(pid_t init, void *context, struct error *err);
	void *context;
	/* Called after prepare, before init is let go, to record the identity: a crash of the caller must not lose a running node. */
	int (*record)(const struct node_identity *identity, void *context, struct error *err);
};

int node_start(const struct node_start_options *options, struct node_identity *ret_identity, struct error *err);

/* Fills start_ticks and pid_namespace of a living process. ERROR_NOT_FOUND when there is none. */
int node_identity_read(pid_t pid, struct node_identity *ret_identity, struct error *err);
bool node_identity_is_alive(const struct node_identity *identity);
/* SIGTERM, waits up to grace_ms for init to end, SIGKILL, waits for the kernel to end the whole PID namespace. Nothing to do when it is
 * not alive. */
int node_identity_end(const struct node_identity *identity, uint64_t grace_ms, struct error *err);

json_t *node_identity_to_json(const struct node_identity *identity);
void node_identity_from_json(const json_t *value, struct node_identity *ret_identity); /* zero when absent or malformed */
