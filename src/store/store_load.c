/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/home.h"
#include "store/log_file.h"
#include "store/store_int.h"

static int take_space(void *argument, uint64_t id, int64_t revision, int64_t compacted, struct error *err)
{
	struct store *store = argument;
	struct space *space = store_add_space(store, id)->space;

	space_load_revision(space, revision);
	if (compacted > 0)
		space_load_compacted(space, compacted);
	return 0;
}

static int take_operation(void *argument, uint64_t id, int64_t revision, uint32_t sub, const struct commit_operation *operation,
                          uint32_t value_length, struct error *err)
{
	struct store *store = argument;

	space_load_operation(store_add_space(store, id)->space, operation, value_length, revision, sub);
	if (operation->id > store->last_id)
		store->last_id = operation->id;
	return 0;
}

static int take_lease(void *argument, uint64_t id, int64_t lease, int64_t ttl, struct error *err)
{
	space_load_lease(store_add_space(argument, id)->space, lease, ttl, clock_monotonic_ms());
	return 0;
}

static int take_record(void *argument, uint64_t id, struct bytes key, struct bytes value, struct error *err)
{
	store_set_record(&store_add_space(argument, id)->records, key, &value);
	return 0;
}

static int take_commit(void *argument, const struct commit *commit, uint64_t sequence, struct error *err)
{
	struct store *store = argument;
	struct store_space *into = store_add_space(store, commit->space);

	if (home_replay(store->home, commit, err) < 0)
		return -1;
	switch (commit->kind) {
	case COMMIT_OPERATIONS:
		for (uint32_t i = 0; i < commit->count; i++)
			if (take_operation(store, commit->space, commit->revision, i, &commit->operations[i],
			                   (uint32_t)commit->operations[i].value.length, err) < 0)
				return -1;
		if (commit->lease != 0)
			space_load_lease_end(into->space, commit->lease);
		return 0;
	case COMMIT_COMPACT:
	case COMMIT_JUMP:
		space_load_compacted(into->space, commit->revision);
		return 0;
	case COMMIT_LEASE_GRANT:
		return take_lease(store, commit->space, commit->lease, commit->ttl, err);
	case COMMIT_LEASE_REVOKE:
		space_load_lease_end(into->space, commit->lease);
		return 0;
	case COMMIT_RECORD:
		store_set_record(&into->records, commit->operations[0].key,
		                 commit->operations[0].deleted ? NULL : &commit->operations[0].value);
		return 0;
	}
	return error_set(err, ERROR_CORRUPT, "log record %llu has an unknown kind", (unsigned long long)sequence);
}

/*
 * Every space goes on far beyond what anybody can have seen, and all before is compacted. That is written together with the commits that were found:
 * were it written after them, a crash in between would leave no trace of the loss.
 */
static int jump(struct store *store, struct error *err)
{
	for (size_t i = 0; i < store->space_count; i++) {
		struct space *space = store->spaces[i]->space;
		struct commit commit = { .kind = COMMIT_JUMP, .space = space_id(space) };

		commit.revision = space_head_revision(space) + STORE_JUMP;
		if (home_replay(store->home, &commit, err) < 0)
			return -1;
		space_load_compacted(space, commit.revision);
	}
	return 0;
}

int store_load(struct store *store, struct store_report *report, uint64_t *last_sequence, struct error *err)
{
	struct home_loader loader = { take_space, take_operation, take_lease, take_record, store };
	struct log_scan scan = { .after = home_sequence(store->home), .visit = take_commit, .argument = store };

	if (home_load(store->home, &loader, err) < 0)
		return -1;
	if (home_last_id(store->home) > store->last_id)
		store->last_id = home_last_id(store->home);
	if (home_replay_begin(store->home, err) < 0 || log_scan(store->log_directory, &scan, err) < 0 ||
	    (scan.lost && jump(store, err) < 0) || home_replay_end(store->home, scan.last_sequence, err) < 0)
		return -1;
	for (size_t i = 0; i < store->space_count; i++)
		space_load_done(store->spaces[i]->space);
	report->replayed = scan.last_sequence - scan.after;
	report->lost = scan.lost;
	(void)snprintf(report->detail, sizeof(report->detail), "%s", scan.detail);
	*last_sequence = scan.last_sequence;
	return 0;
}

static size_t record_place(const struct record_list *list, struct bytes key, bool *found)
{
	size_t low = 0, high = list->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = bytes_compare(blob_bytes(list->items[middle].key), key);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void store_set_record(struct record_list *list, struct bytes key, const struct bytes *value)
{
	bool found;
	size_t place = record_place(list, key, &found);

	if (found) {
		blob_unref(list->items[place].value);
		list->items[place].value = NULL;
	}
	if (value == NULL) {
		if (found) {
			blob_unref(list->items[place].key);
			memmove(&list->items[place], &list->items[place + 1], (--list->count - place) * sizeof(*list->items));
		}
		return;
	}
	if (!found) {
		if (list->count == list->capacity) {
			list->capacity = list->capacity ? list->capacity * 2 : 16;
			list->items = reallocarray(list->items, list->capacity, sizeof(*list->items));
			if (list->items == NULL)
				abort();
		}
		memmove(&list->items[place + 1], &list->items[place], (list->count++ - place) * sizeof(*list->items));
		list->items[place].key = blob_new(key.data, key.length);
	}
	list->items[place].value = blob_new(value->data, value->length);
}

void store_records_free(struct record_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		blob_unref(list->items[i].key);
		blob_unref(list->items[i].value);
	}
	free(list->items);
	*list = (struct record_list){ 0 };
}

uint64_t store_put_record(struct store *store, uint64_t space, struct bytes key, const struct bytes *value)
{
	struct commit_operation operation = { .key = key, .deleted = value == NULL };
	struct commit commit = { .kind = COMMIT_RECORD, .space = space, .operations = &operation, .count = 1 };

	if (value != NULL)
		operation.value = *value;
	store_set_record(&store_find(store, space)->records, key, value);
	store->appended = log_file_append(store->log, &commit);
	return store->appended;
}

void store_each_record(struct store *store, uint64_t space, store_record_function function, void *argument)
{
	struct store_space *found = store_find(store, space);

	for (size_t i = 0; found != NULL && i < found->records.count; i++)
		function(argument, blob_bytes(found->records.items[i].key), blob_bytes(found->records.items[i].value));
}
