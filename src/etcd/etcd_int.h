/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the services: what they share, and how a call is answered. */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "etcd/auth_store.h"
#include "etcd/compaction_hash.h"
#include "etcd/etcd_encode.h"
#include "etcd/etcd_error.h"
#include "etcd/etcd_server.h"
#include "grpc/grpc_server.h"
#include "store/store.h"

enum { ETCD_RAFT_TERM = 2 };

struct watch_stream;

struct etcd_server {
	struct etcd_server_options options;
	struct store *store;
	struct space *space;
	struct watch_hub *hub;
	struct auth_store *auth;
	struct grpc_server *grpc;
	struct admin *admin; /* admin.h */
	uint64_t cluster_id, member_id;
	bool no_space_alarm, corrupt_alarm;
	struct watch_stream *watch_streams; /* all of them, for progress by time */
	bool progress_wanted;               /* by at least one of them */
	struct loop_timer *progress_timer, *compaction_timer;
	struct compaction_mark *compaction_marks; /* revision by time, for periodic compaction */
	size_t compaction_mark_count;
	struct compaction_hash compaction_hashes[COMPACTION_HASHES]; /* by revision */
	size_t compaction_hash_count;
};

extern const struct grpc_method etcd_kv_methods[], etcd_watch_methods[], etcd_lease_methods[], etcd_maintenance_methods[],
	etcd_cluster_methods[], etcd_auth_methods[];
extern const size_t etcd_kv_method_count, etcd_watch_method_count, etcd_lease_method_count, etcd_maintenance_method_count,
	etcd_cluster_method_count, etcd_auth_method_count;

struct etcd_header etcd_header(const struct etcd_server *server, int64_t revision);
/* The answer to a unary call, at once; the buffer is empty afterwards. */
void etcd_answer(struct grpc_call *call, struct buffer *message);
void etcd_refuse(struct grpc_call *call, const struct etcd_error *error);
/* The same when `sequence` is durable; nothing happens if the client has gone by then. Takes the buffer's bytes. */
void etcd_answer_when_durable(struct etcd_server *server, struct grpc_call *call, uint64_t sequence, struct buffer *message);
void etcd_held_ended(struct grpc_call *call, void *argument); /* `ended` of every method that may hold its answer */

/* Who calls. NULL and user "" when authentication is off or nobody was named; an error for a token that is not valid. */
const struct etcd_error *etcd_user(struct etcd_server *server, struct grpc_call *call, const char **user);
const struct etcd_error *etcd_require_admin(struct etcd_server *server, struct grpc_call *call);
/* Growth stops at the quota: raises the NOSPACE alarm, and while it stands puts and grants are refused. */
const struct etcd_error *etcd_check_growth(struct etcd_server *server);

void watch_progress_tick(struct etcd_server *server);
void watch_caught_up(struct etcd_server *server); /* watchers may be synced now that were not: progress asked for is told */
/* NOSPACE and CORRUPT as they were when the store was closed. */
void alarms_load(struct etcd_server *server);
/* /health, /livez, /readyz, /version, /metrics: the HTTP status, the body appended. */
int etcd_http_answer(struct etcd_server *server, const char *path, const char *query, struct buffer *body, const char **content_type);
void compaction_start(struct etcd_server *server);
void compaction_stop(struct etcd_server *server);
