/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/random.h"
#include "store/space_int.h"

struct lease *space_lease_find(struct space *space, int64_t id)
{
	return lease_table_find(&space->leases, id);
}

enum store_status space_lease_grant(struct space *space, int64_t id, int64_t ttl_seconds, uint64_t now_ms, struct lease **lease,
                                    uint64_t *sequence)
{
	struct commit commit = { .kind = COMMIT_LEASE_GRANT, .space = space->id, .revision = space->head };

	if (ttl_seconds > LEASE_TTL_MAXIMUM)
		return STORE_LEASE_TTL_TOO_LARGE;
	if (space_over_quota(space))
		return STORE_NO_SPACE;
	if (ttl_seconds < LEASE_TTL_MINIMUM)
		ttl_seconds = LEASE_TTL_MINIMUM;
	while (id == 0 || lease_table_find(&space->leases, id) != NULL) {
		if (id != 0)
			return STORE_LEASE_EXISTS;
		do
			id = (int64_t)random_below(INT64_MAX);
		while (id == 0 || lease_table_find(&space->leases, id) != NULL);
	}
	*lease = lease_table_add(&space->leases, id, ttl_seconds, now_ms);
	commit.lease = id;
	commit.ttl = ttl_seconds;
	*sequence = space->host.append(space->host.context, &commit);
	return STORE_OK;
}

bool space_lease_renew(struct space *space, int64_t id, uint64_t now_ms, int64_t *ttl_seconds)
{
	struct lease *lease = lease_table_find(&space->leases, id);

	if (lease == NULL)
		return false;
	lease_table_renew(&space->leases, lease, now_ms);
	*ttl_seconds = lease->ttl_seconds;
	return true;
}

static int compare_records(const void *a, const void *b)
{
	return bytes_compare(key_record_key(*(struct key_record *const *)a), key_record_key(*(struct key_record *const *)b));
}

enum store_status space_lease_revoke(struct space *space, int64_t id, int64_t *revision, uint64_t *sequence)
{
	struct lease *lease = lease_table_find(&space->leases, id);
	struct arena *arena ARENA_CLEANUP = NULL;
	struct key_record **records;
	uint32_t count;

	if (lease == NULL)
		return STORE_LEASE_NOT_FOUND;
	arena = arena_new();
	count = lease->count;
	records = arena_alloc(arena, (count + 1) * sizeof(struct key_record *));
	if (count > 0)
		memcpy(records, lease->keys, count * sizeof(struct key_record *));
	qsort(records, count, sizeof(struct key_record *), compare_records);
	lease_table_remove(&space->leases, lease);
	if (count > 0) {
		struct change change = { .space = space, .arena = arena, .revision = space->head + 1 };

		for (uint32_t i = 0; i < count; i++)
			change_delete(&change, records[i]);
		*sequence = change_commit(&change, id);
	} else {
		struct commit commit = { .kind = COMMIT_LEASE_REVOKE, .space = space->id, .revision = space->head, .lease = id };

		*sequence = space->host.append(space->host.context, &commit);
	}
	*revision = space->head;
	return STORE_OK;
}
