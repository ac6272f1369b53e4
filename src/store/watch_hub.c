/* SPDX-License-Identifier: Apache-2.0 */
#include "store/watch_hub.h"

#include <stdlib.h>

#include "store/watch_group.h"
#include "store/watch_history.h"

enum { SLICE_EVENTS = 1000 };

struct watcher {
	struct watch_hub *hub;
	struct watch_group *group;
	struct watcher *next, *previous; /* in the group when synced, else in the lagging list */
	struct watcher_owner owner;
	int64_t next_revision; /* nothing before it is owed; meaningful while lagging */
	bool lagging, blocked, ended;
	bool no_put, no_delete, with_previous;
};

struct watch_hub {
	struct space *space;
	struct watch_groups groups;
	struct watcher *lagging;
	size_t count, lagging_count;
	int64_t delivered; /* synced watchers have had everything up to it */
	int64_t forgotten; /* up to it the ring's events have lost their encodings */
	int64_t future;    /* the earliest start that has not come yet, or earlier; INT64_MAX: there is none */
	struct event_list scratch;
};

struct watch_hub *watch_hub_new(struct space *space)
{
	struct watch_hub *hub = calloc(1, sizeof(*hub));

	if (hub == NULL)
		abort();
	hub->space = space;
	hub->delivered = hub->forgotten = space_visible_revision(space);
	hub->future = INT64_MAX;
	return hub;
}

void watch_hub_free(struct watch_hub *hub)
{
	if (hub == NULL)
		return;
	event_list_free(&hub->scratch);
	watch_groups_free(&hub->groups);
	free(hub);
}

size_t watch_hub_count(const struct watch_hub *hub)
{
	return hub->count;
}

size_t watch_hub_lagging(const struct watch_hub *hub)
{
	return hub->lagging_count;
}

static struct watcher **list_of(struct watcher *watcher)
{
	return watcher->lagging ? &watcher->hub->lagging : &watcher->group->watchers;
}

static void list_add(struct watcher *watcher, bool lagging)
{
	struct watcher **list;

	watcher->lagging = lagging;
	watcher->hub->lagging_count += lagging;
	list = list_of(watcher);
	watcher->previous = NULL;
	watcher->next = *list;
	if (*list != NULL)
		(*list)->previous = watcher;
	*list = watcher;
}

static void list_remove(struct watcher *watcher)
{
	*(watcher->previous != NULL ? &watcher->previous->next : list_of(watcher)) = watcher->next;
	if (watcher->next != NULL)
		watcher->next->previous = watcher->previous;
	watcher->hub->lagging_count -= watcher->lagging;
}

struct watcher *watcher_new(struct watch_hub *hub, const struct watcher_options *options, const struct watcher_owner *owner)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));

	if (watcher == NULL)
		abort();
	watcher->hub = hub;
	watcher->owner = *owner;
	watcher->no_put = options->no_put;
	watcher->no_delete = options->no_delete;
	watcher->with_previous = options->previous;
	watcher->group = watch_group_join(&hub->groups, options->key, options->range_end);
	watcher->next_revision = options->start_revision > 0 ? options->start_revision : space_visible_revision(hub->space) + 1;
	hub->count++;
	list_add(watcher, true);
	/* A start in the present needs no catching up; `delivered` may still be behind when an advance is about to be announced. */
	if (watcher->next_revision == hub->delivered + 1) {
		list_remove(watcher);
		list_add(watcher, false);
	}
	return watcher;
}

void watcher_free(struct watcher *watcher)
{
	if (watcher == NULL)
		return;
	list_remove(watcher);
	watcher->hub->count--;
	watch_group_leave(&watcher->hub->groups, watcher->group);
	free(watcher);
}

void watcher_resume(struct watcher *watcher)
{
	watcher->blocked = false;
}

bool watcher_synced(const struct watcher *watcher)
{
	return !watcher->lagging && watcher->hub->delivered == space_visible_revision(watcher->hub->space);
}

static void load_previous(struct space *space, struct space_event *event)
{
	struct key_version version = { .id = event->previous_id, .value_length = event->previous_length };

	if (event->previous_version != 0 && event->previous_value == NULL)
		event->previous_value = space_value(space, &version);
}

