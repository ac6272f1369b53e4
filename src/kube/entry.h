/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object as a cache holds it: immutable compact JSON bytes, counted references, any thread. metadata.managedFields and the
 * last-applied-configuration annotation are left out of the bytes; of managedFields only what our own field manager applied is kept (see
 * apply.h for its use). Both are packed (pattern.h): struct kube_entry shows what is asked all the time, the rest is opened when needed.
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
	bool applied;                 /* our manager has an Apply record; kube_entry_text.owned shows it */
	bool updated;       /* there is an Update record of our manager's name beside it: another program of that name wrote after us */
	int64_t generation; /* metadata.generation, 0 when absent */
	size_t size;        /* memory of the entry, for accounting */
};

/* Takes what it needs from the object and strips it (managedFields leave the object). NULL when it has no metadata.name. Mostly the
 * caches call this; tests and callers with a live object may too. */
struct kube_entry *kube_entry_new(json_t *object, const char *field_manager, struct error *err);
/* The same packed with that pattern, which the entry refers to from then on. NULL: not packed. */
struct kube_pattern;
struct kube_entry *kube_entry_new_packed(json_t *object, const char *field_manager, struct kube_pattern *pattern, struct error *err);
struct kube_entry *kube_entry_ref(const struct kube_entry *entry);
void kube_entry_unref(const struct kube_entry *entry); /* NULL is fine */
/* A tree of its own for the caller (new reference); the bytes are our own text, so this fails only for want of memory (aborts). */
json_t *kube_entry_parse(const struct kube_entry *entry);

struct kube_entry_text {
	const char *json; /* NUL-terminated */
	size_t json_length;
	const char *owned; /* fieldsV1 text of our manager's Apply record, else of its Update record (what it created); "" without */
	char *storage;     /* private; NULL when the entry's own bytes are shown */
};
/* Valid until kube_entry_text_free(), and no longer than the entry. */
void kube_entry_open(const struct kube_entry *entry, struct kube_entry_text *text);
void kube_entry_text_free(struct kube_entry_text *text);
#define KUBE_ENTRY_TEXT_CLEANUP __attribute__((cleanup(kube_entry_text_free)))
/* Whether our manager owns the same fields of both. */
bool kube_entry_owns_the_same(const struct kube_entry *a, const struct kube_entry *b);

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
void kube_entries_sort(struct kube_entries *entries);                                /* by key */
void kube_entries_free(struct kube_entries *entries);
#define KUBE_ENTRIES_CLEANUP __attribute__((cleanup(kube_entries_free)))
