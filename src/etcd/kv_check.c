/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/kv_check.h"

const struct etcd_error *kv_check_range(const struct range_request *request)
{
	if (request->key.length == 0)
		return &etcd_error_EMPTY_KEY;
	if ((unsigned)request->sort_order > SORT_DESCEND || (unsigned)request->sort_target > SORT_VALUE)
		return &etcd_error_INVALID_SORT;
	return NULL;
}

const struct etcd_error *kv_check_put(const struct put_request *request)
{
	if (request->key.length == 0)
		return &etcd_error_EMPTY_KEY;
	if (request->ignore_value && request->value.length != 0)
		return &etcd_error_VALUE_PROVIDED;
	if (request->ignore_lease && request->lease != 0)
		return &etcd_error_LEASE_PROVIDED;
	return NULL;
}

const struct etcd_error *kv_check_delete(const struct delete_request *request)
{
	return request->key.length == 0 ? &etcd_error_EMPTY_KEY : NULL;
}

static const struct etcd_error *check_form(const struct txn_request *txn, int64_t room);

static const struct etcd_error *check_operations(const struct operation *operations, uint32_t count, int64_t room)
{
	const struct etcd_error *wrong = NULL;

	for (uint32_t i = 0; i < count && wrong == NULL; i++) {
		switch (operations[i].kind) {
		case OPERATION_RANGE:
			wrong = kv_check_range(&operations[i].range);
			break;
		case OPERATION_PUT:
			wrong = kv_check_put(&operations[i].put);
			break;
		case OPERATION_DELETE:
			wrong = kv_check_delete(&operations[i].delete);
			break;
		case OPERATION_TXN:
			wrong = check_form(&operations[i].txn, room);
			break;
		default:
			wrong = &etcd_error_KEY_NOT_FOUND;
			break;
		}
	}
	return wrong;
}

/* Nesting takes from the number of operations that inner transactions may have. */
static const struct etcd_error *check_form(const struct txn_request *txn, int64_t room)
{
	uint32_t most = txn->compare_count;
	const struct etcd_error *wrong;

	most = txn->success_count > most ? txn->success_count : most;
	most = txn->failure_count > most ? txn->failure_count : most;
	if (most > room)
		return &etcd_error_TOO_MANY_OPERATIONS;
	for (uint32_t i = 0; i < txn->compare_count; i++)
		if (txn->compares[i].key.length == 0)
			return &etcd_error_EMPTY_KEY;
	wrong = check_operations(txn->success, txn->success_count, room - most);
	return wrong != NULL ? wrong : check_operations(txn->failure, txn->failure_count, room - most);
}

/*
 * Lists are compared with lists, because a transaction has few writes. Nesting can multiply them beyond what --max-txn-ops says of one list, so the
 * comparisons of one request are counted and end before anybody else has to wait.
 */
enum { COMPARISONS_MAXIMUM = 4 * 1024 * 1024 };

struct comparing {
	struct arena *arena;
	uint64_t left;
};

static bool may_compare(struct comparing *comparing)
{
	if (comparing->left > 0)
		comparing->left--;
	return comparing->left > 0;
}

/* What a branch writes: keys put, ranges deleted. */
struct writes {
	struct written {
		struct written *next;
		struct bytes key;
		bool from_success; /* of the nested transaction that is being looked at */
	} *puts;
	struct removed {
		struct removed *next;
		struct bytes from,
			to; /* as sent: to empty is one key, "\0" is no end but a text that no key is below, as in etcd's own check */
	} *deletes;
};

static bool is_put(const struct writes *writes, struct bytes key, bool *from_success, struct comparing *comparing)
{
	for (const struct written *put = writes->puts; put != NULL && may_compare(comparing); put = put->next) {
		if (bytes_equal(put->key, key)) {
			*from_success = put->from_success;
			return true;
		}
	}
	return false;
}

