/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Patch (RFC 6902), for spec.kubernetes.kubelet.configurationJSONPatches. */
#pragma once

#include "base/error.h"
#include "base/json.h"

enum { JSON_PATCH_MAXIMUM_OPERATIONS = 1000 };

/*
 * Applies the operations in order to *document (which may be replaced as a whole). On error *document is as it was and err names the
 * operation by index and path. `replace` of an absent member adds it, and `remove` of one does nothing: documented patches of members
 * that not every tenant has (/cgroupDriver, /crashLoopBackOff) must work everywhere.
 */
int json_patch_apply(json_t **document, const json_t *operations, struct error *err);
