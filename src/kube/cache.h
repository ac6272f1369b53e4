/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local copy of one resource (in one namespace or all, with selectors), kept by list and watch on the loop's thread; it has no thread of
 * its own. Caches come and go: one with a handful of objects costs a few KiB and one stream on its client's connection.
 *
 * Life: list in pages of KUBE_PAGE_SIZE without a resourceVersion (the most recent state, so that a cache never starts in the past, not even
 * after a restart of the API server) -> synced -> watch from the list's resourceVersion with bookmarks, ended by the server after a random
 * 300..600 s -> watch again from the last event or bookmark. 410 or an ERROR event -> list again; differences are told to the handlers as
 * updates and deletes. A broken connection -> watch again from where it was. Back-off 0.8 s doubling to 30 s, with jitter, reset by a watch
 * that lived. A silent connection is noticed by the connection's own pings (30 s + 15 s).
 *
 * Threads: lookups and waits from any thread; handlers, index and transform functions run on the loop with no lock of the cache held, so
 * they may look up in this and other caches, and must not block. A lookup inside a handler sees the change the handler is told about.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/entry.h"
#include "kube/resource.h"

struct kube_cache;

enum kube_change { KUBE_ADDED, KUBE_UPDATED, KUBE_DELETED };

struct kube_notice {
	struct kube_cache *cache;
	enum kube_change change;
	const char *key;
	const struct kube_entry *before; /* NULL for ADDED */
	const struct kube_entry *after;  /* NULL for DELETED */
	bool own_write;                  /* came by kube_cache_observe(), not from the server's watch */
	const json_t *object;            /* what `after` holds, as a tree at hand; NULL for DELETED. Borrowed, and not to be changed */
	const struct string_list *values_before, *values_after; /* private: kube_notice_values() */
};
/* The values of an index of the cache, of the object before or after; NULL when there is no such object. Borrowed for the call. */
const struct string_list *kube_notice_values(const struct kube_notice *notice, const char *index, bool before);
/* The first of them, or NULL. */
const char *kube_notice_value(const struct kube_notice *notice, const char *index, bool before);
/* Entries are borrowed for the call (kube_entry_ref() keeps one). An update with an unchanged resourceVersion is not told. */
typedef void (*kube_cache_handler)(const struct kube_notice *notice, void *argument);

/* Adds the index values of an object (as the server sent it, before the transform). */
typedef void (*kube_index_function)(const json_t *object, struct string_list *values, void *argument);

struct kube_cache_index {
	const char *name;
	kube_index_function function;
	void *argument;
};

struct kube_cache_options {
	struct loop *loop;
	struct kube_client *client; /* the cache takes a reference */
	const struct kube_resource *resource;
	const char *namespace; /* NULL: all */
	const char *label_selector, *field_selector;
	bool metadata_only;        /* ask for PartialObjectMetadata: only metadata is sent and held */
	const char *field_manager; /* whose owned fields entries keep; NULL: "kamaji" */
	/* Changes the object before it becomes bytes (drop what is not needed, add facts under members of its own). NULL: unchanged; for
	 * Secrets NULL means kube_secret_digest(). A transform of Secrets must leave no value behind: call kube_secret_digest() last. */
	void (*transform)(json_t *object, void *argument);
	void *transform_argument;
	/* Objects for which this is false are not held and not told of: for what no selector can say. It decides by kind, namespace and name
	 * alone, so that the answer for an object never changes. NULL: all. On the loop. */
	bool (*keep)(const json_t *object, void *argument);
	void *keep_argument;
	const struct kube_cache_index *indexes; /* copied */
	size_t index_count;
	unsigned page_size; /* 0: KUBE_PAGE_SIZE */
};

/* Not started: add handlers, then start. Never fails. */
struct kube_cache *kube_cache_new(const struct kube_cache_options *options);
/* Handlers added later are told ADDED for what is there. Any thread, not inside a handler; there is no removal but the end of the cache. */
void kube_cache_add_handler(struct kube_cache *cache, kube_cache_handler handler, void *argument);
void kube_cache_start(struct kube_cache *cache);
/* Ends list and watch and frees. No handler runs afterwards, and no DELETED is told. Any thread but the loop's (its client's last
 * reference may end here); entries that were handed out live on. NULL is fine. */
