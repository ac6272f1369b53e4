/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/space_int.h"

static struct commit_operation *add_operation(struct change *change)
{
	if (change->count == change->capacity) {
		uint32_t capacity = change->capacity ? change->capacity * 2 : 4;
		struct commit_operation *operations = arena_alloc(change->arena, capacity * sizeof(*operations));

		if (change->count > 0)
			memcpy(operations, change->operations, change->count * sizeof(*operations));
		change->operations = operations;
		change->capacity = capacity;
	}
	return &change->operations[change->count++];
}

/* The version goes into the index at once; the event waits in the ring until it is visible. */
static void record_version(struct change *change, struct key_record *record, const struct key_version *version, struct blob *value)
{
	struct space *space = change->space;
	const struct key_version *head = key_record_head(record), *before = key_record_before(record, version->mod_revision);
	struct space_event *event = space_event_new(key_record_key(record));

	event->deleted = !key_version_live(version);
	event->was_live = key_version_live(head);
	event->mod_revision = version->mod_revision;
	event->create_revision = version->create_revision;
	event->version = version->version;
	event->lease = version->lease;
	event->id = version->id;
	event->value = blob_ref(value);
	if (key_version_live(before)) {
		event->previous_mod_revision = before->mod_revision;
		event->previous_create_revision = before->create_revision;
		event->previous_version = before->version;
		event->previous_lease = before->lease;
		event->previous_id = before->id;
		event->previous_length = before->value_length;
		event->previous_value = space_value(space, before);
		if (space->host.past_value != NULL)
			space->host.past_value(space->host.context, before->id);
	}
	if (key_version_live(head) && head->lease != 0 && head->lease != version->lease) {
		struct lease *lease = lease_table_find(&space->leases, head->lease);

		if (lease != NULL)
			lease_detach(lease, record);
	}
	if (record->count == 0)
		space->data_bytes += record->key_length;
	space->data_bytes += version->value_length;
	key_index_append(&space->index, record, version);
	space_ring_add(space, event);
}

void change_put(struct change *change, struct bytes key, struct blob *value, int64_t lease_id)
{
	struct space *space = change->space;
	struct key_record *record = key_index_ensure(&space->index, key);
	const struct key_version *before = key_record_head(record);
	struct commit_operation *operation = add_operation(change);
	bool attached = false;
	struct key_version version = {
		.mod_revision = change->revision,
		.create_revision = change->revision,
		.version = 1,
		.lease = lease_id,
		.id = space->host.next_id(space->host.context),
		.value_length = value->length,
		.sub = change->count - 1,
	};

	if (key_version_live(before)) {
		version.create_revision = before->create_revision;
		version.version = before->version + 1;
		attached = before->lease == lease_id;
	}
	space->host.keep_value(space->host.context, version.id, value);
	record_version(change, record, &version, value);
	if (lease_id != 0 && !attached)
		lease_attach(lease_table_find(&space->leases, lease_id), record);
	*operation = (struct commit_operation){
		.id = version.id,
		.key = key_record_key(record),
		.value = blob_bytes(value),
		.lease = lease_id,
		.create_revision = version.create_revision,
		.version = version.version,
	};
}

void change_delete(struct change *change, struct key_record *record)
{
	struct space *space = change->space;
	struct commit_operation *operation = add_operation(change);
	struct key_version version = {
		.mod_revision = change->revision,
		.id = space->host.next_id(space->host.context),
		.sub = change->count - 1,
	};

	record_version(change, record, &version, NULL);
	*operation = (struct commit_operation){ .id = version.id, .key = key_record_key(record), .deleted = true };
}

uint64_t change_commit(struct change *change, int64_t ended_lease)
{
	struct space *space = change->space;
	struct commit commit = {
		.kind = COMMIT_OPERATIONS,
		.space = space->id,
		.revision = change->revision,
		.lease = ended_lease,
		.operations = change->operations,
		.count = change->count,
	};

	if (change->count == 0)
		return 0;
	space->head = change->revision;
	space->head_sequence = space->host.append(space->host.context, &commit);
	return space->head_sequence;
}

static bool compare_holds(const struct compare_request *compare, int order)
{
	switch (compare->result) {
	case COMPARE_EQUAL:
		return order == 0;
	case COMPARE_GREATER:
		return order > 0;
	case COMPARE_LESS:
		return order < 0;
	case COMPARE_NOT_EQUAL:
		return order != 0;
	}
	return true; /* as etcd has it for a comparison that it does not know */
}

