/* SPDX-License-Identifier: Apache-2.0 */
/* Events of the past, for watchers that catch up: from the ring where it reaches, else put together from the index. Engine thread only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/space.h"

/* A growing list that holds one reference to each event. */
struct event_list {
	struct space_event **items;
	size_t count, capacity;
};

void event_list_add(struct event_list *list, struct space_event *event); /* takes the reference */
void event_list_clear(struct event_list *list);
void event_list_free(struct event_list *list);

/*
 * Events of the range with a revision from `from` to at most `until`, in order, whole revisions, about `most` of them. Returns the last
 * revision that is fully covered. Events from the index have previous_value only while compaction has left the version before.
 */
int64_t watch_history_collect(struct space *space, const struct key_range *range, int64_t from, int64_t until, size_t most,
                              struct event_list *events);