void kube_cache_free(struct kube_cache *cache);

/* 0 once the first list is complete and its handlers have run. -1 when cancelled or timed out: the message says what the list last failed
 * with. Not on the loop. */
int kube_cache_wait_synced(struct kube_cache *cache, struct cancel *cancel, struct error *err);
bool kube_cache_synced(const struct kube_cache *cache);
/* The reflector's last failure (ERROR_NONE when the watch is healthy): for status and for finding out that access is forbidden. */
void kube_cache_last_error(const struct kube_cache *cache, struct error *err);
/* Milliseconds since the server was last heard of (event, bookmark, list); UINT64_MAX before the first list. */
uint64_t kube_cache_age_ms(const struct kube_cache *cache);

/* A new reference, or NULL. namespace NULL or "" for cluster-scoped. */
struct kube_entry *kube_cache_get(const struct kube_cache *cache, const char *namespace, const char *name);
struct kube_entry *kube_cache_get_key(const struct kube_cache *cache, const char *key);
/* Parsed (new reference), or NULL. */
json_t *kube_cache_get_json(const struct kube_cache *cache, const char *namespace, const char *name);
/* Appends references to all entries, unordered. */
void kube_cache_list(const struct kube_cache *cache, struct kube_entries *out);
/* Those with that value of the named index, unordered. An index that was not given to kube_cache_new() aborts. */
void kube_cache_by_index(const struct kube_cache *cache, const char *index, const char *value, struct kube_entries *out);
size_t kube_cache_count(const struct kube_cache *cache);
/* Bytes of entries, tables and index values. */
size_t kube_cache_memory(const struct kube_cache *cache);
const struct kube_resource *kube_cache_resource(const struct kube_cache *cache);

/*
 * Read your writes: puts an object that a write just returned into the cache before the watch brings it.
 *
 * resourceVersions are opaque, so "newer" cannot be asked. The rule: `before` is the entry that the writer looked up here (NULL: absent)
 * before it wrote; the object is taken only if the cache still holds exactly that entry. If anything else has come since (perhaps this
 * very write, perhaps something later), the watch is ahead and the object is dropped: false. When taken, the entry is unconfirmed until the
 * watch brings its resourceVersion: what the watch brings for this key until then happened before the write and is skipped, except a DELETED
 * of the same uid. A list settles it in any case, and an entry unconfirmed for a minute causes one. For a create, an object whose uid the
 * cache has recently seen deleted is dropped. The object must match the cache's namespace and selectors.
 *
 * Handlers are told (own_write = true) before it returns. Waits for the loop for a moment: hold no lock that a handler takes. The object is
 * copied; managedFields in it are used for `owned`. Any thread.
 */
bool kube_cache_observe(struct kube_cache *cache, const struct kube_entry *before, const json_t *object);
/* The same for a deletion that completed at once (no finalizers): removes the entry if it is still exactly `before`. */
bool kube_cache_observe_deleted(struct kube_cache *cache, const struct kube_entry *before);

/* Ready-made index functions: uid of every ownerReference; "namespace". */
void kube_index_owner_uid(const json_t *object, struct string_list *values, void *argument);
void kube_index_namespace(const json_t *object, struct string_list *values, void *argument);
/* Value of the label that `argument` (const char *) names; nothing when it has none. */
void kube_index_label(const json_t *object, struct string_list *values, void *argument);

/*
 * Replaces every value of a Secret's data (and stringData, merged into it) by "sha256:" and the hex digest of the decoded value; the old
 * strings are zeroed. So caches can tell "changed" and apply.h "equal" without holding one secret byte.
 */
void kube_secret_digest(json_t *secret);
/* Like a transform with that signature. */
void kube_secret_transform(json_t *secret, void *unused);
