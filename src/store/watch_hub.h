/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches of one space. A watcher gets every event of its range from its start revision on, in order, whole revisions at a time, none twice
 * and none missing, and never one that is not durable yet.
 *
 * A watcher is *synced* when it has been given everything up to the visible revision; new events are pushed to it at once. It lags after
 * its start, when it starts in the past, or when its owner refused a delivery; lagging watchers catch up in slices from the ring or, further back,
 * from the index. Watchers of one range share one group, so an event is matched once per distinct range. Engine thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/space.h"

struct watch_hub;
struct watcher;

struct watcher_options {
	struct bytes key, range_end; /* copied */
	int64_t start_revision;      /* <= 0: after the visible revision */
	bool no_put, no_delete;
	bool previous; /* events come with previous_value loaded where it still exists */
};

struct watcher_owner {
	/*
	 * Events of whole revisions, all of this watcher's range and filters, in order; borrowed. `revision` is what the answer's header says. False:
	 * the owner is full; nothing was taken, the watcher lags until watcher_resume().
	 */
	bool (*deliver)(void *argument, struct watcher *watcher, struct space_event *const *events, size_t count, int64_t revision);
	/* The revision it needs next was compacted: it gets nothing more; free it (not from inside this call). */
	void (*compacted)(void *argument, struct watcher *watcher, int64_t compacted_revision);
	void *argument;
};

struct watch_hub *watch_hub_new(struct space *space);
void watch_hub_free(struct watch_hub *hub); /* every watcher must be gone */

/* Delivers nothing before the next watch_hub_work() or watch_hub_advanced(). */
struct watcher *watcher_new(struct watch_hub *hub, const struct watcher_options *options, const struct watcher_owner *owner);
void watcher_free(struct watcher *watcher);
void watcher_resume(struct watcher *watcher); /* the owner has room again */
/* Everything up to the visible revision has been delivered, and the watch's start is not in the future. */
bool watcher_synced(const struct watcher *watcher);

/* Call after every space_advance(). True when a watch's future has come: watch_hub_work() has something to do. */
bool watch_hub_advanced(struct watch_hub *hub);
/* One slice of catching up; true while more could be done at once. */
bool watch_hub_work(struct watch_hub *hub);
size_t watch_hub_count(const struct watch_hub *hub);
size_t watch_hub_lagging(const struct watch_hub *hub);