/* `version` NULL stands for a missing key: all its numbers are 0 and no comparison of its value holds. */
static bool compare_version(struct space *space, const struct compare_request *compare, const struct key_version *version, bool *unreadable)
{
	static const struct key_version missing;
	int64_t number;

	if (compare->target == COMPARE_VALUE) {
		struct blob *value;
		int order;

		if (version == NULL)
			return false;
		value = space_value(space, version);
		if (value == NULL) {
			*unreadable = true;
			return false;
		}
		order = bytes_compare(blob_bytes(value), compare->value);
		blob_unref(value);
		return compare_holds(compare, order);
	}
	if (version == NULL)
		version = &missing;
	number = compare->target == COMPARE_VERSION  ? version->version
	         : compare->target == COMPARE_CREATE ? version->create_revision
	         : compare->target == COMPARE_MOD    ? version->mod_revision
	         : compare->target == COMPARE_LEASE  ? version->lease
	                                             : compare->number; /* a target that etcd does not know is equal */
	return compare_holds(compare, (number > compare->number) - (number < compare->number));
}

static bool compare_range(struct space *space, const struct compare_request *compare, bool *unreadable)
{
	struct key_range range = key_range_of(compare->key, compare->range_end);
	struct key_record *record = key_range_empty(&range) ? NULL : key_index_first(&space->index, &range);
	bool any = false;

	for (; record != NULL && key_range_contains(&range, key_record_key(record)); record = key_record_next(record)) {
		const struct key_version *head = key_record_head(record);

		if (key_version_live(head)) {
			any = true;
			if (!compare_version(space, compare, head, unreadable))
				return false;
		}
		if (range.single)
			break;
	}
	return any || compare_version(space, compare, NULL, unreadable);
}

/*
 * The branches are chosen against the state before the transaction, all of them before anything is written: nested transactions
 * do not see their parent's writes in their compares.
 */
static bool choose(struct space *space, const struct txn_request *txn, struct arena *arena, struct operation_result *result,
                   bool *unreadable)
{
	const struct operation *operations;

	result->kind = OPERATION_TXN;
	result->succeeded = true;
	for (uint32_t i = 0; i < txn->compare_count && result->succeeded; i++)
		result->succeeded = compare_range(space, &txn->compares[i], unreadable);
	operations = result->succeeded ? txn->success : txn->failure;
	result->result_count = result->succeeded ? txn->success_count : txn->failure_count;
	result->results = arena_alloc(arena, result->result_count * sizeof(*result->results) + 1);
	for (uint32_t i = 0; i < result->result_count && !*unreadable; i++)
		if (operations[i].kind == OPERATION_TXN)
			(void)choose(space, &operations[i].txn, arena, &result->results[i], unreadable);
	return result->succeeded;
}

static bool grows(const struct space *space, const struct put_request *put)
{
	const struct key_record *record = key_index_find(&space->index, put->key);
	const struct key_version *head = record != NULL ? key_record_head(record) : NULL;

	/* A renewal that does not grow keeps nodes alive in a full store. */
	return !key_version_live(head) || put->value.length > head->value_length;
}

static enum store_status check_put(struct space *space, const struct put_request *put)
{
	if (put->lease != 0 && lease_table_find(&space->leases, put->lease) == NULL)
		return STORE_LEASE_NOT_FOUND;
	if (put->ignore_value || put->ignore_lease) {
		const struct key_record *record = key_index_find(&space->index, put->key);

		if (record == NULL || !key_version_live(key_record_head(record)))
			return STORE_KEY_NOT_FOUND;
	}
	if (space_over_quota(space) && grows(space, put))
		return STORE_NO_SPACE;
	return STORE_OK;
}

static enum store_status check_range(const struct space *space, const struct range_request *range)
{
	if (range->revision > space->head)
		return STORE_FUTURE_REVISION;
	/* A negative revision means the present to a read of its own, but is as any other inside a transaction. */
	if (range->revision != 0 && range->revision < space->compacted)
		return STORE_COMPACTED;
	return STORE_OK;
}

/* What can only be known from the state, before anything is changed, along the chosen branches. */
static enum store_status check(struct space *space, const struct operation *operation, const struct operation_result *result)
{
	switch (operation->kind) {
	case OPERATION_PUT:
		return check_put(space, &operation->put);
	case OPERATION_RANGE:
		return check_range(space, &operation->range);
	case OPERATION_TXN: {
		const struct operation *branch = result->succeeded ? operation->txn.success : operation->txn.failure;

		for (uint32_t i = 0; i < result->result_count; i++) {
			enum store_status status = check(space, &branch[i], &result->results[i]);

			if (status != STORE_OK)
				return status;
		}
		return STORE_OK;
	}
	default:
		return STORE_OK;
	}
}

