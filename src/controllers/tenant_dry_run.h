/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the API server whether the Deployment of a tenant would be accepted, before the tenant is. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "io/cancel.h"

struct manager_context;

/*
 * `tenant` is the object as it would be stored, of a tenant that exists. Renders its Deployment from what is live and applies it with
 * dryRun. ERROR_INVALID: refused, with the API server's words. ERROR_PENDING: nothing can be rendered yet. Any thread; writes nothing.
 */
int tenant_dry_run(struct manager_context *context, const json_t *tenant, struct cancel *cancel, struct error *err);
