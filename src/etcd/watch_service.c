/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Watch service. One stream carries many watches; its answers leave in one order, so a progress notice can never overtake an event. A stream
 * whose client does not read makes its watches lag, nothing more: they catch up when it reads again.
 */
#include <stdlib.h>

#include "etcd/etcd_int.h"
#include "etcd/watch_decode.h"
#include "grpc/protobuf.h"

enum { WATCH_BUCKETS = 8 }; /* at first; a power of two */

#define NO_WATCH INT64_C(-1)

struct watch {
	struct watch *next; /* in its bucket */
	struct watch_stream *stream;
	struct watcher *watcher;
	int64_t id;
	bool progress_notify, fragment, previous;
	bool spoke;   /* events were sent since the last progress interval */
	bool blocked; /* refused a delivery: the client does not read */
	bool over;    /* cancelled by compaction; freed when nothing of the hub is on the stack */
};

struct watch_stream {
	struct watch_stream *next, *previous;
	struct etcd_server *server;
	struct grpc_call *call;
	struct watch **buckets; /* by id */
	size_t bucket_count, count;
	int64_t next_id;
	bool progress_wanted; /* asked for while a watch lagged: told as soon as none does */
	bool has_over, has_blocked;
};

static struct watch **bucket_of(struct watch_stream *stream, int64_t id)
{
	return &stream->buckets[(uint64_t)id & (stream->bucket_count - 1)];
}

static void make_buckets(struct watch_stream *stream, size_t count)
{
	struct watch **old = stream->buckets;
	size_t old_count = stream->bucket_count;

	stream->buckets = calloc(count, sizeof(struct watch *));
	if (stream->buckets == NULL)
		abort();
	stream->bucket_count = count;
	for (size_t i = 0; i < old_count; i++) {
		struct watch *next;

		for (struct watch *watch = old[i]; watch != NULL; watch = next) {
			struct watch **bucket = bucket_of(stream, watch->id);

			next = watch->next;
			watch->next = *bucket;
			*bucket = watch;
		}
	}
	free(old);
}

static struct watch *find_watch(struct watch_stream *stream, int64_t id)
{
	struct watch *watch = *bucket_of(stream, id);

	while (watch != NULL && (watch->id != id || watch->over))
		watch = watch->next;
	return watch;
}

static void free_watch(struct watch *watch)
{
	struct watch **link = bucket_of(watch->stream, watch->id);

	while (*link != watch)
		link = &(*link)->next;
	*link = watch->next;
	watch->stream->count--;
	watcher_free(watch->watcher);
	free(watch);
}

/* Calls function for every watch; it may free the one it is given. */
static void each_watch(struct watch_stream *stream, void (*function)(struct watch *watch))
{
	for (size_t i = 0; i < stream->bucket_count; i++) {
		struct watch *next;

		for (struct watch *watch = stream->buckets[i]; watch != NULL; watch = next) {
			next = watch->next;
			function(watch);
		}
	}
}

static void free_if_over(struct watch *watch)
{
	if (watch->over)
		free_watch(watch);
}

static void reap(struct watch_stream *stream)
{
	if (stream->has_over) {
		stream->has_over = false;
		each_watch(stream, free_if_over);
	}
}

struct reply {
	int64_t revision, watch_id, compact_revision;
	bool created, canceled, fragment;
	const char *cancel_reason;
};

static void encode_reply(const struct watch_stream *stream, const struct reply *reply, struct buffer *out)
{
	struct etcd_header header = etcd_header(stream->server, reply->revision);

	etcd_encode_header(out, &header);
	protobuf_put_signed(out, 2, reply->watch_id);
	protobuf_put_boolean(out, 3, reply->created);
	protobuf_put_boolean(out, 4, reply->canceled);
	protobuf_put_signed(out, 5, reply->compact_revision);
	protobuf_put_string(out, 6, reply->cancel_reason);
	protobuf_put_boolean(out, 7, reply->fragment);
}

static void send_reply(struct watch_stream *stream, const struct reply *reply)
{
	struct buffer out BUFFER_CLEANUP = { 0 };

	encode_reply(stream, reply, &out);
	grpc_call_send(stream->call, out.data, out.length);
}

static int64_t visible(const struct watch_stream *stream)
{
	return space_visible_revision(stream->server->space);
}

