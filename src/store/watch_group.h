/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watchers of the same range share a group, so an event is matched and encoded once for all of them. Groups of single keys are found by the event's
 * key; ranges, of which there are few, are tried one by one. Private to the watch hub.
 */
#pragma once

#include <stddef.h>

#include "store/key_range.h"
#include "store/watch_history.h"

struct watcher;

struct watch_group {
	struct watch_group *next;                        /* in its bucket */
	struct watch_group *next_range, *previous_range; /* ranges only */
	struct watch_group *next_touched;
	struct watcher *watchers; /* synced ones */
	struct key_range range;
	size_t members; /* lagging ones included */
	struct event_list touched;
	char bytes[];
};

struct watch_groups {
	struct watch_group **buckets;
	size_t bucket_count, count;
	struct watch_group *ranges;
	struct watch_group *touched; /* those with events to push */
};

/* One more member: the group of these bytes, made when there is none. */
struct watch_group *watch_group_join(struct watch_groups *groups, struct bytes key, struct bytes range_end);
/* One member less; without any the group is freed. Not while groups->touched is gone through. */
void watch_group_leave(struct watch_groups *groups, struct watch_group *group);
/* Adds the event to every group with synced watchers that wants its key. */
void watch_groups_touch(struct watch_groups *groups, struct space_event *event);
void watch_groups_free(struct watch_groups *groups); /* all have been left */
