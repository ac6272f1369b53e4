/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of KV and Watch as bytes: what is read from them, what is refused, and that no cut does harm. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "etcd/etcd_encode.h"
#include "etcd/kv_check.h"
#include "etcd/kv_decode.h"
#include "etcd/watch_decode.h"

/* kube-apiserver's creation of key "a" with value "b", as a Go client writes it. */
static const char create_txn[] = "\x0a\x07\x10\x02\x1a\x01\x61\x30\x00\x12\x08\x12\x06\x0a\x01\x61\x12\x01\x62";

/* The bytes in memory of their own, so that the sanitizer sees a read past the end. */
static char *copy_of(const char *bytes, size_t length)
{
	char *copy = malloc(length ? length : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	return copy;
}

static void a_creation_is_read(void **state)
{
	struct arena *arena = arena_new();
	struct txn_request txn;

	assert_true(kv_decode_txn(create_txn, sizeof(create_txn) - 1, arena, &txn));
	assert_int_equal(txn.compare_count, 1);
	assert_int_equal(txn.compares[0].target, COMPARE_MOD);
	assert_int_equal(txn.compares[0].result, COMPARE_EQUAL);
	assert_int_equal(txn.compares[0].number, 0);
	assert_int_equal(txn.success_count, 1);
	assert_int_equal(txn.failure_count, 0);
	assert_int_equal(txn.success[0].kind, OPERATION_PUT);
	assert_memory_equal(txn.success[0].put.value.data, "b", 1);
	assert_null(kv_check_txn(&txn, KV_OPERATIONS_DEFAULT, arena));
	arena_free(arena);
}

/* Of the union's fields the last wins, and only the one of the target is compared with. */
static void a_comparison_has_one_operand(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		int64_t number;
		size_t value;
	} cases[] = {
		{ "\x0a\x07\x10\x02\x1a\x01k\x30\x09", 9, 9, 0 },          /* MOD, mod_revision 9 */
		{ "\x0a\x07\x10\x02\x1a\x01k\x20\x09", 9, 0, 0 },          /* MOD, version 9 */
		{ "\x0a\x09\x10\x02\x1a\x01k\x30\x09\x20\x01", 11, 0, 0 }, /* MOD, mod_revision 9, then version 1 */
		{ "\x0a\x09\x10\x02\x1a\x01k\x20\x01\x30\x09", 11, 9, 0 },
		{ "\x0a\x08\x10\x03\x1a\x01k\x3a\x01v", 10, 0, 1 }, /* VALUE */
		{ "\x0a\x0a\x10\x03\x1a\x01k\x3a\x01v\x20\x01", 12, 0, 0 },
		{ "\x0a\x09\x20\x05\x1a\x01k\x10\x00\x10\x00", 11, 5, 0 }, /* the target after the operand */
		{ "\x0a\x07\x10\x09\x1a\x01k\x20\x09", 9, 0, 0 },          /* a target that there is not */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena *arena = arena_new();
		struct txn_request txn;

		assert_true(kv_decode_txn(cases[i].bytes, cases[i].length, arena, &txn));
		assert_int_equal(txn.compares[0].number, cases[i].number);
		assert_int_equal(txn.compares[0].value.length, cases[i].value);
		arena_free(arena);
	}
}

/* A cut message is malformed, except where a whole field ends. */
static void a_cut_transaction_is_refused_or_shorter(void **state)
{
	for (size_t length = 0; length < sizeof(create_txn) - 1; length++) {
		char *bytes = copy_of(create_txn, length);
		struct arena *arena = arena_new();
		struct txn_request txn;
		bool whole = length == 0 || length == 9;

		assert_int_equal(kv_decode_txn(bytes, length, arena, &txn), whole);
		if (whole)
			assert_int_equal(txn.success_count, 0);
		arena_free(arena);
		free(bytes);
	}
}

static void a_read_is_read(void **state)
{
	static const char bytes[] = "\x0a\x0e/registry/pods\x18\x01";
	struct range_request range;

	assert_true(kv_decode_range(bytes, sizeof(bytes) - 1, &range));
	assert_int_equal(range.key.length, 14);
	assert_int_equal(range.limit, 1);
	assert_int_equal(range.range_end.length, 0);
	assert_null(kv_check_range(&range));
	for (size_t length = 1; length < sizeof(bytes) - 1; length++) {
		char *cut = copy_of(bytes, length);

		assert_int_equal(kv_decode_range(cut, length, &range), length == 16);
		free(cut);
	}
}

