/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction without being asked, under etcd's two modes: keep a time's worth of revisions, or a number of them. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "etcd/etcd_int.h"

enum { MARKS_PER_PERIOD = 10, MARKS_MAXIMUM = MARKS_PER_PERIOD + 2, REVISION_MODE_MS = 5 * 60 * 1000, INTERVAL_MINIMUM_MS = 100 };

/* Which revision was current when. */
struct compaction_mark {
	uint64_t when_ms;
	int64_t revision;
};

static uint64_t interval(const struct etcd_server *server)
{
	uint64_t ms = server->options.compaction_ms / MARKS_PER_PERIOD;

	if (server->options.compaction_ms == 0)
		return REVISION_MODE_MS;
	return ms < INTERVAL_MINIMUM_MS ? INTERVAL_MINIMUM_MS : ms;
}

static void compact(struct etcd_server *server, int64_t revision)
{
	uint64_t sequence;
	bool answered;

	if (revision <= space_compacted_revision(server->space) || revision < 2)
		return;
	if (compaction_run(server, NULL, revision, false, &sequence, &answered) == STORE_OK)
		log_debug("datastore.compacted", "compacted by itself", LOG_INTEGER("revision", revision));
}

/* Remembers the present and compacts to the youngest mark that is a whole period old. */
static void compact_by_time(struct etcd_server *server)
{
	struct compaction_mark *marks = server->compaction_marks;
	uint64_t now = clock_monotonic_ms();
	size_t old = 0;

	if (server->compaction_mark_count == MARKS_MAXIMUM) {
		server->compaction_mark_count--;
		memmove(marks, marks + 1, server->compaction_mark_count * sizeof(*marks));
	}
	marks[server->compaction_mark_count++] = (struct compaction_mark){ now, space_visible_revision(server->space) };
	while (old < server->compaction_mark_count && marks[old].when_ms + server->options.compaction_ms <= now)
		old++;
	if (old > 0)
		compact(server, marks[old - 1].revision);
}

static void compaction_due(void *argument)
{
	struct etcd_server *server = argument;

	if (server->options.compaction_ms != 0)
		compact_by_time(server);
	else
		compact(server, space_visible_revision(server->space) - server->options.compaction_revisions);
	loop_timer_arm(server->compaction_timer, interval(server));
}

void compaction_start(struct etcd_server *server)
{
	if (server->options.compaction_ms == 0 && server->options.compaction_revisions == 0)
		return;
	server->compaction_marks = calloc(MARKS_MAXIMUM, sizeof(*server->compaction_marks));
	if (server->compaction_marks == NULL)
		abort();
	server->compaction_timer = loop_timer_new(server->options.loop, compaction_due, server);
	loop_timer_arm(server->compaction_timer, interval(server));
}

void compaction_stop(struct etcd_server *server)
{
	loop_timer_free(server->compaction_timer);
	server->compaction_timer = NULL;
	free(server->compaction_marks);
	server->compaction_marks = NULL;
}
