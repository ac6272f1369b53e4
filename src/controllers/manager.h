/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager as one object: client of the admin cluster, caches, election, controllers, probe and metrics servers. Life:
 *
 *   manager_new -> manager_run (blocks until stopped or until the Lease is lost) -> manager_free
 *
 * Probes: /healthz is 200 while the process runs; /readyz is 200 from the moment the caches are filled until the stop begins,
 * leader or not. Only the leader reconciles.
 */
#pragma once

#include "base/error.h"
#include "controllers/manager_options.h"

struct manager;

struct manager_context;

/*
 * Something that lives beside the controllers on what the manager holds: the webhooks, which this room may not know. Any function may be
 * NULL; they are called by the thread of manager_run() and manager_free().
 */
struct manager_extension {
	int (*start)(struct manager_context *context, void *argument, struct error *err); /* the caches are filled; -1 ends the manager */
	void (*lead)(void *argument);    /* the Lease is held and the controllers run; once, in the first term */
	void (*stop)(void *argument);    /* the controllers have ended; also after a failed start */
	void (*release)(void *argument); /* the caches are gone */
	void *argument;
};

struct manager *manager_new(const struct manager_options *options, struct error *err);
void manager_set_extension(struct manager *manager, const struct manager_extension *extension); /* before manager_run(); copied */
/*
 * Runs until manager_stop(). 0 after a graceful stop (readiness false, nothing new begun, work under way finished or given up at
 * stop_grace_ms, Lease released). A Lease that is lost ends the work under way, not the process: it stands for election again, its caches
 * filled. -1 when it cannot go on.
 */
int manager_run(struct manager *manager, struct error *err);
void manager_stop(struct manager *manager); /* any thread; returns at once */
void manager_free(struct manager *manager);