static enum store_status run_put(struct change *change, const struct put_request *put, struct operation_result *result)
{
	struct space *space = change->space;
	struct key_record *record =
		put->previous || put->ignore_value || put->ignore_lease ? key_index_find(&space->index, put->key) : NULL;
	const struct key_version *before = record != NULL ? key_record_head(record) : NULL;
	struct blob *value = NULL;
	int64_t lease = put->lease;

	if (put->previous && key_version_live(before)) {
		result->previous = space_key_value(space, record, before, true, change->arena);
		result->has_previous = true;
		if (result->previous.value == NULL)
			return STORE_UNREADABLE;
	}
	/* The key was there when the transaction began; the transaction itself may have deleted it since. */
	if (!key_version_live(before))
		before = NULL;
	if (put->ignore_lease)
		lease = before != NULL ? before->lease : 0;
	if (put->ignore_value && before != NULL) {
		value = space_value(space, before);
		if (value == NULL)
			return STORE_UNREADABLE;
	} else {
		value = blob_new(put->value.data, put->value.length);
	}
	change_put(change, put->key, value, lease);
	blob_unref(value);
	result->revision = change->revision;
	return STORE_OK;
}

static void add_previous(struct change *change, struct operation_result *result, size_t *capacity, struct key_record *record)
{
	struct range_result *range = &result->range;

	if (range->count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : 8;
		struct key_value *items = arena_alloc(change->arena, wanted * sizeof(*items));

		if (range->count > 0)
			memcpy(items, range->items, range->count * sizeof(*items));
		range->items = items;
		*capacity = wanted;
	}
	range->items[range->count++] = space_key_value(change->space, record, key_record_head(record), true, change->arena);
}

static enum store_status run_delete(struct change *change, const struct delete_request *delete, struct operation_result *result)
{
	struct space *space = change->space;
	struct key_range range = key_range_of(delete->key, delete->range_end);
	struct key_record *record = key_range_empty(&range) ? NULL : key_index_first(&space->index, &range);
	size_t capacity = 0;

	for (; record != NULL && key_range_contains(&range, key_record_key(record)); record = key_record_next(record)) {
		if (key_version_live(key_record_head(record))) {
			if (delete->previous) {
				add_previous(change, result, &capacity, record);
				if (result->range.items[result->range.count - 1].value == NULL)
					return STORE_UNREADABLE;
			}
			change_delete(change, record);
			result->deleted++;
		}
		if (range.single)
			break;
	}
	result->revision = change->count > 0 ? change->revision : space->head;
	return STORE_OK;
}

static enum store_status run(struct change *change, const struct operation *operation, struct operation_result *result)
{
	enum store_status status = STORE_OK;

	result->kind = operation->kind;
	switch (operation->kind) {
	case OPERATION_RANGE: {
		int64_t now = change->count > 0 ? change->revision : change->space->head;

		result->revision = now;
		return space_read(change->space, &operation->range, operation->range.revision > 0 ? operation->range.revision : now,
		                  change->arena, &result->range);
	}
	case OPERATION_PUT:
		return run_put(change, &operation->put, result);
	case OPERATION_DELETE:
		return run_delete(change, &operation->delete, result);
	case OPERATION_TXN: {
		const struct operation *branch = result->succeeded ? operation->txn.success : operation->txn.failure;

		for (uint32_t i = 0; i < result->result_count && status == STORE_OK; i++)
			status = run(change, &branch[i], &result->results[i]);
		return status; /* result->revision stays 0: a nested transaction's header says nothing */
	}
	default:
		return STORE_KEY_NOT_FOUND;
	}
}

enum store_status space_change(struct space *space, const struct operation *operation, struct arena *arena, struct operation_result *result,
                               int64_t *revision, uint64_t *sequence)
{
	struct change change = { .space = space, .arena = arena, .revision = space->head + 1 };
	enum store_status status;
	bool unreadable = false;

	*result = (struct operation_result){ 0 };
	if (operation->kind == OPERATION_TXN)
		(void)choose(space, &operation->txn, arena, result, &unreadable);
	if (unreadable)
		return STORE_UNREADABLE;
	status = check(space, operation, result);
	if (status != STORE_OK)
		return status;
	status = run(&change, operation, result);
	(void)change_commit(&change, 0);
	/* What was read may rest on changes that are not durable yet, so even an answer without writes waits for them. */
	*sequence = space->head > space->visible ? space->head_sequence : 0;
	*revision = space->head;
	return status;
}
