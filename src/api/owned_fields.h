/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is there anything to write? An object is settled when every field we want is there with an equal value, and every field we own there
 * is still wanted. Values compare as the API server would store them: quantities by amount, int-or-string by text, defaults of
 * Kubernetes' own types where we leave a field out, list items by their merge key. What others added is not looked at.
 */
#pragma once

#include <stdbool.h>

#include "base/json.h"

/* Every member of `wanted` is in `live`. Lists with a merge key (containers by name, ports, volumes, mounts, env, owner references by uid)
 * match item by item, whatever their order, with foreign items allowed; other lists must be equal. */
bool owned_fields_match(const json_t *wanted, const json_t *live);
/* A path owned by `manager` in live.metadata.managedFields that `wanted` does not have: it was wanted once and must be removed by applying
 * again. False when the object carries no managedFields (a cache may strip them) or none of that manager. */
bool owned_fields_stale(const json_t *wanted, const json_t *live, const char *manager);
/* Both of the above: nothing to write. */
bool owned_fields_settled(const json_t *wanted, const json_t *live, const char *manager);
/* "1Gi", "1024Mi", "500m", 0.5 ... : true when both are quantities of the same amount. */
bool quantity_equal(const char *a, const char *b);
