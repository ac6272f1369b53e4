/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The init of a node (PID 1 of its PID namespace): starts the processes of the configuration in order of their readiness, starts those
 * that die again with back-off, reaps orphans, writes every process's output to a log of bounded size, answers on a control socket, and
 * on SIGTERM or a "stop" request ends everything, stores last. One thread, one poll loop. When it returns, init exits and the kernel
 * ends what is left in the PID namespace.
 *
 * A process:
 *
 *   waiting --all of `after` were ready once--> starting --probe--> ready
 *      ^                                            |                 |
 *      +------------- delay over -- backoff <-------+---- it died ----+
 *
 * Control socket: a client sends one line. "status" is answered with one JSON object, then closed (see node_control.h). "stop" closes
 * the connection and begins the end.
 */
#pragma once

#include "base/error.h"
#include "local/node_config.h"

enum {
	NODE_LOG_LIMIT = 8 * 1024 * 1024, /* bytes of a log file before it is rotated */
	NODE_PROBE_INTERVAL_MS = 100,     /* between readiness probes while starting */
	NODE_STOP_GRACE_MS = 2000,        /* from SIGTERM to SIGKILL for everything that is no store */
	NODE_STORE_GRACE_MS = 5000        /* the same for stores */
};

/* Runs until asked to stop. Signals must not have been read by anyone else. -1: could not begin. */
int node_supervisor_run(const struct node_config *config, struct error *err);
