/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of KV and Watch, decoded and carried out on a space that lasts from one input to the next; the first byte chooses. Whatever is
 * logged must be read back from the log as it was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "etcd/etcd_encode.h"
#include "etcd/kv_check.h"
#include "etcd/kv_decode.h"
#include "etcd/watch_decode.h"
#include "store/log_record.h"
#include "store/space.h"
#include "store/value_cache.h"

enum { CHANGES_MAXIMUM = 2000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct value_cache *values;
static struct space *space;
static uint64_t last_id, last_sequence;
static unsigned changes;

static uint64_t next_id(void *context)
{
	return ++last_id;
}

static void same(struct bytes a, struct bytes b)
{
	if (!bytes_equal(a, b))
		abort();
}

static uint64_t append(void *context, const struct commit *commit)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct buffer record BUFFER_CLEANUP = { 0 };
	struct log_place place;
	struct commit again;
	struct error err;

	log_record_encode(commit, (struct log_place){ ++last_sequence, last_sequence }, &record);
	if (log_record_decode((struct bytes){ record.data, record.length }, arena, &again, &place, &err) != 0 ||
	    place.sequence != last_sequence || again.revision != commit->revision || again.count != commit->count)
		abort();
	for (uint32_t i = 0; i < commit->count; i++) {
		same(commit->operations[i].key, again.operations[i].key);
		if (!commit->operations[i].deleted)
			same(commit->operations[i].value, again.operations[i].value);
	}
	return last_sequence;
}

static struct blob *load_value(void *context, uint64_t id, uint32_t length)
{
	return value_cache_get(values, id);
}

static void keep_value(void *context, uint64_t id, struct blob *value)
{
	value_cache_put(values, id, value);
}

static void drop_value(void *context, uint64_t id, uint64_t of)
{
	value_cache_drop(values, id);
}

static void start_over(void)
{
	struct space_host host = { NULL, next_id, append, load_value, keep_value, drop_value };
	struct lease *lease;
	uint64_t sequence;

	space_free(space);
	value_cache_free(values);
	values = value_cache_new(SIZE_MAX / 2);
	space = space_new(1, &host);
	changes = 0;
	for (int64_t id = 1; id <= 3; id++)
		(void)space_lease_grant(space, id, 100, 0, &lease, &sequence);
}

static void change(struct operation *operation, const struct etcd_error *refused, struct arena *arena)
{
	struct etcd_header header = { 1, 1, 1, 1 };
	struct buffer answer BUFFER_CLEANUP = { 0 };
	int64_t revision = 0, before = space_head_revision(space);
	struct operation_result result;
	uint64_t sequence;

	if (refused != NULL)
		return;
	if (space_change(space, operation, arena, &result, &revision, &sequence) != STORE_OK) {
		if (space_head_revision(space) != before)
			abort(); /* what is refused changes nothing */
		return;
	}
	if (revision > before + 1 || revision != space_head_revision(space))
		abort();
	space_advance(space, revision);
	if (operation->kind == OPERATION_PUT)
		etcd_encode_put(&answer, &header, &result);
	else if (operation->kind == OPERATION_DELETE)
		etcd_encode_delete(&answer, &header, &result);
	else
		etcd_encode_txn(&answer, &header, &result);
	changes++;
}

static void try_range(const char *bytes, size_t length, struct arena *arena)
{
	struct etcd_header header = { 1, 1, 1, 1 };
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct range_request request;
	struct range_result result;

	if (!kv_decode_range(bytes, length, &request) || kv_check_range(&request) != NULL ||
	    space_range(space, &request, arena, &result) != STORE_OK)
		return;
	if (result.total < 0 || (request.limit > 0 && result.count > (uint64_t)request.limit))
		abort();
	etcd_encode_range(&answer, &header, &result);
}

static void try_compaction(const char *bytes, size_t length)
{
	uint64_t sequence;
	int64_t revision;
	bool physical;

	if (kv_decode_compact(bytes, length, &revision, &physical) && space_compact(space, revision, &sequence) == STORE_OK)
		while (space_compact_step(space, 3))
			;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct operation operation = { 0 };
	struct watch_request watch;
	const char *bytes = (const char *)data + 1;

	if (space == NULL || changes > CHANGES_MAXIMUM)
		start_over();
	if (size-- == 0)
		return 0;
	switch (data[0] % 6) {
	case 0:
		try_range(bytes, size, arena);
		break;
	case 1:
		operation.kind = OPERATION_PUT;
		if (kv_decode_put(bytes, size, &operation.put))
			change(&operation, kv_check_put(&operation.put), arena);
		break;
	case 2:
		operation.kind = OPERATION_DELETE;
		if (kv_decode_delete(bytes, size, &operation.delete))
			change(&operation, kv_check_delete(&operation.delete), arena);
		break;
	case 3:
		operation.kind = OPERATION_TXN;
		if (kv_decode_txn(bytes, size, arena, &operation.txn))
			change(&operation, kv_check_txn(&operation.txn, 128, arena), arena);
		break;
	case 4:
		try_compaction(bytes, size);
		break;
	default:
		if (watch_decode(bytes, size, &watch) && watch.kind == WATCH_CREATE && watch.create.key.length == 0)
			abort();
		break;
	}
	return 0;
}
