/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building status as upstream writes it: the whole structure exists from the first write on, empty members included, and a member's
 * lastUpdate moves only when something beside it changed. A status under construction is one JSON tree, started from the stored one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"

/* status.kubernetesResources.version.status */
#define PHASE_UNKNOWN "Unknown"
#define PHASE_PROVISIONING "Provisioning"
#define PHASE_CA_ROTATING "CertificateAuthorityRotating"
#define PHASE_UPGRADING "Upgrading"
#define PHASE_MIGRATING "Migrating"
#define PHASE_READY "Ready"
#define PHASE_NOT_READY "NotReady"
#define PHASE_SLEEPING "Sleeping"
#define PHASE_WRITE_LIMITED "WriteLimited"

/* A new tree: a copy of `stored` (may be NULL) with every member of upstream's skeleton added. */
json_t *status_new(const json_t *stored);
/*
 * Sets `members` (stolen) into the object at `path`, leaving others there alone. When any value differs, or lastUpdate is missing, and
 * `stamp` is true, lastUpdate becomes `now` (seconds since the epoch). True when something changed.
 */
bool status_record(json_t *status, const char *path, json_t *members, bool stamp, int64_t now);
/* Replaces the object at `path` by `members` (stolen), keeping lastUpdate when nothing else differs. True when something changed. */
bool status_replace(json_t *status, const char *path, json_t *members, bool stamp, int64_t now);
void status_remove(json_t *status, const char *path);
/* Sets status.kubernetesResources.version.status and, when `version` is not NULL, .version. */
void status_set_phase(json_t *status, const char *phase, const char *version);

/*
 * Sets one metav1.Condition in status.conditions (ours, optional). lastTransitionTime moves only when `value` changes. `value` is
 * "True", "False" or "Unknown"; `reason` is one CamelCase word, `message` for people, cut at 1024 bytes.
 */
void status_set_condition(json_t *status, const char *type, const char *value, const char *reason, const char *message, int64_t generation,
                          int64_t now);
/* The condition of that type, or NULL. Works on every object that keeps its list in `conditions`. */
const json_t *status_condition(const json_t *status, const char *type);

/* True when writing `wanted` over `stored` would change nothing. Without `conditions_supported` (the server pruned them, because
 * upstream's CRD is installed) conditions do not count. */
bool status_equal(const json_t *wanted, const json_t *stored, bool conditions_supported);
/* True when conditions were sent and did not come back: upstream's CRD is installed. */
bool status_conditions_pruned(const json_t *sent, const json_t *received);
