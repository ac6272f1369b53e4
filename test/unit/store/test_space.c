/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/space.h"
#include "store/value_cache.h"

/* A host that keeps every value in memory and calls nothing durable until told. */
struct memory_host {
	struct value_cache *values;
	uint64_t id, sequence;
	int operations, compactions, dropped;
};

static uint64_t next_id(void *context)
{
	return ++((struct memory_host *)context)->id;
}

static uint64_t append(void *context, const struct commit *commit)
{
	struct memory_host *host = context;

	host->operations += commit->kind == COMMIT_OPERATIONS ? (int)commit->count : 0;
	host->compactions += commit->kind == COMMIT_COMPACT;
	return ++host->sequence;
}

static struct blob *load_value(void *context, uint64_t id, uint32_t length)
{
	return value_cache_get(((struct memory_host *)context)->values, id);
}

static void keep_value(void *context, uint64_t id, struct blob *value)
{
	value_cache_put(((struct memory_host *)context)->values, id, value);
}

static void drop_value(void *context, uint64_t id, uint64_t space)
{
	((struct memory_host *)context)->dropped++;
	value_cache_drop(((struct memory_host *)context)->values, id);
}

struct fixture {
	struct memory_host host;
	struct space *space;
	struct arena *arena;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct space_host host = { fixture, next_id, append, load_value, keep_value, drop_value };

	host.context = &fixture->host;
	fixture->host.values = value_cache_new(SIZE_MAX / 2);
	fixture->space = space_new(1, &host);
	fixture->arena = arena_new();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_free(fixture->arena);
	space_free(fixture->space);
	value_cache_free(fixture->host.values);
	free(fixture);
	return 0;
}

static enum store_status put(struct fixture *fixture, const char *key, const char *value, int64_t lease)
{
	struct operation operation = { .kind = OPERATION_PUT, .put = { .key = BYTES(key), .value = BYTES(value), .lease = lease } };
	struct operation_result result;
	int64_t revision;
	uint64_t sequence;

	return space_change(fixture->space, &operation, fixture->arena, &result, &revision, &sequence);
}

static struct range_result range(struct fixture *fixture, const char *from, const char *to, int64_t revision, int64_t limit)
{
	struct range_request request = { .key = BYTES(from), .range_end = BYTES(to), .revision = revision, .limit = limit };
	struct range_result result;

	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_OK);
	return result;
}

static void become_visible(struct fixture *fixture)
{
	space_advance(fixture->space, space_head_revision(fixture->space));
}

static void nobody_sees_what_is_not_durable(void **state)
{
	struct fixture *fixture = *state;
	struct range_result result;

	assert_int_equal(space_visible_revision(fixture->space), 1);
	assert_int_equal(put(fixture, "a", "1", 0), STORE_OK);
	assert_int_equal(space_head_revision(fixture->space), 2);
	result = range(fixture, "a", "", 0, 0);
	assert_int_equal(result.count, 0);
	assert_int_equal(result.total, 0);
	become_visible(fixture);
	assert_int_equal(put(fixture, "a", "2", 0), STORE_OK);
	result = range(fixture, "a", "", 0, 0);
	assert_int_equal(result.count, 1);
	assert_int_equal(result.items[0].version, 1);
	assert_memory_equal(result.items[0].value->data, "1", 1);
}

