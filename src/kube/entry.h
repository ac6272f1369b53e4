/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object as a cache holds it: immutable compact JSON bytes, counted references, any thread. metadata.managedFields and the
 * last-applied-configuration annotation are left out of the bytes; of managedFields only what our own field manager applied is kept, in
 * `owned` (see apply.h for its use).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct kube_entry {
	const char *key;       /* "namespace/name" or "name" */
	const char *namespace; /* "" for cluster-scoped */
	const char *name;
	const char *uid;              /* "" when the server sent none */
	const char *resource_version; /* opaque: equality only */
	const char *json;             /* NUL-terminated */
	size_t json_length;
	const char *owned;  /* fieldsV1 text of our manager's Apply record, else of its Update record (what it created); "" without */
	bool applied;       /* it is the Apply record */
	int64_t generation; /* metadata.generation, 0 when absent */
	size_t size;        /* memory of the entry, for accounting */
};

/* Takes what it needs from the object and strips it (managedFields leave the object). NULL when it has no metadata.name. Mostly the
 * caches call this; tests and callers with a live object may too. */
struct kube_entry *kube_entry_new(json_t *object, const char *field_manager, struct error *err);
struct kube_entry *kube_entry_ref(const struct kube_entry *entry);
void kube_entry_unref(const struct kube_entry *entry); /* NULL is fine */
/* A tree of its own for the caller (new reference); the bytes are our own text, so this fails only for want of memory (aborts). */
json_t *kube_entry_parse(const struct kube_entry *entry);

static inline void kube_entry_cleanup(struct kube_entry **entry)
{
	kube_entry_unref(*entry);
}
#define KUBE_ENTRY_CLEANUP __attribute__((cleanup(kube_entry_cleanup)))

/* A list of references. Zero-initialise; KUBE_ENTRIES_CLEANUP or kube_entries_free(). */
struct kube_entries {
	struct kube_entry **items;
	size_t count, capacity;
};
void kube_entries_add(struct kube_entries *entries, const struct kube_entry *entry); /* takes its own reference */
void kube_entries_free(struct kube_entries *entries);
#define KUBE_ENTRIES_CLEANUP __attribute__((cleanup(kube_entries_free)))
