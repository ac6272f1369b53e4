/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte side of a watch: an incremental splitter of newline-delimited JSON and the reading of one event. No I/O. Every byte is looked
 * at once for the newline, however the stream is cut, and a line is limited to KUBE_WATCH_MAXIMUM_LINE.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

enum { KUBE_WATCH_MAXIMUM_LINE = 16 * 1024 * 1024 };

/* Zero-initialise; kube_watch_lines_free() zeroes what is left when `secret`. */
struct kube_watch_lines {
	struct buffer partial;
	bool secret;
};

/* line is not NUL-terminated. A nonzero return ends the feed, which then returns -1 with what the callback put in *err. */
typedef int (*kube_watch_line_function)(const char *line, size_t length, void *argument, struct error *err);

/* Calls on_line for every complete line; blank lines are skipped. ERROR_EXHAUSTED when a line is too long. */
int kube_watch_lines_feed(struct kube_watch_lines *lines, const char *bytes, size_t length, kube_watch_line_function on_line,
                          void *argument, struct error *err);
/* True when bytes without a newline are left: the stream was cut inside an event. */
bool kube_watch_lines_pending(const struct kube_watch_lines *lines);
void kube_watch_lines_free(struct kube_watch_lines *lines);

enum kube_watch_type { KUBE_WATCH_ADDED, KUBE_WATCH_MODIFIED, KUBE_WATCH_DELETED, KUBE_WATCH_BOOKMARK };

struct kube_watch_event {
	enum kube_watch_type type;
	json_t *object; /* owned; an object with metadata.name (bookmarks: only metadata.resourceVersion is sure) */
};

/*
 * Reads one event. -1: CORRUPT for what is no event; for type ERROR the class of the Status inside (410 gives ERROR_EXPIRED). Objects of
 * types that we do not know are CORRUPT too: a watch that cannot be understood is started again from a list.
 */
int kube_watch_event_parse(const char *line, size_t length, struct kube_watch_event *event, struct error *err);

/* Which state of which object an event of type ADDED or MODIFIED brings, found without parsing it. All point into the line. */
struct kube_watch_word {
	const char *bytes; /* not NUL-terminated */
	size_t length;
};
struct kube_watch_glance {
	struct kube_watch_word namespace, name, uid, resource_version; /* namespace: empty when there is none */
};
/* False for every other event and when anything is unusual (escapes, members missing): then parse it. What stands behind the four members
 * is not looked at, so this says nothing of the line being valid. */
bool kube_watch_glance(const char *line, size_t length, struct kube_watch_glance *glance);
