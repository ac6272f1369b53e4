/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/watch_hub.h"
#include "store/value_cache.h"

struct host {
	struct value_cache *values;
	uint64_t id, sequence;
};

static uint64_t next_id(void *context)
{
	return ++((struct host *)context)->id;
}

static uint64_t append(void *context, const struct commit *commit)
{
	return ++((struct host *)context)->sequence;
}

static struct blob *load_value(void *context, uint64_t id, uint32_t length)
{
	return value_cache_get(((struct host *)context)->values, id);
}

static void keep_value(void *context, uint64_t id, struct blob *value)
{
	value_cache_put(((struct host *)context)->values, id, value);
}

static void drop_value(void *context, uint64_t id, uint64_t space)
{
	value_cache_drop(((struct host *)context)->values, id);
}

/* What one watcher received; it refuses deliveries at random and checks order as it goes. */
struct received {
	struct watcher *watcher;
	int64_t *revisions;
	char (*keys)[8];
	size_t count;
	int64_t last_revision, compacted;
	bool moody, blocked;
};

enum { MOST = 60000 };

static bool deliver(void *argument, struct watcher *watcher, struct space_event *const *events, size_t count, int64_t revision)
{
	struct received *received = argument;

	if (received->moody && random() % 3 == 0) {
		received->blocked = true;
		return false;
	}
	assert_true(count > 0);
	assert_true(revision >= events[count - 1]->mod_revision);
	/* A revision is never split over two deliveries. */
	assert_true(events[0]->mod_revision > received->last_revision);
	for (size_t i = 0; i < count; i++) {
		assert_true(events[i]->mod_revision >= received->last_revision);
		received->last_revision = events[i]->mod_revision;
		received->revisions[received->count] = events[i]->mod_revision;
		(void)snprintf(received->keys[received->count++], 8, "%.*s", (int)events[i]->key_length, events[i]->key);
		assert_true(received->count < MOST);
		if (events[i]->previous_version != 0 && events[i]->previous_value != NULL)
			assert_int_equal(events[i]->previous_value->length, events[i]->previous_length);
	}
	return true;
}

static void compacted(void *argument, struct watcher *watcher, int64_t revision)
{
	((struct received *)argument)->compacted = revision;
}

static void received_init(struct received *received, bool moody)
{
	*received = (struct received){ .moody = moody };
	received->revisions = calloc(MOST, sizeof(*received->revisions));
	received->keys = calloc(MOST, sizeof(*received->keys));
}

static void received_free(struct received *received)
{
	free(received->revisions);
	free(received->keys);
}

static struct space *make_space(struct host *host)
{
	struct space_host functions = { host, next_id, append, load_value, keep_value, drop_value };

	*host = (struct host){ .values = value_cache_new(SIZE_MAX / 2) };
	return space_new(1, &functions);
}

static void write_some(struct space *space)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct operation operations[3];
	char keys[3][8];
	struct operation txn = { .kind = OPERATION_TXN, .txn = { NULL, operations, NULL, 0, 1 + (uint32_t)(random() % 3), 0 } };
	struct operation_result result;
	int64_t revision;
	uint64_t sequence;

	for (uint32_t i = 0; i < txn.txn.success_count; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "%c%02d", 'a' + (int)(random() % 2), (int)(random() % 20));
		if (random() % 4 == 0)
			operations[i] = (struct operation){ .kind = OPERATION_DELETE, .delete = { .key = BYTES(keys[i]) } };
		else
			operations[i] = (struct operation){ .kind = OPERATION_PUT, .put = { BYTES(keys[i]), BYTES("value") } };
	}
	assert_int_equal(space_change(space, &txn, arena, &result, &revision, &sequence), STORE_OK);
}

static void settle(struct watch_hub *hub, struct received *all, size_t count)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < count; i++) {
			if (all[i].blocked) {
				all[i].blocked = false;
				watcher_resume(all[i].watcher);
				again = true;
			}
		}
		while (watch_hub_work(hub))
			again = true;
	}
}

