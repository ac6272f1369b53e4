/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maintenance.Snapshot: the database file is made in a temporary file first, as fast as the disk goes, then sent as the client takes it; so a slow client
 * holds up a file and nothing else. 32 KiB a message, as etcd sends them, then the SHA-256 of all as the last.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "etcd/admin.h"
#include "etcd/maintenance.h"
#include "etcd/snapshot_write.h"
#include "grpc/grpc_status.h"
#include "grpc/protobuf.h"
#include "pki/digest.h"

enum { PIECE_BYTES = 32 * 1024, READ_BYTES = 512 * 1024, QUEUED_MAXIMUM = 1024 * 1024 };

struct snapshot {
	struct etcd_server *server;
	struct grpc_call *call;
	struct snapshot_facts facts;
	char version[ETCD_VERSION_SIZE];
	uint64_t sequence, started_ms;
	int descriptor;
	uint64_t length, sent;
	struct digest *digest;
	struct buffer piece; /* read, not sent yet */
	int result;
	struct error err;
	bool running; /* on the pool */
};

static void free_snapshot(struct snapshot *snapshot)
{
	if (snapshot->descriptor >= 0)
		(void)close(snapshot->descriptor);
	digest_free(snapshot->digest);
	buffer_free(&snapshot->piece);
	free(snapshot);
}

static void fail(struct snapshot *snapshot)
{
	struct grpc_call *call = snapshot->call;

	log_error("datastore.snapshot", "the snapshot failed", &snapshot->err);
	grpc_call_set_data(call, NULL);
	grpc_call_finish(call, GRPC_INTERNAL, snapshot->err.message);
	free_snapshot(snapshot);
}

static void build_work(void *argument)
{
	struct snapshot *snapshot = argument;
	struct store *store = snapshot->server->store;
	struct store_view *view = store_view_open(store, space_id(snapshot->server->space), snapshot->sequence, &snapshot->err);

	snapshot->result = -1;
	if (view != NULL) {
		snapshot->descriptor = store_temporary_file(store, &snapshot->err);
		if (snapshot->descriptor >= 0)
			snapshot->result = snapshot_write(view, &snapshot->facts, snapshot->descriptor, &snapshot->length, &snapshot->err);
	}
	store_view_close(view);
}

static void read_work(void *argument)
{
	struct snapshot *snapshot = argument;
	uint64_t left = snapshot->length - snapshot->sent;
	size_t wanted = left < READ_BYTES ? (size_t)left : READ_BYTES;
	char *at;

	buffer_clear(&snapshot->piece);
	at = buffer_reserve(&snapshot->piece, wanted);
	snapshot->result = 0;
	while (snapshot->piece.length < wanted) {
		ssize_t got = pread(snapshot->descriptor, at + snapshot->piece.length, wanted - snapshot->piece.length,
		                    (off_t)(snapshot->sent + snapshot->piece.length));

		if (got <= 0 && !(got < 0 && errno == EINTR)) {
			snapshot->result = error_set_errno(&snapshot->err, got < 0 ? errno : EIO, "read the snapshot");
			return;
		}
		snapshot->piece.length += got > 0 ? (size_t)got : 0;
	}
	digest_add(snapshot->digest, at, wanted);
}

static void send_blob(struct snapshot *snapshot, const void *bytes, size_t length, uint64_t remaining)
{
	struct buffer message BUFFER_CLEANUP = { 0 };

	protobuf_put_unsigned(&message, 2, remaining);
	protobuf_put_bytes(&message, 3, bytes, length);
	protobuf_put_string(&message, 4, snapshot->version);
	grpc_call_send(snapshot->call, message.data, message.length);
}

static void finish(struct snapshot *snapshot)
{
	struct grpc_call *call = snapshot->call;
	unsigned char digest[DIGEST_MAXIMUM_SIZE];

	send_blob(snapshot, digest, digest_finish(snapshot->digest, digest), 0);
	log_info("datastore.snapshot", "a snapshot was sent", LOG_INTEGER("bytes", (int64_t)snapshot->length),
	         LOG_INTEGER("milliseconds", (int64_t)(clock_monotonic_ms() - snapshot->started_ms)));
	grpc_call_set_data(call, NULL);
	grpc_call_finish(call, 0, NULL);
	free_snapshot(snapshot);
}

static void read_done(void *argument, struct grpc_call *call);

static void run(struct snapshot *snapshot, void (*work)(void *), void (*done)(void *, struct grpc_call *))
{
	snapshot->running = true;
	if (admin_run(snapshot->server->admin, snapshot->call, &(struct admin_work){ ADMIN_DATA, work, done, snapshot }))
		return;
	snapshot->running = false;
	grpc_call_set_data(snapshot->call, NULL);
	etcd_refuse(snapshot->call, &etcd_error_TOO_MANY_REQUESTS);
	free_snapshot(snapshot);
}

static void go_on(struct snapshot *snapshot)
{
	if (snapshot->sent == snapshot->length)
		finish(snapshot);
	else if (grpc_call_queued(snapshot->call) < QUEUED_MAXIMUM)
		run(snapshot, read_work, read_done);
	/* else: snapshot_drained() */
}

static void read_done(void *argument, struct grpc_call *call)
{
	struct snapshot *snapshot = argument;

	snapshot->running = false;
	if (call == NULL) {
		free_snapshot(snapshot);
		return;
	}
	if (snapshot->result < 0) {
		fail(snapshot);
		return;
	}
	for (size_t place = 0; place < snapshot->piece.length;) {
		size_t length = snapshot->piece.length - place < PIECE_BYTES ? snapshot->piece.length - place : PIECE_BYTES;

		snapshot->sent += length;
		send_blob(snapshot, snapshot->piece.data + place, length, snapshot->length - snapshot->sent);
		place += length;
	}
	go_on(snapshot);
}

static void build_done(void *argument, struct grpc_call *call)
{
	struct snapshot *snapshot = argument;

	snapshot->running = false;
	if (call == NULL)
		free_snapshot(snapshot);
	else if (snapshot->result < 0)
		fail(snapshot);
	else
		go_on(snapshot);
}

void snapshot_serve(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	const struct etcd_error *error = etcd_require_admin(server, call);
	struct snapshot *snapshot;

	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	snapshot = calloc(1, sizeof(*snapshot));
	if (snapshot == NULL)
		abort();
	snapshot->server = server;
	snapshot->call = call;
	snapshot->descriptor = -1;
	snapshot->digest = digest_new(DIGEST_SHA256);
	snapshot->sequence = store_sequence(server->store);
	snapshot->started_ms = clock_monotonic_ms();
	etcd_minor_version(server, snapshot->version);
	snapshot->facts = (struct snapshot_facts){
		.version = snapshot->version,
		.member_id = server->member_id,
		.name = server->options.name,
		.client_urls = server->options.client_urls,
		.raft_index = snapshot->sequence + 1,
		.raft_term = ETCD_RAFT_TERM,
	};
	grpc_call_set_data(call, snapshot);
	run(snapshot, build_work, build_done);
}

void snapshot_drained(struct grpc_call *call, void *argument)
{
	struct snapshot *snapshot = grpc_call_data(call);

	if (snapshot != NULL && !snapshot->running)
		go_on(snapshot);
}

void snapshot_ended(struct grpc_call *call, void *argument)
{
	struct snapshot *snapshot = grpc_call_data(call);

	if (snapshot == NULL)
		return;
	if (snapshot->running)
		admin_call_ended(((struct etcd_server *)argument)->admin, call);
	else
		free_snapshot(snapshot);
}