/* The events this watcher wants, in hub->scratch; borrowed references. */
static void filter(const struct watcher *watcher, const struct event_list *events)
{
	struct event_list *scratch = &watcher->hub->scratch;

	event_list_clear(scratch);
	for (size_t i = 0; i < events->count; i++) {
		struct space_event *event = events->items[i];

		if (event->deleted ? watcher->no_delete : watcher->no_put)
			continue;
		if (watcher->with_previous)
			load_previous(watcher->hub->space, event);
		event_list_add(scratch, space_event_ref(event));
	}
}

static bool hand_over(struct watcher *watcher, const struct event_list *events, int64_t revision)
{
	struct event_list *scratch = &watcher->hub->scratch;

	filter(watcher, events);
	return scratch->count == 0 || watcher->owner.deliver(watcher->owner.argument, watcher, scratch->items, scratch->count, revision);
}

static void push_group(struct watch_hub *hub, struct watch_group *group, int64_t first_revision)
{
	int64_t last = group->touched.items[group->touched.count - 1]->mod_revision;
	struct watcher *next;

	for (struct watcher *watcher = group->watchers; watcher != NULL; watcher = next) {
		next = watcher->next;
		if (!hand_over(watcher, &group->touched, last)) {
			list_remove(watcher);
			list_add(watcher, true);
			watcher->next_revision = first_revision;
			watcher->blocked = true;
		}
	}
	event_list_clear(&group->touched);
}

/* An event's encodings are as large as what it tells: they stay while somebody is behind, who may want them, and no longer. */
static void forget_encodings(struct watch_hub *hub)
{
	size_t end = space_ring_count(hub->space);

	if (hub->lagging_count > 0 || hub->forgotten == hub->delivered)
		return;
	for (size_t i = space_ring_seek(hub->space, hub->forgotten + 1); i < end; i++) {
		struct space_event *event = space_ring_at(hub->space, i);

		if (event->mod_revision > hub->delivered)
			break;
		space_event_forget_encodings(event);
	}
	hub->forgotten = hub->delivered;
}

bool watch_hub_advanced(struct watch_hub *hub)
{
	int64_t visible = space_visible_revision(hub->space), first = hub->delivered + 1;
	size_t end = space_ring_count(hub->space);

	if (visible < first)
		return false;
	for (size_t i = space_ring_seek(hub->space, first); i < end; i++) {
		struct space_event *event = space_ring_at(hub->space, i);

		if (event->mod_revision > visible)
			break;
		watch_groups_touch(&hub->groups, event);
	}
	hub->delivered = visible;
	for (struct watch_group *group = hub->groups.touched; group != NULL; group = group->next_touched)
		push_group(hub, group, first);
	hub->groups.touched = NULL;
	forget_encodings(hub);
	return hub->future <= visible + 1;
}

static void become_synced(struct watcher *watcher)
{
	list_remove(watcher);
	list_add(watcher, false);
}

/* One slice for one watcher; true when it should be called again at once. */
static bool catch_up(struct watcher *watcher)
{
	struct watch_hub *hub = watcher->hub;
	struct event_list events = { 0 };
	int64_t until;
	bool taken;

	if (watcher->next_revision == hub->delivered + 1) {
		become_synced(watcher);
		return false;
	}
	if (watcher->next_revision > hub->delivered) { /* starts in the future */
		hub->future = watcher->next_revision < hub->future ? watcher->next_revision : hub->future;
		return false;
	}
	if (watcher->next_revision < space_compacted_revision(hub->space)) {
		watcher->ended = true;
		watcher->owner.compacted(watcher->owner.argument, watcher, space_compacted_revision(hub->space));
		return false;
	}
	until = watch_history_collect(hub->space, &watcher->group->range, watcher->next_revision, hub->delivered, SLICE_EVENTS, &events);
	/* While catching up the header tells the store's revision, never less than the last event's. */
	taken = hand_over(watcher, &events, hub->delivered);
	event_list_free(&events);
	if (!taken) {
		watcher->blocked = true;
		return false;
	}
	watcher->next_revision = until + 1;
	if (watcher->next_revision == hub->delivered + 1)
		become_synced(watcher);
	return watcher->lagging;
}

bool watch_hub_work(struct watch_hub *hub)
{
	struct watcher *watcher, *next;
	bool more = false;

	hub->future = INT64_MAX;
	for (watcher = hub->lagging; watcher != NULL; watcher = next) {
		next = watcher->next;
		if (!watcher->blocked && !watcher->ended)
			more |= catch_up(watcher);
	}
	forget_encodings(hub);
	return more;
}
