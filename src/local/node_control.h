/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking to a node's init over its control socket, DIRECTORY/control. One request per connection. The status object:
 *
 *   {"name","role","hostname","stopping":bool,"uptimeSeconds":n,"configuration":"DIGEST",
 *    "processes":[{"name","state":"waiting|starting|ready|backoff|stopped","pid":n (in the node's PID namespace),"restarts":n,
 *                  "seconds":n (since the last start),"startupMilliseconds":n (start to ready, 0 while unknown),
 *                  "residentBytes":n,"lastExit":"exited with 1"|...}]}
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

enum { NODE_CONTROL_ANSWER_MAX = 256 * 1024, NODE_CONTROL_TIMEOUT_MS = 3000 };

/* Opens a listening socket at DIRECTORY/control, replacing a stale one. Paths longer than a socket address holds are reached through
 * the folder's descriptor. Returns the descriptor or -1. */
int node_control_listen(const char *directory, struct error *err);

/* New reference, or NULL. ERROR_NOT_FOUND: no init listens there. */
json_t *node_control_status(const char *directory, struct error *err);
int node_control_stop(const char *directory, struct error *err);
