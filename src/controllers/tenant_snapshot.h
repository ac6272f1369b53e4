/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one pass over a tenant reads, frozen. Opening looks at caches only; loading adds what caches do not hold (Secret values, DataStore
 * credentials) with one list request. Belongs to one worker; everything in it lives until tenant_snapshot_close().
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "controllers/data_store_credentials.h"
#include "controlplane/steps.h"
#include "io/cancel.h"
#include "kube/entry.h"
#include "pki/digest.h"

struct manager_context;

struct tenant_snapshot {
	struct manager_context *context;
	struct arena *arena;
	const char *key;
	json_t *object;       /* the tenant as stored; follows what this pass writes */
	const json_t *status; /* what the status under construction was made from; NULL: none */
	struct tenant_control_plane tenant;
	struct step_input input; /* complete after tenant_snapshot_load() */
	struct data_store store;
	json_t *store_object;                         /* NULL: no such DataStore */
	struct data_store_access *access;             /* after loading */
	struct data_store_access **override_accesses; /* tenant.override_count of them, after loading */
	char inputs_digest[DIGEST_HEX_SIZE];          /* controllers/tenant_digest.h */
	char progress_digest[DIGEST_HEX_SIZE];
	bool secrets_known; /* after loading: a cache had one of its Secrets, so this is not its first pass */
	bool conditions_supported;
};

/* 0 with snapshot->object NULL when the tenant does not exist. ERROR_INVALID: the object cannot be read as a tenant. */
int tenant_snapshot_open(struct tenant_snapshot *snapshot, struct manager_context *context, const char *key,
                         const struct step_options *options, struct error *err);
/*
 * Secrets and credentials. ERROR_NOT_FOUND and ERROR_INVALID name the DataStore's field that is wrong.
 */
int tenant_snapshot_load(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err);
void tenant_snapshot_close(struct tenant_snapshot *snapshot);

/*
 * Objects of a tenant of the same name that was deleted before and whose garbage has not been collected: they must not be adopted. Deletes
 * those that are not being deleted yet; ERROR_PENDING when there were any (their end wakes the tenant), 0 when none.
 */
int tenant_snapshot_delete_remains(struct tenant_snapshot *snapshot, struct cancel *cancel, struct error *err);
