/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply of a desired object, but only when it would change something: converged means no request at all, also after a restart.
 *
 * What is compared. Applying `desired` changes nothing exactly when
 *   1. every member of `desired` has its value in the live object, and
 *   2. our field manager already owns exactly the members of `desired`: one it owns that is no longer desired must be given up (that is how
 *      removed members disappear), one that it does not own yet must be taken.
 * For 2 the entry keeps the fieldsV1 of our manager's Apply record from managedFields (entry.owned), which the server keeps for us: no read
 * and no memory of ours is needed after a restart. fieldsV1 also tells which arrays are keyed (k:{...}), sets (v:...) or atomic, so foreign
 * additions to keyed lists (an injected container) do not count as differences. The walk goes over (desired, owned, live) together.
 *
 * Values are equal when they are equal JSON, or numerically equal, or equal as Kubernetes quantities where a quantity stands ("1000m", "1";
 * under `limits`, `requests`, `capacity`, `storage`, `sizeLimit` and the like), or 80 and "80". null, {} and [] equal "absent".
 *
 * Some differences can never be applied away: members that the server prunes or rewrites (unknown to its CRD, mutated by a webhook). After
 * an apply the differences that remain are remembered, in memory, by object uid with the hash of `desired`; the same remainder for the
 * same desired object is "nothing to do". A restart costs one apply for such an object, which the server answers without a new
 * resourceVersion.
 *
 * Secrets in caches are digests (kube_secret_digest()); the desired Secret is digested in a copy before it is compared.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/entry.h"

struct kube_applier;

/* One for the process or per cluster; any thread. field_manager NULL: "kamaji". */
struct kube_applier *kube_applier_new(const char *field_manager);
void kube_applier_free(struct kube_applier *applier);
/* Drops what is remembered of an object that is gone. */
void kube_applier_forget(struct kube_applier *applier, const char *uid);

struct kube_apply_request {
	struct kube_client *client;
	const struct kube_resource *resource;
	const json_t *desired; /* metadata.name and namespace, and only the members that we want to own; no resourceVersion needed */
	/* The live object, by the first of these that is given; none: apply without comparing. */
	struct kube_cache *cache;       /* looked up here; the result is put there with kube_cache_observe() */
	const struct kube_entry *entry; /* with cache: the entry already looked up */
	/* Defaulted members that the caller knows the server to rewrite: paths ("spec.ports.nodePort") to leave out of the comparison of
	 * values (array indexes are not written). NULL-terminated, or NULL. */
	const char *const *ignore;
	/* Refuse to create: an object that vanished is not made again (uid of the live object is sent along). */
	bool update_only;
	/* Managers whose Update-owned members become ours before the first apply, so that members which they set and we do not want
	 * disappear (kube_apply_adopt()). NULL-terminated, or NULL. Used when we never applied the live object, and again when an Update
	 * record of our own manager's name stands beside our Apply record: upstream's operator, which bears the same name, wrote meanwhile. */
	const char *const *adopt_from;
	/* The same for managers known by what they wrote instead of by name: those that by Update set this label and an owner reference. Only
	 * the program that made the object does both; people and tools that touched it later keep what is theirs. NULL: none. */
	const char *adopt_label;
};

struct kube_apply_result {
	bool wrote;     /* a request that changed the object */
	bool created;   /* there was none before, as far as the cache knew */
	json_t *object; /* as the server stored it when a request was sent, else NULL: the cache's entry is current. New reference. */
};

static inline void kube_apply_result_cleanup(struct kube_apply_result *result)
{
	json_decref(result->object);
}
#define KUBE_APPLY_RESULT_CLEANUP __attribute__((cleanup(kube_apply_result_cleanup)))

/* 0, result filled; -1 with the request's error. */
int kube_apply_if_different(struct kube_applier *applier, const struct kube_apply_request *request, struct kube_apply_result *result,
                            struct cancel *cancel, struct error *err);

/*
 * The comparison alone (pure): appends one line per difference to `differences` ("spec.replicas: wanted 2, is 1"; values of Secrets are
 * digests) and returns how many. owned is fieldsV1 text, NULL or "" when we never applied (one difference). ignore as above.
 */
size_t kube_apply_compare(const json_t *desired, const json_t *live, const char *owned, const char *const *ignore,
                          struct buffer *differences);

enum kube_difference_kind {
	KUBE_VALUE_DIFFERS, /* owned, desired, and live has another value or none */
	KUBE_NOT_OWNED,     /* desired, not ours yet; the values may be equal */
	KUBE_NOT_DESIRED,   /* owned, no longer desired: applying gives it up */
};
struct kube_difference {
	enum kube_difference_kind kind;
	const char *path;        /* "spec.ports", without indexes; members of keyed lists as their fieldsV1 row ("k:{...}") */
	const json_t *desired;   /* NULL for KUBE_NOT_DESIRED */
	const json_t *live;      /* NULL when absent */
	const json_t *live_list; /* KUBE_NOT_OWNED item of a list: `desired` is the item, this the whole live list (live is NULL) */
};
typedef void (*kube_difference_visit)(const struct kube_difference *difference, void *argument);
/* The comparison with the values at hand, borrowed for the call. owned must not be empty. */
size_t kube_apply_visit_differences(const json_t *desired, const json_t *live, const char *owned, kube_difference_visit visit,
                                    void *argument);

/* Whose ownership moves: both as in struct kube_apply_request, either may be NULL. */
struct kube_adoption {
	const char *const *from;
	const char *label;
};
/*
 * Moves what those managers own by Update to our manager's Apply record, guarded by resourceVersion (CONFLICT: somebody wrote, look
 * again). Reads the object once. *changed is false when there was nothing to move.
 */
int kube_apply_adopt(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                     const char *field_manager, const struct kube_adoption *adoption, bool *changed, struct cancel *cancel,
                     struct error *err);
/*
 * The same on an object at hand (pure): the managedFields it would have, new reference, or NULL when nothing moves. api_version is that of
 * the records that count.
 */
json_t *kube_apply_adopted_records(const json_t *object, const char *api_version, const char *field_manager,
                                   const struct kube_adoption *adoption);

/* True when both are quantities (resource.Quantity syntax) of the same value. */
bool kube_quantity_equal(const char *a, const char *b);
