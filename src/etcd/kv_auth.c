/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/kv_auth.h"

static const struct etcd_error *check_put(const struct auth_store *auth, const char *user, const struct put_request *put,
                                          struct space *space)
{
	const struct etcd_error *error = auth_check_put(auth, user, put->key);
	const struct lease *lease = put->lease != 0 ? space_lease_find(space, put->lease) : NULL;

	if (error == NULL && put->previous)
		error = auth_check_range(auth, user, put->key, (struct bytes){ "", 0 });
	for (uint32_t i = 0; error == NULL && lease != NULL && i < lease->count; i++)
		error = auth_check_put(auth, user, key_record_key(lease->keys[i]));
	return error;
}

static const struct etcd_error *check_branch(const struct auth_store *auth, const char *user, const struct operation *operations,
                                             uint32_t count, struct space *space)
{
	const struct etcd_error *error = NULL;

	for (uint32_t i = 0; i < count && error == NULL; i++)
		error = kv_auth_check(auth, user, &operations[i], space);
	return error;
}

const struct etcd_error *kv_auth_check(const struct auth_store *auth, const char *user, const struct operation *operation,
                                       struct space *space)
{
	const struct etcd_error *error = NULL;

	if (!auth_enabled(auth))
		return NULL;
	switch (operation->kind) {
	case OPERATION_RANGE:
		return auth_check_range(auth, user, operation->range.key, operation->range.range_end);
	case OPERATION_PUT:
		return check_put(auth, user, &operation->put, space);
	case OPERATION_DELETE:
		error = auth_check_delete(auth, user, operation->delete.key, operation->delete.range_end);
		if (error == NULL && operation->delete.previous)
			error = auth_check_range(auth, user, operation->delete.key, operation->delete.range_end);
		return error;
	case OPERATION_TXN:
		for (uint32_t i = 0; i < operation->txn.compare_count && error == NULL; i++)
			error = auth_check_range(auth, user, operation->txn.compares[i].key, operation->txn.compares[i].range_end);
		if (error == NULL)
			error = check_branch(auth, user, operation->txn.success, operation->txn.success_count, space);
		return error != NULL ? error : check_branch(auth, user, operation->txn.failure, operation->txn.failure_count, space);
	default:
		return NULL;
	}
}

static bool any(const struct operation *operation, bool deletes)
{
	if (operation->kind == OPERATION_PUT || (deletes && operation->kind == OPERATION_DELETE))
		return true;
	if (operation->kind != OPERATION_TXN)
		return false;
	for (uint32_t i = 0; i < operation->txn.success_count; i++)
		if (any(&operation->txn.success[i], deletes))
			return true;
	for (uint32_t i = 0; i < operation->txn.failure_count; i++)
		if (any(&operation->txn.failure[i], deletes))
			return true;
	return false;
}

bool kv_grows(const struct operation *operation)
{
	return any(operation, false);
}

bool kv_writes(const struct operation *operation)
{
	return any(operation, true);
}