static void compare(const struct received *a, const struct received *b, int64_t from)
{
	size_t i = 0;

	while (i < a->count && a->revisions[i] < from)
		i++;
	assert_int_equal(a->count - i, b->count);
	for (size_t j = 0; j < b->count; j++) {
		assert_int_equal(a->revisions[i + j], b->revisions[j]);
		assert_string_equal(a->keys[i + j], b->keys[j]);
	}
}

/* A watcher from the start that never refuses is the witness; late and moody ones must have seen the same from their start on. */
static void every_watcher_sees_the_same_history(void **state)
{
	struct watcher_options options = { .key = BYTES("a"), .range_end = BYTES("b"), .start_revision = 1, .previous = true };
	struct watcher_owner owner = { deliver, compacted, NULL };
	struct received all[12];
	int64_t starts[12];
	struct host host;
	struct space *space = make_space(&host);
	struct watch_hub *hub = watch_hub_new(space);
	size_t count = 0;

	srandom(42);
	for (int round = 0; round < 12000; round++) {
		if (round % 1000 == 0) {
			received_init(&all[count], count > 0 && count % 2 == 0);
			starts[count] = options.start_revision = count == 0 ? 1 : 1 + random() % space_visible_revision(space);
			owner.argument = &all[count];
			all[count].watcher = watcher_new(hub, &options, &owner);
			count++;
		}
		write_some(space);
		if (random() % 4 == 0) {
			space_advance(space, space_head_revision(space));
			watch_hub_advanced(hub);
		}
		if (random() % 50 == 0)
			settle(hub, all, count);
	}
	space_advance(space, space_head_revision(space));
	watch_hub_advanced(hub);
	settle(hub, all, count);
	assert_true(all[0].count > 5000);
	assert_int_equal(watch_hub_lagging(hub), 0);
	for (size_t i = 1; i < count; i++)
		compare(&all[0], &all[i], starts[i]);
	for (size_t i = 0; i < count; i++) {
		assert_true(watcher_synced(all[i].watcher));
		watcher_free(all[i].watcher);
		received_free(&all[i]);
	}
	watch_hub_free(hub);
	space_free(space);
	value_cache_free(host.values);
}

static void a_compacted_start_is_told(void **state)
{
	struct watcher_owner owner = { deliver, compacted, NULL };
	struct received old, edge, future;
	struct host host;
	struct space *space = make_space(&host);
	struct watch_hub *hub = watch_hub_new(space);
	uint64_t sequence;
	int64_t start;

	for (int i = 0; i < 20; i++)
		write_some(space);
	space_advance(space, space_head_revision(space));
	watch_hub_advanced(hub);
	assert_int_equal(space_compact(space, 10, &sequence), STORE_OK);
	received_init(&old, false);
	received_init(&edge, false);
	received_init(&future, false);
	owner.argument = &old;
	old.watcher = watcher_new(hub, &(struct watcher_options){ BYTES("a"), BYTES("c"), 9 }, &owner);
	owner.argument = &edge;
	edge.watcher = watcher_new(hub, &(struct watcher_options){ BYTES("a"), BYTES("c"), 10 }, &owner);
	owner.argument = &future;
	start = space_visible_revision(space) + 5;
	future.watcher = watcher_new(hub, &(struct watcher_options){ BYTES("a"), BYTES("c"), start }, &owner);
	while (watch_hub_work(hub))
		;
	assert_int_equal(old.compacted, 10);
	assert_int_equal(old.count, 0);
	assert_int_equal(edge.compacted, 0);
	assert_int_equal(edge.revisions[0], 10);
	assert_true(watcher_synced(edge.watcher));
	assert_false(watcher_synced(future.watcher));
	while (space_visible_revision(space) < start + 5) {
		write_some(space);
		space_advance(space, space_head_revision(space));
		if (watch_hub_advanced(hub))
			while (watch_hub_work(hub))
				;
	}
	assert_true(watcher_synced(future.watcher));
	assert_int_equal(future.revisions[0], start);
	watcher_free(old.watcher);
	watcher_free(edge.watcher);
	watcher_free(future.watcher);
	received_free(&old);
	received_free(&edge);
	received_free(&future);
	watch_hub_free(hub);
	space_free(space);
	value_cache_free(host.values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_watcher_sees_the_same_history),
		cmocka_unit_test(a_compacted_start_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
