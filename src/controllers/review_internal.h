/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the review that only its own files use. */
#pragma once

#include "controllers/manager_context.h"
#include "controllers/review.h"
#include "controllers/tenant_snapshot.h"

struct review_tenant {
	struct manager_context *context;
	struct tenant_snapshot *snapshot;
	struct review *review;
};

/* Appends a finding; field "" when the whole object is meant. change is copied. */
void review_add(struct review_tenant *tenant, const char *kind, const char *name, const char *field, const char *change, bool restarts);
/* Desired against live, both as they are; owned as in kube/apply.h. Values of Secrets are not told. */
void review_compare(struct review_tenant *tenant, const struct desired_object *desired, const json_t *live);
/* Keys and finalizers of a loaded tenant that upstream would change, and what of ours it would leave inside the tenant. */
void review_hand_back(struct review_tenant *tenant);

/* The admin cluster for reading: loop, client and filled caches of a context that has its options. Closed in either case. */
int review_open_cluster(struct manager_context *context, struct error *err);
void review_close_cluster(struct manager_context *context);
