/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/key_index.h"
#include "store/key_range.h"
#include "store/value_cache.h"

enum { KEYS = 400 };

static void key_text(int number, char key[16])
{
	(void)snprintf(key, 16, "/k/%03d", number);
}

static void nothing(void *argument, const struct key_version *version)
{
	(*(int *)argument)++;
}

/* Random appends and compactions beside an array that remembers what is live. */
static void counts_and_order_match_a_plain_array(void **state)
{
	struct key_index index = { 0 };
	bool live[KEYS] = { false };
	int64_t versions[KEYS] = { 0 };
	int dropped = 0;

	srandom(7);
	for (int64_t revision = 2; revision < 5000; revision++) {
		int number = (int)(random() % KEYS);
		bool delete = live[number] && random() % 3 == 0;
		struct key_version version = { .mod_revision = revision,
			                       .version = delete ? 0 : ++versions[number],
			                       .id = (uint64_t)revision };
		char key[16];

		key_text(number, key);
		if (delete)
			versions[number] = 0;
		key_index_append(&index, key_index_ensure(&index, BYTES(key)), &version);
		live[number] = !delete;
		if (revision % 97 == 0) {
			int from = (int)(random() % KEYS), to = (int)(random() % KEYS);
			char low[16], high[16];
			size_t expected = 0;
			struct key_range range;

			key_text(from, low);
			key_text(to, high);
			for (int i = from; i < to; i++)
				expected += live[i];
			range = key_range_of(BYTES(low), BYTES(high));
			assert_int_equal(key_index_count(&index, &range), expected);
			range = key_range_of(BYTES(low), (struct bytes){ "\0", 1 });
			for (int i = to > from ? to : from; i < KEYS; i++)
				expected += live[i];
			if (to <= from)
				assert_int_equal(key_index_count(&index, &range), expected);
		}
		if (revision % 701 == 0) {
			struct key_record *record = key_index_seek(&index, BYTES(""));
			struct bytes last = { "", 0 };

			while (record != NULL) {
				struct key_record *next = key_record_next(record);

				assert_true(bytes_compare(last, key_record_key(record)) < 0);
				if (!key_index_compact(&index, record, revision, nothing, &dropped))
					last = key_record_key(record);
				record = next;
			}
		}
	}
	assert_true(dropped > 3000);
	key_index_free(&index);
	assert_int_equal(index.bytes, 0);
}

static void compaction_keeps_what_can_still_be_asked_for(void **state)
{
	struct key_index index = { 0 };
	struct key_record *record = key_index_ensure(&index, BYTES("a"));
	int dropped = 0;

	key_index_append(&index, record, &(struct key_version){ .mod_revision = 2, .version = 1 });
	key_index_append(&index, record, &(struct key_version){ .mod_revision = 5, .version = 2 });
	key_index_append(&index, record, &(struct key_version){ .mod_revision = 7, .version = 0 });
	assert_int_equal(key_record_at(record, 4)->mod_revision, 2);
	assert_null(key_record_at(record, 1));
	assert_false(key_index_compact(&index, record, 6, nothing, &dropped));
	assert_int_equal(dropped, 1);
	assert_int_equal(key_record_at(record, 6)->mod_revision, 5);
	/* A tombstone made exactly at the compacted revision stays for a watch from there. */
	assert_false(key_index_compact(&index, record, 7, nothing, &dropped));
	assert_int_equal(record->count, 1);
	assert_true(key_index_compact(&index, record, 8, nothing, &dropped));
	assert_int_equal(dropped, 3);
	assert_null(key_index_find(&index, BYTES("a")));
	key_index_free(&index);
}

