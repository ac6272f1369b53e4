/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leases of one space: their keys and when they end. Times are clock_monotonic_ms(). A lease never ends early; late is permitted.
 * Engine thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/key_index.h"

struct lease {
	int64_t id;
	int64_t ttl_seconds; /* granted */
	uint64_t ends_ms;
	struct key_record **keys; /* live keys attached, unordered */
	uint32_t count, capacity;
	size_t heap_place;
	struct lease *next_in_bucket;
};

struct lease_table {
	struct lease **buckets;
	struct lease **heap; /* earliest end first */
	size_t bucket_count, count, heap_capacity;
};

struct lease *lease_table_find(const struct lease_table *table, int64_t id);
struct lease *lease_table_add(struct lease_table *table, int64_t id, int64_t ttl_seconds, uint64_t now_ms); /* id must be new */
void lease_table_remove(struct lease_table *table, struct lease *lease);
void lease_table_renew(struct lease_table *table, struct lease *lease, uint64_t now_ms);
/* The one that ends first, or NULL. */
struct lease *lease_table_first(const struct lease_table *table);
/* A key hangs on one lease at a time: detach it from the old one first. Both take O(1), however many keys the lease has. */
void lease_attach(struct lease *lease, struct key_record *record);       /* that is not attached yet */
void lease_detach(struct lease *lease, const struct key_record *record); /* not attached is fine */
/* All leases, unordered: index from 0 to table->count - 1. */
static inline struct lease *lease_table_at(const struct lease_table *table, size_t index)
{
	return table->heap[index];
}
void lease_table_free(struct lease_table *table);
