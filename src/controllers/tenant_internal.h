/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the tenant controller that only its own files use. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "controllers/manager_context.h"
#include "controllers/tenant_controller.h"
#include "controllers/tenant_snapshot.h"
#include "controllers/worker_group.h"

/* What is remembered of a tenant between passes. Only the worker that owns the key touches one. */
struct tenant_record {
	char settled[DIGEST_HEX_SIZE];    /* inputs of the last pass that wrote nothing; "" when there was none */
	char progressed[DIGEST_HEX_SIZE]; /* progress looked at last */
	int64_t renew_at;                 /* seconds since the epoch, 0 when unknown */
	char problem[256];                /* what the last Event told, "" when all was well */
	char phase[32];                   /* last phase written or seen */
};

struct tenant_controller {
	struct manager_context *context;
	struct worker_group *group;
	struct step_options step_options;
	pthread_mutex_t mutex; /* guards records, not what they point to */
	struct map records;    /* key -> struct tenant_record */
	char *remembered;      /* tenant_memory.h: what was loaded, NULL when nothing was */
};

struct tenant_record *tenant_record_of(struct tenant_controller *controller, const char *key);
void tenant_record_forget(struct tenant_controller *controller, const char *key);

/* The worker's function: one look at one tenant. */
int tenant_reconcile(const char *key, struct cancel *cancel, void *controller, struct error *err);

/* A tenant with a deletion timestamp: frees its place in the store, then lets it go. */
int tenant_delete(struct tenant_controller *controller, struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err);

/* Adds or removes a finalizer of the tenant; the caches and snapshot->object follow. *wrote becomes true when it was written. */
int tenant_set_finalizer(struct tenant_snapshot *snapshot, const char *finalizer, bool present, bool *wrote, struct cancel *cancel,
                         struct error *err);
/*
 * Writes `status` when it differs from the stored one. Tells the phase's changes to people. *wrote as above.
 */
int tenant_write_status(struct tenant_controller *controller, struct tenant_snapshot *snapshot, json_t *status, bool *wrote,
                        struct cancel *cancel, struct error *err);
/*
 * The tenant cannot go on: condition Ready=False with reason and message, an Event when this is news, the status written. The phase follows the
 * Deployment all the same. Always -1 with `class` and the message, or with the error of writing.
 */
int tenant_block(struct tenant_controller *controller, struct tenant_snapshot *snapshot, enum error_class class, const char *reason,
                 const char *message, struct cancel *cancel, struct error *err);
/* An Event about the tenant, unless the same was told last. */
void tenant_tell_problem(struct tenant_controller *controller, struct tenant_snapshot *snapshot, const char *reason, const char *message);