static void a_transaction_compares_writes_and_reads(void **state)
{
	struct fixture *fixture = *state;
	struct compare_request compare = { .target = COMPARE_MOD, .key = BYTES("k") };
	struct operation success[] = {
		{ .kind = OPERATION_PUT, .put = { .key = BYTES("k"), .value = BYTES("v1") } },
		{ .kind = OPERATION_RANGE, .range = { .key = BYTES("k") } },
		{ .kind = OPERATION_DELETE, .delete = { .key = BYTES("x"), .range_end = BYTES("z"), .previous = true } },
	};
	struct operation failure[] = { { .kind = OPERATION_RANGE, .range = { .key = BYTES("k") } } };
	struct operation txn = { .kind = OPERATION_TXN, .txn = { &compare, success, failure, 1, 3, 1 } };
	struct operation_result result;
	uint64_t sequence;
	int64_t revision;

	assert_int_equal(put(fixture, "x1", "a", 0), STORE_OK);
	assert_int_equal(put(fixture, "y1", "b", 0), STORE_OK);
	become_visible(fixture);
	assert_int_equal(space_change(fixture->space, &txn, fixture->arena, &result, &revision, &sequence), STORE_OK);
	assert_true(result.succeeded);
	assert_int_equal(revision, 4);
	assert_true(sequence > 0);
	assert_int_equal(result.results[1].range.count, 1); /* sees the write before it */
	assert_int_equal(result.results[1].revision, 4);
	assert_int_equal(result.results[2].deleted, 2);
	assert_int_equal(result.results[2].range.count, 2);
	become_visible(fixture);
	assert_int_equal(space_change(fixture->space, &txn, fixture->arena, &result, &revision, &sequence), STORE_OK);
	assert_false(result.succeeded);
	assert_int_equal(revision, 4); /* only reads: no revision is used */
	assert_int_equal(sequence, 0);
	assert_int_equal(result.results[0].range.items[0].mod_revision, 4);
}

static void refused_changes_change_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct operation both[] = {
		{ .kind = OPERATION_PUT, .put = { .key = BYTES("a"), .value = BYTES("1") } },
		{ .kind = OPERATION_PUT, .put = { .key = BYTES("b"), .value = BYTES("1"), .lease = 99 } },
	};
	struct operation txn = { .kind = OPERATION_TXN, .txn = { NULL, both, NULL, 0, 2, 0 } };
	struct operation_result result;
	uint64_t sequence;
	int64_t revision;

	assert_int_equal(space_change(fixture->space, &txn, fixture->arena, &result, &revision, &sequence), STORE_LEASE_NOT_FOUND);
	assert_int_equal(space_head_revision(fixture->space), 1);
	assert_int_equal(fixture->host.operations, 0);
	space_set_quota(fixture->space, 10);
	assert_int_equal(put(fixture, "aaaa", "0123456789", 0), STORE_OK);
	assert_int_equal(put(fixture, "b", "1", 0), STORE_NO_SPACE);
	assert_int_equal(put(fixture, "aaaa", "9876543210", 0), STORE_OK); /* does not grow */
	assert_int_equal(put(fixture, "aaaa", "98765432100", 0), STORE_NO_SPACE);
}

static void leases_end_with_their_keys(void **state)
{
	struct fixture *fixture = *state;
	struct lease *first, *second;
	struct range_result result;
	uint64_t sequence;
	int64_t revision;

	assert_int_equal(space_lease_grant(fixture->space, 7, 1, 1000, &first, &sequence), STORE_OK);
	assert_int_equal(first->ttl_seconds, 2); /* raised to the minimum */
	assert_int_equal(space_lease_grant(fixture->space, 7, 5, 1000, &second, &sequence), STORE_LEASE_EXISTS);
	assert_int_equal(space_lease_grant(fixture->space, 0, 60, 1000, &second, &sequence), STORE_OK);
	assert_int_equal(put(fixture, "b", "1", 7), STORE_OK);
	assert_int_equal(put(fixture, "a", "1", 7), STORE_OK);
	assert_int_equal(put(fixture, "c", "1", 7), STORE_OK);
	assert_int_equal(put(fixture, "c", "1", second->id), STORE_OK);
	become_visible(fixture);
	assert_ptr_equal(lease_table_first(space_leases(fixture->space)), first);
	assert_int_equal(space_lease_revoke(fixture->space, 7, &revision, &sequence), STORE_OK);
	assert_int_equal(revision, 6);
	become_visible(fixture);
	result = range(fixture, "a", "z", 0, 0);
	assert_int_equal(result.count, 1);
	assert_int_equal(result.items[0].lease, second->id);
	/* One revision, sorted keys. */
	assert_string_equal(space_ring_at(fixture->space, space_ring_count(fixture->space) - 2)->key, "a");
	assert_int_equal(space_ring_at(fixture->space, space_ring_count(fixture->space) - 1)->mod_revision, 6);
	assert_int_equal(space_lease_revoke(fixture->space, 7, &revision, &sequence), STORE_LEASE_NOT_FOUND);
}