/* One response with these events: a small head, then bytes that all watchers of an event share. */
static void send_events(struct watch *watch, struct space_event *const *events, size_t count, int64_t revision, bool fragment)
{
	struct reply reply = { .revision = revision, .watch_id = watch->id, .fragment = fragment };
	struct buffer head BUFFER_CLEANUP = { 0 };
	size_t length;

	encode_reply(watch->stream, &reply, &head);
	length = head.length;
	for (size_t i = 0; i < count; i++)
		length += etcd_encode_event(events[i], watch->previous)->length;
	grpc_call_send_begin(watch->stream->call, length);
	grpc_call_send_part(watch->stream->call, head.data, head.length);
	for (size_t i = 0; i < count; i++) {
		const struct blob *encoded = etcd_encode_event(events[i], watch->previous);

		grpc_call_send_part(watch->stream->call, encoded->data, encoded->length);
	}
}

/* A watch that asked for fragments gets a large response in several, all but the last marked. */
static void send_in_fragments(struct watch *watch, struct space_event *const *events, size_t count, int64_t revision)
{
	size_t limit = watch->stream->server->options.maximum_request_bytes;

	while (count > 0) {
		size_t taken = 0, bytes = 0;

		while (taken < count && (taken == 0 || bytes + etcd_encode_event(events[taken], watch->previous)->length < limit))
			bytes += etcd_encode_event(events[taken++], watch->previous)->length;
		send_events(watch, events, taken, revision, taken < count);
		events += taken;
		count -= taken;
	}
}

static bool deliver(void *argument, struct watcher *watcher, struct space_event *const *events, size_t count, int64_t revision)
{
	struct watch *watch = argument;

	if (grpc_call_queued(watch->stream->call) > GRPC_CALL_QUEUE) {
		watch->blocked = true;
		watch->stream->has_blocked = true;
		return false;
	}
	watch->spoke = true;
	if (watch->fragment)
		send_in_fragments(watch, events, count, revision);
	else
		send_events(watch, events, count, revision, false);
	return true;
}

static void compacted(void *argument, struct watcher *watcher, int64_t compacted_revision)
{
	struct watch *watch = argument;

	send_reply(watch->stream, &(struct reply){ .watch_id = watch->id, .canceled = true, .compact_revision = compacted_revision });
	watch->over = true;
	watch->stream->has_over = true;
}

/* Only when everything up to the revision it names has been sent for every watch of the stream. */
static void answer_progress(struct watch_stream *stream)
{
	bool any = false;

	if (!stream->progress_wanted)
		return;
	for (size_t i = 0; i < stream->bucket_count; i++) {
		for (const struct watch *watch = stream->buckets[i]; watch != NULL; watch = watch->next) {
			if (watch->over)
				continue;
			any = true;
			if (!watcher_synced(watch->watcher))
				return;
		}
	}
	stream->progress_wanted = false;
	if (any)
		send_reply(stream, &(struct reply){ .revision = visible(stream), .watch_id = NO_WATCH });
}

static void refuse_watch(struct watch_stream *stream, const char *reason)
{
	send_reply(stream,
	           &(struct reply){
			   .revision = visible(stream), .watch_id = NO_WATCH, .created = true, .canceled = true, .cancel_reason = reason });
}

static const char *why_not_permitted(struct watch_stream *stream, const struct watch_create *create)
{
	const struct etcd_error *error;
	const char *user;

	error = etcd_user(stream->server, stream->call, &user);
	if (error == NULL)
		error = auth_check_range(stream->server->auth, user, create->key, create->range_end);
	if (error == NULL)
		return NULL;
	if (error == &etcd_error_INVALID_AUTH_TOKEN)
		return "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
	if (error == &etcd_error_USER_EMPTY)
		return "rpc error: code = InvalidArgument desc = etcdserver: user name is empty";
	if (error == &etcd_error_AUTH_OLD_REVISION)
		return "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old";
	return "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
}

static int64_t choose_id(struct watch_stream *stream)
{
	while (find_watch(stream, stream->next_id) != NULL)
		stream->next_id++;
	return stream->next_id++;
}