static void nesting_is_bounded(void **state)
{
	struct buffer inner BUFFER_CLEANUP = { 0 };
	struct arena *arena = arena_new();
	struct txn_request txn;

	for (int depth = 0; depth < 40; depth++) {
		struct buffer outer = { 0 };
		char head[] = { 0x12, (char)(inner.length + 2), 0x22, (char)inner.length };

		assert_true(inner.length < 120);
		buffer_append(&outer, head, sizeof(head));
		buffer_append(&outer, inner.data, inner.length);
		buffer_free(&inner);
		inner = outer;
		if (depth == 5)
			assert_true(kv_decode_txn(inner.data, inner.length, arena, &txn));
		if (depth == 25) {
			assert_false(kv_decode_txn(inner.data, inner.length, arena, &txn));
			break;
		}
	}
	arena_free(arena);
}

static struct operation put_of(const char *key)
{
	return (struct operation){ .kind = OPERATION_PUT, .put = { .key = BYTES(key), .value = BYTES("v") } };
}

static const struct etcd_error *check_pair(struct operation first, struct operation second)
{
	struct operation operations[] = { first, second };
	struct txn_request txn = { .success = operations, .success_count = 2 };
	struct arena *arena = arena_new();
	const struct etcd_error *error = kv_check_txn(&txn, KV_OPERATIONS_DEFAULT, arena);

	arena_free(arena);
	return error;
}

static struct operation delete_of(const char *key, struct bytes range_end)
{
	return (struct operation){ .kind = OPERATION_DELETE, .delete = { .key = BYTES(key), .range_end = range_end } };
}

static struct operation txn_of(struct txn_request txn)
{
	return (struct operation){ .kind = OPERATION_TXN, .txn = txn };
}

static void a_key_is_written_once(void **state)
{
	struct operation inner = put_of("a");
	struct bytes none = { "", 0 }, end = { "", 1 };

	assert_null(check_pair(put_of("a"), put_of("b")));
	assert_ptr_equal(check_pair(put_of("a"), put_of("a")), &etcd_error_DUPLICATE_KEY);
	assert_ptr_equal(check_pair(put_of("a"), delete_of("a", none)), &etcd_error_DUPLICATE_KEY);
	assert_ptr_equal(check_pair(put_of("b"), delete_of("a", BYTES("c"))), &etcd_error_DUPLICATE_KEY);
	assert_null(check_pair(put_of("c"), delete_of("a", BYTES("c"))));
	/* etcd's check knows no range to the end of the keys. */
	assert_null(check_pair(put_of("b"), delete_of("a", end)));
	assert_null(check_pair(delete_of("a", none), delete_of("a", none)));
	assert_ptr_equal(check_pair(put_of("a"), txn_of((struct txn_request){ .failure = &inner, .failure_count = 1 })),
	                 &etcd_error_DUPLICATE_KEY);
	assert_null(check_pair(
		put_of("b"), txn_of((struct txn_request){ .success = &inner, .success_count = 1, .failure = &inner, .failure_count = 1 })));
	assert_ptr_equal(check_pair(put_of("b"), (struct operation){ .kind = OPERATION_NONE }), &etcd_error_KEY_NOT_FOUND);
	assert_ptr_equal(check_pair(put_of("b"), put_of("")), &etcd_error_EMPTY_KEY);
}

static void operations_are_counted(void **state)
{
	struct operation operations[4];
	struct txn_request txn = { .success = operations, .success_count = 4 };
	struct arena *arena = arena_new();

	for (size_t i = 0; i < 4; i++)
		operations[i] = (struct operation){ .kind = OPERATION_RANGE, .range = { .key = BYTES("k") } };
	assert_null(kv_check_txn(&txn, 4, arena));
	assert_ptr_equal(kv_check_txn(&txn, 3, arena), &etcd_error_TOO_MANY_OPERATIONS);
	operations[3] = txn_of((struct txn_request){ .success = operations, .success_count = 1 });
	assert_ptr_equal(kv_check_txn(&txn, 4, arena), &etcd_error_TOO_MANY_OPERATIONS);
	assert_null(kv_check_txn(&txn, 5, arena));
	arena_free(arena);
}