static bool is_deleted(const struct writes *writes, struct bytes key, struct comparing *comparing)
{
	for (const struct removed *removed = writes->deletes; removed != NULL && may_compare(comparing); removed = removed->next)
		if (removed->to.length == 0 ? bytes_equal(removed->from, key)
		                            : bytes_compare(key, removed->from) >= 0 && bytes_compare(key, removed->to) < 0)
			return true;
	return false;
}

static void add_put(struct writes *writes, struct bytes key, bool from_success, struct arena *arena)
{
	struct written *put = arena_alloc(arena, sizeof(*put));

	*put = (struct written){ writes->puts, key, from_success };
	writes->puts = put;
}

static bool collect(const struct operation *operations, uint32_t count, struct comparing *comparing, struct writes *writes);

/* Keys of either branch of a nested transaction; both branches may put the same key, since only one of them runs. */
static bool merge(struct writes *writes, const struct writes *branch, bool success, struct comparing *comparing)
{
	for (const struct written *put = branch->puts; put != NULL; put = put->next) {
		bool from_success = false;

		if (is_put(writes, put->key, &from_success, comparing)) {
			if (success || !from_success)
				return false;
		} else if (is_deleted(writes, put->key, comparing)) {
			return false;
		} else {
			add_put(writes, put->key, success, comparing->arena);
			continue;
		}
		if (is_deleted(writes, put->key, comparing))
			return false;
	}
	return true;
}

static bool collect_nested(const struct txn_request *txn, struct comparing *comparing, struct writes *writes)
{
	struct writes success = { 0 }, failure = { 0 };
	struct removed **end;

	if (!collect(txn->success, txn->success_count, comparing, &success) ||
	    !collect(txn->failure, txn->failure_count, comparing, &failure) || !merge(writes, &success, true, comparing) ||
	    !merge(writes, &failure, false, comparing))
		return false;
	for (struct written *put = writes->puts; put != NULL; put = put->next)
		put->from_success = false;
	for (end = &writes->deletes; *end != NULL; end = &(*end)->next)
		;
	*end = success.deletes;
	for (; *end != NULL; end = &(*end)->next)
		;
	*end = failure.deletes;
	return true;
}

static bool collect(const struct operation *operations, uint32_t count, struct comparing *comparing, struct writes *writes)
{
	bool ignored;

	for (uint32_t i = 0; i < count; i++) {
		if (operations[i].kind == OPERATION_DELETE) {
			struct removed *removed = arena_alloc(comparing->arena, sizeof(*removed));

			*removed = (struct removed){ writes->deletes, operations[i].delete.key, operations[i].delete.range_end };
			writes->deletes = removed;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		if (operations[i].kind == OPERATION_TXN && !collect_nested(&operations[i].txn, comparing, writes))
			return false;
	for (uint32_t i = 0; i < count; i++) {
		if (operations[i].kind != OPERATION_PUT)
			continue;
		if (is_put(writes, operations[i].put.key, &ignored, comparing) || is_deleted(writes, operations[i].put.key, comparing))
			return false;
		add_put(writes, operations[i].put.key, false, comparing->arena);
	}
	return true;
}

const struct etcd_error *kv_check_txn(const struct txn_request *request, int64_t maximum_operations, struct arena *arena)
{
	struct comparing comparing = { arena, COMPARISONS_MAXIMUM + (uint64_t)maximum_operations * (uint64_t)maximum_operations };
	struct writes success = { 0 }, failure = { 0 };
	const struct etcd_error *wrong = check_form(request, maximum_operations);
	bool good;

	if (wrong != NULL)
		return wrong;
	good = collect(request->success, request->success_count, &comparing, &success) &&
	       collect(request->failure, request->failure_count, &comparing, &failure);
	if (comparing.left == 0)
		return &etcd_error_TOO_MANY_OPERATIONS;
	return good ? NULL : &etcd_error_DUPLICATE_KEY;
}
