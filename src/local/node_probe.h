/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness probes of a node's processes: one attempt at a time, never blocking, driven by the supervisor's poll loop. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "local/node_config.h"

enum node_probe_state { NODE_PROBE_IDLE, NODE_PROBE_RUNNING, NODE_PROBE_PASSED, NODE_PROBE_FAILED };

struct node_probe {
	enum node_probe_state state;
	pid_t child; /* of an exec probe under way, else 0 */
};

/* Begins an attempt; socket probes are over at once (local addresses only, so a connect does not wait). */
void node_probe_begin(struct node_probe *probe, const struct node_process *process);
/* The supervisor reaped this child: true when it was the probe's. */
bool node_probe_reaped(struct node_probe *probe, pid_t child, int wait_status);
/* Gives an attempt up: the process it asks about has died. */
void node_probe_abandon(struct node_probe *probe);