/* 3 levels of 40 are within 128 each, and 64,000 puts together: such a request is refused before it has kept others waiting. */
static void nested_writes_do_not_multiply(void **state)
{
	enum { WIDE = 40 };
	struct arena *arena = arena_new();
	struct operation *outer = arena_alloc(arena, WIDE * sizeof(*outer));
	struct txn_request txn = { .success = outer, .success_count = WIDE };
	uint32_t number = 0;

	for (int i = 0; i < WIDE; i++) {
		struct operation *middle = arena_alloc(arena, WIDE * sizeof(*middle));

		outer[i] = txn_of((struct txn_request){ .success = middle, .success_count = WIDE });
		for (int j = 0; j < WIDE; j++) {
			struct operation *inner = arena_alloc(arena, WIDE * sizeof(*inner));

			middle[j] = txn_of((struct txn_request){ .success = inner, .success_count = WIDE });
			for (int k = 0; k < WIDE; k++, number++)
				inner[k] = put_of(arena_strndup(
					arena,
					(char[]){ (char)(1 + number % 200), (char)(1 + number / 200 % 200), (char)(1 + number / 40000) },
					3));
		}
	}
	assert_ptr_equal(kv_check_txn(&txn, KV_OPERATIONS_DEFAULT, arena), &etcd_error_TOO_MANY_OPERATIONS);
	txn.success_count = 1;
	assert_null(kv_check_txn(&txn, KV_OPERATIONS_DEFAULT, arena));
	arena_free(arena);
}

static void options_contradict(void **state)
{
	struct put_request put = { .key = BYTES("a"), .value = BYTES("v"), .ignore_value = true };
	struct range_request range = { .key = BYTES("a"), .sort_order = (enum sort_order)7 };

	assert_ptr_equal(kv_check_put(&put), &etcd_error_VALUE_PROVIDED);
	put = (struct put_request){ .key = BYTES("a"), .lease = 1, .ignore_lease = true };
	assert_ptr_equal(kv_check_put(&put), &etcd_error_LEASE_PROVIDED);
	assert_ptr_equal(kv_check_range(&range), &etcd_error_INVALID_SORT);
}

static void watch_requests_are_read(void **state)
{
	static const char create[] = "\x0a\x0f\x0a\x03/a/\x12\x03/a0\x18\x05\x30\x01";
	struct watch_request request;

	assert_true(watch_decode("\x1a\x00", 2, &request));
	assert_int_equal(request.kind, WATCH_PROGRESS);
	assert_true(watch_decode("\x12\x02\x08\x03", 4, &request));
	assert_int_equal(request.kind, WATCH_CANCEL);
	assert_int_equal(request.cancel_id, 3);
	assert_true(watch_decode("", 0, &request));
	assert_int_equal(request.kind, WATCH_NOTHING);
	assert_true(watch_decode(create, 16, &request) == false);
	assert_true(watch_decode("\x0a\x0e\x0a\x03/a/\x12\x03/a0\x18\x05\x30\x01", 16, &request));
	assert_int_equal(request.kind, WATCH_CREATE);
	assert_int_equal(request.create.start_revision, 5);
	assert_true(request.create.previous);
	/* Filters packed and not. */
	assert_true(watch_decode("\x0a\x07\x0a\x01k\x2a\x02\x00\x01", 9, &request));
	assert_true(request.create.no_put && request.create.no_delete);
	assert_true(watch_decode("\x0a\x05\x0a\x01k\x28\x01", 7, &request));
	assert_true(!request.create.no_put && request.create.no_delete);
}

static void answers_are_written_as_etcd_does(void **state)
{
	static const char empty_put[] = "\x0a\x08\x08\x01\x10\x02\x18\x05\x20\x01\x10\x01\x1a\x06\x12\x04\x0a\x02\x18\x05";
	struct etcd_header header = { 1, 2, 5, 1 };
	struct operation_result put = { .kind = OPERATION_PUT, .revision = 5 };
	struct operation_result txn = { .kind = OPERATION_TXN, .succeeded = true, .results = &put, .result_count = 1 };
	struct buffer out BUFFER_CLEANUP = { 0 };

	etcd_encode_txn(&out, &header, &txn);
	assert_int_equal(out.length, sizeof(empty_put) - 1);
	assert_memory_equal(out.data, empty_put, out.length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_creation_is_read),
		cmocka_unit_test(a_comparison_has_one_operand),
		cmocka_unit_test(a_cut_transaction_is_refused_or_shorter),
		cmocka_unit_test(a_read_is_read),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_key_is_written_once),
		cmocka_unit_test(operations_are_counted),
		cmocka_unit_test(nested_writes_do_not_multiply),
		cmocka_unit_test(options_contradict),
		cmocka_unit_test(watch_requests_are_read),
		cmocka_unit_test(answers_are_written_as_etcd_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
