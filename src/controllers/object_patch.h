/* SPDX-License-Identifier: Apache-2.0 */
/* Small guarded changes of live objects: finalizers and status. Patches are pure; the calls go to the admin cluster. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "io/cancel.h"

struct kube_client;
struct kube_cache;
struct kube_resource;

/*
 * Appends the JSON-patch operations that make `wanted` of `stored`, both objects at the pointer `path` ("/status"): one for each member that
 * differs, lists whole. Nothing is appended when they are equal.
 */
void object_patch_difference(const json_t *stored, const json_t *wanted, const char *path, json_t *operations);

/*
 * Adds or removes one finalizer by a JSON patch that holds only if the object is still at the resourceVersion of `live` (ERROR_CONFLICT
 * otherwise). Does nothing when it is already so. Leaves every other member of the object alone. The object as stored (new reference)
 * goes to *result when it is not NULL.
 */
int object_patch_finalizer(struct kube_client *client, const struct kube_resource *resource, const json_t *live, const char *finalizer,
                           bool present, json_t **result, struct cancel *cancel, struct error *err);
/* Removes all finalizers, with the same guard. */
int object_patch_clear_finalizers(struct kube_client *client, const struct kube_resource *resource, const json_t *live,
                                  struct cancel *cancel, struct error *err);
bool object_has_finalizer(const json_t *object, const char *finalizer);

/*
 * Writes status when it differs from `base`, the status that it was made from (NULL: none): only the members that differ, so that others,
 * which another controller wrote in the meantime, stay. `live` names the object; ERROR_CONFLICT when it was deleted and made again (uid), or
 * when the members to change are not there any more.
 * *result (may be NULL) gets the stored object, or NULL when nothing was written. New reference.
 */
int object_patch_status(struct kube_client *client, const struct kube_resource *resource, const json_t *live, const json_t *base,
                        const json_t *status, json_t **result, struct cancel *cancel, struct error *err);