static void keys_move_from_lease_to_lease(void **state)
{
	enum { KEYS = 500, MOVES = 20000, LEASES = 3 };
	struct fixture *fixture = *state;
	int64_t holder[KEYS] = { 0 }, revision;
	uint32_t held[LEASES + 1] = { 0 };
	struct lease *lease;
	uint64_t sequence;

	srandom(11);
	for (int64_t id = 1; id <= LEASES; id++)
		assert_int_equal(space_lease_grant(fixture->space, id, 600, 1000, &lease, &sequence), STORE_OK);
	for (int i = 0; i < MOVES; i++) {
		int number = (int)(random() % KEYS);
		char key[16];

		(void)snprintf(key, sizeof(key), "k%d", number);
		holder[number] = random() % (LEASES + 1);
		assert_int_equal(put(fixture, key, "1", holder[number]), STORE_OK);
	}
	for (int i = 0; i < KEYS; i++)
		held[holder[i]]++;
	for (int64_t id = 1; id <= LEASES; id++) {
		lease = lease_table_find(space_leases(fixture->space), id);
		assert_int_equal(lease->count, held[id]);
		for (uint32_t i = 0; i < lease->count; i++)
			assert_int_equal(key_record_head(lease->keys[i])->lease, id);
	}
	assert_int_equal(space_lease_revoke(fixture->space, 2, &revision, &sequence), STORE_OK);
	become_visible(fixture);
	assert_int_equal(range(fixture, "k", "l", 0, 0).count, KEYS - held[2]);
}

/* The whole history, kept plainly. */
enum { MODEL_KEYS = 30, MODEL_REVISIONS = 6000 };

struct model_cell {
	int value; /* -1: absent */
	int64_t create, mod, version;
};

static struct model_cell (*history)[MODEL_KEYS];

static void check_range(struct fixture *fixture, int64_t revision)
{
	int from = (int)(random() % MODEL_KEYS), to = from + (int)(random() % (MODEL_KEYS - from + 1)), expected = 0;
	int64_t limit = random() % 4 == 0 ? random() % 10 : 0;
	char low[8], high[8];
	struct range_result result;

	(void)snprintf(low, sizeof(low), "k%02d", from);
	(void)snprintf(high, sizeof(high), "k%02d", to);
	result = range(fixture, low, high, revision, limit);
	if (revision == 0)
		revision = space_visible_revision(fixture->space);
	for (int i = from; i < to; i++) {
		const struct model_cell *cell = &history[revision][i];

		if (cell->value < 0)
			continue;
		if (limit == 0 || expected < limit) {
			char value[16];

			(void)snprintf(value, sizeof(value), "%d", cell->value);
			assert_true((size_t)expected < result.count);
			assert_int_equal(result.items[expected].mod_revision, cell->mod);
			assert_int_equal(result.items[expected].create_revision, cell->create);
			assert_int_equal(result.items[expected].version, cell->version);
			assert_true(bytes_equal(blob_bytes(result.items[expected].value), BYTES(value)));
		}
		expected++;
	}
	assert_int_equal(result.total, expected);
	assert_int_equal(result.count, limit > 0 && expected > limit ? limit : expected);
	assert_int_equal(result.more, limit > 0 && expected > limit);
}

static void model_put(int64_t revision, int key, int value)
{
	struct model_cell *cell = &history[revision][key];

	*cell = (struct model_cell){ value, cell->value < 0 ? revision : cell->create, revision, cell->value < 0 ? 1 : cell->version + 1 };
}

