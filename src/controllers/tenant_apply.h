/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the desired objects of one stage, side by side, each only when it differs. The Secrets of the CAs and of the
 * service-account key, when they did not exist, are created, never applied over: if another writer was faster the pass ends with
 * ERROR_CONFLICT and the next one adopts what that writer made.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "controllers/tenant_snapshot.h"
#include "controlplane/steps.h"
#include "io/cancel.h"

/* Work to be done beside the writes, on the calling thread. Its error counts like a write's. */
typedef int (*tenant_apply_beside)(void *argument, struct cancel *cancel, struct error *err);

/*
 * *wrote becomes true when anything was written (never false). Objects that the server answered with are given to the pass (Service,
 * Deployment). The first error wins; everything that was begun is waited for.
 */
int tenant_apply_stage(struct tenant_snapshot *snapshot, struct pass *pass, enum step_stage stage, tenant_apply_beside beside,
                       void *beside_argument, bool *wrote, struct cancel *cancel, struct error *err);