static void create_watch(struct watch_stream *stream, const struct watch_create *create)
{
	struct key_range range = key_range_of(create->key, create->range_end);
	struct watcher_options options = {
		.key = create->key,
		.range_end = create->range_end,
		.start_revision = create->start_revision,
		.no_put = create->no_put,
		.no_delete = create->no_delete,
		.previous = create->previous,
	};
	struct watcher_owner owner = { deliver, compacted, NULL };
	const char *reason = why_not_permitted(stream, create);
	struct watch *watch;

	if (create->start_revision < 0)
		reason = "etcdserver: mvcc: required revision has been compacted";
	else if (reason == NULL && key_range_empty(&range))
		reason = "mvcc: watcher range is empty";
	else if (reason == NULL && create->id != 0 && find_watch(stream, create->id) != NULL)
		reason = "mvcc: duplicate watch ID provided on the WatchStream";
	if (reason != NULL) {
		refuse_watch(stream, reason);
		return;
	}
	watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		abort();
	watch->stream = stream;
	watch->id = create->id != 0 ? create->id : choose_id(stream);
	watch->progress_notify = create->progress_notify;
	watch->fragment = create->fragment;
	watch->previous = create->previous;
	if (stream->count >= stream->bucket_count)
		make_buckets(stream, stream->bucket_count * 2);
	watch->next = *bucket_of(stream, watch->id);
	*bucket_of(stream, watch->id) = watch;
	stream->count++;
	owner.argument = watch;
	watch->watcher = watcher_new(stream->server->hub, &options, &owner);
	send_reply(stream, &(struct reply){ .revision = visible(stream), .watch_id = watch->id, .created = true });
	store_kick_watches(stream->server->store);
}

static void cancel_watch(struct watch_stream *stream, int64_t id)
{
	struct watch *watch = find_watch(stream, id);

	if (watch == NULL)
		return;
	free_watch(watch);
	send_reply(stream, &(struct reply){ .revision = visible(stream), .watch_id = id, .canceled = true });
	answer_progress(stream);
}

static void started(struct grpc_call *call, void *argument)
{
	struct etcd_server *server = argument;
	struct watch_stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL)
		abort();
	stream->server = server;
	stream->call = call;
	make_buckets(stream, WATCH_BUCKETS);
	stream->next = server->watch_streams;
	if (stream->next != NULL)
		stream->next->previous = stream;
	server->watch_streams = stream;
	grpc_call_set_data(call, stream);
	grpc_call_begin(call);
}

static void message(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct watch_stream *stream = grpc_call_data(call);
	struct watch_request request;

	reap(stream);
	if (!watch_decode(bytes, length, &request)) {
		etcd_refuse(call, &etcd_error_MALFORMED);
		return;
	}
	switch (request.kind) {
	case WATCH_CREATE:
		create_watch(stream, &request.create);
		break;
	case WATCH_CANCEL:
		cancel_watch(stream, request.cancel_id);
		break;
	case WATCH_PROGRESS:
		stream->progress_wanted = stream->server->progress_wanted = true;
		answer_progress(stream);
		break;
	case WATCH_NOTHING:
		break;
	}
}

static void resume_watch(struct watch *watch)
{
	if (watch->blocked) {
		watch->blocked = false;
		watcher_resume(watch->watcher);
	}
}

static void drained(struct grpc_call *call, void *argument)
{
	struct watch_stream *stream = grpc_call_data(call);

	reap(stream);
	if (stream->has_blocked) {
		stream->has_blocked = false;
		each_watch(stream, resume_watch);
		store_kick_watches(stream->server->store);
	}
	answer_progress(stream);
}

static void ended(struct grpc_call *call, void *argument)
{
	struct watch_stream *stream = grpc_call_data(call);

	if (stream == NULL)
		return;
	each_watch(stream, free_watch);
	*(stream->previous != NULL ? &stream->previous->next : &stream->server->watch_streams) = stream->next;
	if (stream->next != NULL)
		stream->next->previous = stream->previous;
	grpc_call_set_data(call, NULL);
	free(stream->buckets);
	free(stream);
}

static void notify_progress(struct watch *watch)
{
	struct watch_stream *stream = watch->stream;

	if (watch->progress_notify && !watch->over && !watch->spoke && watcher_synced(watch->watcher))
		send_reply(stream, &(struct reply){ .revision = visible(stream), .watch_id = watch->id });
	watch->spoke = false;
}

void watch_progress_tick(struct etcd_server *server)
{
	for (struct watch_stream *stream = server->watch_streams; stream != NULL; stream = stream->next) {
		reap(stream);
		each_watch(stream, notify_progress);
	}
}

void watch_caught_up(struct etcd_server *server)
{
	bool wanted = false;

	if (!server->progress_wanted)
		return;
	for (struct watch_stream *stream = server->watch_streams; stream != NULL; stream = stream->next) {
		answer_progress(stream);
		wanted |= stream->progress_wanted;
	}
	server->progress_wanted = wanted;
}

const struct grpc_method etcd_watch_methods[] = {
	{ .path = "/etcdserverpb.Watch/Watch",
	  .message = message,
	  .started = started,
	  .drained = drained,
	  .ended = ended,
	  .streaming = true },
};
const size_t etcd_watch_method_count = sizeof(etcd_watch_methods) / sizeof(etcd_watch_methods[0]);