static void ranges_mean_what_etcd_means(void **state)
{
	struct key_range all = key_range_of((struct bytes){ "\0", 1 }, (struct bytes){ "\0", 1 });
	struct key_range prefix = key_range_of(BYTES("/a/"), BYTES("/a0"));
	struct key_range inner = key_range_of(BYTES("/a/x"), BYTES("/a/y"));
	struct key_range empty = key_range_of(BYTES("b"), BYTES("a"));
	struct key_range one = key_range_of(BYTES("/a/x"), BYTES(""));

	assert_true(key_range_contains(&all, BYTES("zzz")));
	assert_true(key_range_contains(&prefix, BYTES("/a/b")));
	assert_false(key_range_contains(&prefix, BYTES("/a0")));
	assert_true(key_range_empty(&empty));
	assert_true(key_range_covers(&prefix, &inner));
	assert_true(key_range_covers(&prefix, &one));
	assert_false(key_range_covers(&inner, &prefix));
	assert_false(key_range_covers(&prefix, &all));
	assert_true(key_range_covers(&all, &prefix));
	assert_false(key_range_covers(&one, &inner));
}

static void the_cache_sheds_only_what_home_has(void **state)
{
	struct value_cache *cache = value_cache_new(10000);
	struct blob *value = blob_new("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 36);
	struct blob *got;

	for (uint64_t id = 1; id <= 1000; id++)
		value_cache_put(cache, id, value);
	got = value_cache_get(cache, 1);
	assert_ptr_equal(got, value);
	blob_unref(got);
	assert_true(value_cache_bytes(cache) > 10000);
	value_cache_unpin(cache, 900);
	assert_null(value_cache_get(cache, 2));
	got = value_cache_get(cache, 901);
	assert_non_null(got);
	blob_unref(got);
	value_cache_unpin(cache, 1000);
	assert_true(value_cache_bytes(cache) <= 10000);
	value_cache_drop(cache, 901);
	assert_null(value_cache_get(cache, 901));
	value_cache_free(cache);
	assert_int_equal(value->references, 1);
	blob_unref(value);
}

static void a_slab_gives_back_what_is_free(void **state)
{
	enum { THINGS = 3000 };
	struct slab slab = { 0 };
	static char *things[THINGS];

	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < THINGS; i++) {
			size_t size = i % 1200;

			things[i] = slab_alloc(&slab, size);
			assert_int_equal((uintptr_t)things[i] % 16, 0);
			memset(things[i], (int)(i % 251), size);
		}
		/* Every other, then the rest: places are used again and pages go. */
		for (size_t i = 0; i < THINGS; i = i + 2 < THINGS || i % 2 ? i + 2 : 1) {
			size_t size = i % 1200;

			for (size_t at = 0; at < size; at++)
				assert_int_equal((unsigned char)things[i][at], i % 251);
			slab_free(&slab, things[i], size);
			if (i == THINGS - 1)
				break;
		}
	}
	for (size_t class = 0; class < SLAB_CLASSES; class ++)
		assert_null(slab.room[class]);
}

static void what_was_overwritten_leaves_the_cache_first(void **state)
{
	struct value_cache *cache = value_cache_new(8000);
	char bytes[936] = { 0 };
	struct blob *value = blob_new(bytes, sizeof(bytes)), *got;

	/* Six of 1,000 bytes fit beside an eighth for the past. */
	for (uint64_t id = 1; id <= 6; id++)
		value_cache_put(cache, id, value);
	for (uint64_t id = 2; id <= 6; id++)
		value_cache_supersede(cache, id);
	got = value_cache_get(cache, 6);
	assert_non_null(got); /* still pinned */
	blob_unref(got);
	value_cache_unpin(cache, 6);
	assert_int_equal(value_cache_bytes(cache), 2000);
	assert_null(value_cache_get(cache, 5));
	got = value_cache_get(cache, 1);
	assert_non_null(got); /* the oldest of all, and in force */
	blob_unref(got);
	value_cache_supersede(cache, 5); /* not there */
	value_cache_free(cache);
	assert_int_equal(value->references, 1);
	blob_unref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_and_order_match_a_plain_array), cmocka_unit_test(compaction_keeps_what_can_still_be_asked_for),
		cmocka_unit_test(ranges_mean_what_etcd_means),          cmocka_unit_test(the_cache_sheds_only_what_home_has),
		cmocka_unit_test(a_slab_gives_back_what_is_free),       cmocka_unit_test(what_was_overwritten_leaves_the_cache_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
