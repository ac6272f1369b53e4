/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of operators would do, found out by reading alone: the admin cluster is read (caches of our own, Secrets, DataStores'
 * credentials), nothing is written, no Lease is taken, no DataStore is connected to; handing back asks running tenants for one object.
 *
 * Taking over: for every tenant one pass of the step table over what is live. A finding is a value that the pass would set to something
 * else, an object it would create or delete, or a member that the earlier operator wrote and nobody wants any more. Moving ownership from
 * one field manager to another is no finding.
 *
 * Handing back: what upstream (contract of ARCHITECTURE.md's baseline) makes of the objects as they stand: it compares checksums,
 * command lines and templates in its own way. And what it would leave inside tenants (hand_back.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/json.h"
#include "controllers/manager_options.h"

enum review_direction { REVIEW_TAKE_OVER, REVIEW_HAND_BACK };

struct review {
	/* One object each: tenant "namespace/name", kind, name, field, change (for people), restarts (a pod would be replaced). Sorted by
	 * tenant. No value of a Secret is in it. */
	json_t *findings;
	json_t *tenants; /* "namespace/name" of all that were looked at */
};
void review_free(struct review *review);
#define REVIEW_CLEANUP __attribute__((cleanup(review_free)))

/* Blocks for the time of reading. -1: nothing could be found out; a tenant that cannot be read is a finding, not an error. */
int review_run(const struct manager_options *options, enum review_direction direction, struct review *review, struct error *err);
