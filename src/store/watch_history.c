/* SPDX-License-Identifier: Apache-2.0 */
#include "store/watch_history.h"

#include <stdlib.h>

void event_list_add(struct event_list *list, struct space_event *event)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? list->capacity * 2 : 16;
		list->items = reallocarray(list->items, list->capacity, sizeof(struct space_event *));
		if (list->items == NULL)
			abort();
	}
	list->items[list->count++] = event;
}

void event_list_clear(struct event_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		space_event_unref(list->items[i]);
	list->count = 0;
}

void event_list_free(struct event_list *list)
{
	event_list_clear(list);
	free(list->items);
	*list = (struct event_list){ 0 };
}

static int64_t collect_from_ring(struct space *space, const struct key_range *range, int64_t from, int64_t until, size_t most,
                                 struct event_list *events)
{
	size_t end = space_ring_count(space);

	for (size_t i = space_ring_seek(space, from); i < end; i++) {
		struct space_event *event = space_ring_at(space, i);

		if (event->mod_revision > until)
			break;
		if (events->count >= most && events->items[events->count - 1]->mod_revision != event->mod_revision)
			return event->mod_revision - 1;
		if (key_range_contains(range, space_event_key(event)))
			event_list_add(events, space_event_ref(event));
	}
	return until;
}

struct past {
	const struct key_record *record;
	uint32_t version;
};

static const struct key_version *past_version(const struct past *past)
{
	return &past->record->versions[past->version];
}

static int compare_past(const void *a, const void *b)
{
	const struct key_version *left = past_version(a), *right = past_version(b);

	if (left->mod_revision != right->mod_revision)
		return left->mod_revision < right->mod_revision ? -1 : 1;
	return left->id < right->id ? -1 : left->id > right->id;
}

static struct space_event *event_of(struct space *space, const struct past *past)
{
	struct space_event *event = space_event_new(key_record_key(past->record));
	const struct key_version *version = past_version(past);
	const struct key_version *before = key_record_before(past->record, version->mod_revision);

	event->deleted = !key_version_live(version);
	event->mod_revision = version->mod_revision;
	event->create_revision = version->create_revision;
	event->version = version->version;
	event->lease = version->lease;
	event->id = version->id;
	if (!event->deleted)
		event->value = space_value(space, version);
	if (key_version_live(before)) {
		event->previous_mod_revision = before->mod_revision;
		event->previous_create_revision = before->create_revision;
		event->previous_version = before->version;
		event->previous_lease = before->lease;
		event->previous_id = before->id;
		event->previous_length = before->value_length;
	}
	return event;
}

static int64_t collect_from_index(struct space *space, const struct key_range *range, int64_t from, int64_t until, size_t most,
                                  struct event_list *events)
{
	struct key_record *record = key_range_empty(range) ? NULL : key_index_first(space_index(space), range);
	struct past *found = NULL;
	size_t count = 0, capacity = 0, taken = 0;

	for (; record != NULL && key_range_contains(range, key_record_key(record)); record = key_record_next(record)) {
		for (uint32_t i = record->count; i-- > 0 && record->versions[i].mod_revision >= from;) {
			if (record->versions[i].mod_revision > until)
				continue;
			if (count == capacity) {
				capacity = capacity ? capacity * 2 : 64;
				found = reallocarray(found, capacity, sizeof(*found));
				if (found == NULL)
					abort();
			}
			found[count++] = (struct past){ record, i };
		}
		if (range->single)
			break;
	}
	if (count > 1)
		qsort(found, count, sizeof(*found), compare_past);
	while (taken < count &&
	       (taken < most || past_version(&found[taken])->mod_revision == past_version(&found[taken - 1])->mod_revision))
		event_list_add(events, event_of(space, &found[taken++]));
	if (taken < count)
		until = past_version(&found[taken])->mod_revision - 1;
	free(found);
	return until;
}

int64_t watch_history_collect(struct space *space, const struct key_range *range, int64_t from, int64_t until, size_t most,
                              struct event_list *events)
{
	int64_t ring_start = space_ring_start(space);

	if (from >= ring_start)
		return collect_from_ring(space, range, from, until, most, events);
	return collect_from_index(space, range, from, until < ring_start - 1 ? until : ring_start - 1, most, events);
}