static void random_write(struct fixture *fixture)
{
	struct operation operations[3];
	struct operation txn = { .kind = OPERATION_TXN, .txn = { NULL, operations, NULL, 0, 0, 0 } };
	int64_t revision = space_head_revision(fixture->space) + 1, got;
	struct operation_result result;
	bool any = false;
	uint64_t sequence;
	static char text[3][2][16];

	memcpy(history[revision], history[revision - 1], sizeof(history[0]));
	while (txn.txn.success_count < 1 + (uint32_t)random() % 3) {
		uint32_t n = txn.txn.success_count++;
		int key = (int)(random() % MODEL_KEYS), value = (int)(random() % 100000);

		(void)snprintf(text[n][0], 16, "k%02d", key);
		(void)snprintf(text[n][1], 16, "%d", value);
		if (random() % 3 == 0) {
			operations[n] = (struct operation){ .kind = OPERATION_DELETE, .delete = { .key = BYTES(text[n][0]) } };
			any |= history[revision][key].value >= 0;
			history[revision][key] = (struct model_cell){ .value = -1 };
		} else {
			operations[n] = (struct operation){ .kind = OPERATION_PUT, .put = { BYTES(text[n][0]), BYTES(text[n][1]) } };
			any = true;
			model_put(revision, key, value);
		}
	}
	assert_int_equal(space_change(fixture->space, &txn, fixture->arena, &result, &got, &sequence), STORE_OK);
	assert_int_equal(got, any ? revision : revision - 1);
}

static void random_history_matches_a_plain_one(void **state)
{
	struct fixture *fixture = *state;
	unsigned seed = 20261120;

	srandom(seed);
	history = calloc(MODEL_REVISIONS + 1, sizeof(*history));
	for (int i = 0; i < MODEL_KEYS; i++)
		history[0][i].value = history[1][i].value = -1;
	while (space_head_revision(fixture->space) < MODEL_REVISIONS) {
		int64_t visible = space_visible_revision(fixture->space), compacted = space_compacted_revision(fixture->space);
		uint64_t sequence;

		random_write(fixture);
		if (random() % 5 == 0)
			become_visible(fixture);
		if (random() % 4 == 0)
			check_range(fixture, 0);
		if (random() % 4 == 0 && visible > compacted + 1)
			check_range(fixture, compacted > 0 ? compacted + random() % (visible - compacted) : 1 + random() % visible);
		if (random() % 200 == 0 && visible > compacted + 10)
			assert_int_equal(space_compact(fixture->space, visible - random() % 10, &sequence), STORE_OK);
		(void)space_compact_step(fixture->space, 3);
		if (random() % 50 == 0) {
			arena_free(fixture->arena);
			fixture->arena = arena_new();
		}
	}
	assert_true(fixture->host.dropped > 1000);
	free(history);
}

static void old_and_future_revisions_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct range_request request = { .key = BYTES("a"), .revision = 2 };
	struct range_result result;
	uint64_t sequence;

	for (int i = 0; i < 5; i++)
		assert_int_equal(put(fixture, "a", "x", 0), STORE_OK);
	become_visible(fixture);
	assert_int_equal(space_compact(fixture->space, 4, &sequence), STORE_OK);
	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_COMPACTED);
	request.revision = 4;
	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_OK);
	request.revision = 7;
	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_FUTURE_REVISION);
	assert_int_equal(space_compact(fixture->space, 4, &sequence), STORE_COMPACTED);
	assert_int_equal(space_compact(fixture->space, 7, &sequence), STORE_FUTURE_REVISION);
	space_load_compacted(fixture->space, 1000);
	assert_int_equal(put(fixture, "a", "x", 0), STORE_OK);
	assert_int_equal(space_head_revision(fixture->space), 1001);
	request.revision = 6;
	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_COMPACTED);
}

