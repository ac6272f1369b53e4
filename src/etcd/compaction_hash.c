/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/compaction_hash.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "etcd/admin.h"
#include "etcd/etcd_int.h"
#include "etcd/snapshot_write.h"

/* What waits for a hash: the compaction whose hash it is, or a physical one that came meanwhile. */
struct compaction {
	struct etcd_server *server;
	struct compaction_hash taken; /* of the former */
	int64_t visible;              /* when it was asked for: for the answer's header */
	uint64_t sequence;
	bool hashes, physical;
	int result;
	struct error err;
};

const struct compaction_hash *compaction_hash_find(const struct etcd_server *server, int64_t revision)
{
	for (size_t i = 0; i < server->compaction_hash_count; i++)
		if (server->compaction_hashes[i].revision == revision)
			return &server->compaction_hashes[i];
	return NULL;
}

static void remember(struct etcd_server *server, const struct compaction_hash *taken)
{
	struct compaction_hash *hashes = server->compaction_hashes;

	if (server->compaction_hash_count == COMPACTION_HASHES) {
		server->compaction_hash_count--;
		memmove(hashes, hashes + 1, server->compaction_hash_count * sizeof(*hashes));
	}
	hashes[server->compaction_hash_count++] = *taken;
}

static void hash_work(void *argument)
{
	struct compaction *compaction = argument;
	struct etcd_server *server = compaction->server;
	struct store_view *view;

	if (!compaction->hashes)
		return;
	view = store_view_open(server->store, space_id(server->space), compaction->sequence, &compaction->err);
	compaction->result = view == NULL ? -1
	                                  : snapshot_compaction_hash(view, compaction->taken.revision, compaction->taken.compacted,
	                                                             &compaction->taken.hash, &compaction->err);
	store_view_close(view);
}

static void drop_versions(struct etcd_server *server, bool physical)
{
	/* Who asks for the physical effect wants to see it: the index is done at once, home follows the log. */
	if (physical)
		while (space_compact_step(server->space, SIZE_MAX))
			;
	store_mind_compaction(server->store); /* nothing to do is found at once */
}

static void hash_done(void *argument, struct grpc_call *call)
{
	struct compaction *compaction = argument;
	struct etcd_server *server = compaction->server;

	if (compaction->hashes) {
		space_hold_compaction(server->space, false);
		if (compaction->result == 0)
			remember(server, &compaction->taken);
		else
			log_error("datastore.hash", "cannot hash what a compaction is about to end", &compaction->err);
	}
	drop_versions(server, compaction->physical);
	if (call != NULL) {
		struct etcd_header header = etcd_header(server, compaction->visible);
		struct buffer answer BUFFER_CLEANUP = { 0 };

		etcd_encode_header(&answer, &header);
		etcd_answer_when_durable(server, call, compaction->sequence, &answer);
	}
	free(compaction);
}

enum store_status compaction_run(struct etcd_server *server, struct grpc_call *call, int64_t revision, bool physical, uint64_t *sequence,
                                 bool *answered)
{
	int64_t previous = space_compacted_revision(server->space);
	/* As etcd: only when the one before has come to its end, for else the hash would not be that of the whole. */
	bool hashes = !space_compacting(server->space) && space_data_bytes(server->space) <= COMPACTION_HASH_BYTES;
	enum store_status status = space_compact(server->space, revision, sequence);
	struct compaction *compaction;

	*answered = false;
	if (status != STORE_OK)
		return status;
	if (!hashes && !(physical && space_compaction_held(server->space))) {
		drop_versions(server, physical);
		return STORE_OK;
	}
	compaction = calloc(1, sizeof(*compaction));
	if (compaction == NULL)
		abort();
	compaction->server = server;
	compaction->taken = (struct compaction_hash){ .revision = revision, .compacted = previous };
	compaction->visible = space_visible_revision(server->space);
	compaction->sequence = *sequence;
	compaction->hashes = hashes;
	compaction->physical = physical;
	if (!admin_run(server->admin, physical ? call : NULL, &(struct admin_work){ ADMIN_DATA, hash_work, hash_done, compaction })) {
		free(compaction);
		drop_versions(server, physical);
		return STORE_OK;
	}
	if (hashes)
		space_hold_compaction(server->space, true);
	*answered = physical;
	return STORE_OK;
}