static void sorting_and_filters(void **state)
{
	struct fixture *fixture = *state;
	struct range_request request = {
		.key = BYTES("a"), .range_end = BYTES("z"), .sort_order = SORT_DESCEND, .sort_target = SORT_MOD, .limit = 2
	};
	struct range_result result;

	assert_int_equal(put(fixture, "c", "1", 0), STORE_OK);
	assert_int_equal(put(fixture, "a", "3", 0), STORE_OK);
	assert_int_equal(put(fixture, "b", "2", 0), STORE_OK);
	become_visible(fixture);
	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_OK);
	assert_int_equal(result.count, 2);
	assert_true(result.more);
	assert_memory_equal(result.items[0].key.data, "b", 1);
	request = (struct range_request){ .key = BYTES("a"), .range_end = BYTES("z"), .sort_target = SORT_VALUE };
	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_OK);
	assert_memory_equal(result.items[0].key.data, "c", 1);
	request = (struct range_request){ .key = BYTES("a"), .range_end = BYTES("z"), .min_mod_revision = 3, .keys_only = true };
	assert_int_equal(space_range(fixture->space, &request, fixture->arena, &result), STORE_OK);
	assert_int_equal(result.count, 2);
	assert_int_equal(result.total, 3);
	assert_null(result.items[0].value);
}

/* What one transaction does to a key twice, and other corners that a comparison with etcd brought up. */
static void corners_are_as_in_etcd(void **state)
{
	struct fixture *fixture = *state;
	struct operation success[] = {
		{ .kind = OPERATION_DELETE, .delete = { .key = BYTES("a"), .range_end = { "", 1 } } },
		{ .kind = OPERATION_PUT, .put = { .key = BYTES("b"), .value = BYTES("new"), .ignore_lease = true } },
		{ .kind = OPERATION_TXN, .txn = { .success_count = 0 } },
	};
	struct operation both = { .kind = OPERATION_TXN, .txn = { .success = success, .success_count = 3 } };
	struct operation read[] = { { .kind = OPERATION_RANGE, .range = { .key = BYTES("b"), .revision = -2 } } };
	struct operation negative = { .kind = OPERATION_TXN, .txn = { .success = read, .success_count = 1 } };
	struct operation lost = { .kind = OPERATION_PUT, .put = { .key = BYTES("missing"), .lease = 99, .ignore_value = true } };
	struct range_request keys = { .key = BYTES("b"), .keys_only = true };
	struct operation_result result;
	struct range_result found;
	struct lease *lease;
	int64_t revision;
	uint64_t sequence;

	assert_int_equal(space_change(fixture->space, &lost, fixture->arena, &result, &revision, &sequence), STORE_LEASE_NOT_FOUND);
	assert_int_equal(space_change(fixture->space, &negative, fixture->arena, &result, &revision, &sequence), STORE_COMPACTED);
	assert_int_equal(space_lease_grant(fixture->space, 7, 60, 0, &lease, &sequence), STORE_OK);
	assert_int_equal(put(fixture, "b", "old", 7), STORE_OK);
	become_visible(fixture);
	assert_int_equal(space_range(fixture->space, &keys, fixture->arena, &found), STORE_OK);
	assert_int_equal(found.items[0].lease, 0);

	assert_int_equal(space_change(fixture->space, &both, fixture->arena, &result, &revision, &sequence), STORE_OK);
	assert_int_equal(revision, 3);
	assert_int_equal(result.results[0].deleted, 1);
	assert_int_equal(result.results[2].revision, 0);
	become_visible(fixture);
	found = range(fixture, "b", "", 0, 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.items[0].version, 1);
	assert_int_equal(found.items[0].create_revision, 3);
	assert_int_equal(found.items[0].lease, 0);
	assert_int_equal(range(fixture, "a", "z", 2, 0).total, 1);
	assert_int_equal(range(fixture, "a", "z", 1, 0).total, 0);
	for (size_t i = space_ring_seek(fixture->space, 3); i < space_ring_count(fixture->space); i++) {
		assert_int_equal(space_ring_at(fixture->space, i)->previous_mod_revision, 2);
		assert_int_equal(space_ring_at(fixture->space, i)->previous_version, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_sees_what_is_not_durable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_transaction_compares_writes_and_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_changes_change_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(leases_end_with_their_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_move_from_lease_to_lease, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_history_matches_a_plain_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(old_and_future_revisions_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sorting_and_filters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(corners_are_as_in_etcd, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
