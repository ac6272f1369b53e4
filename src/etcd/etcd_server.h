/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The etcd v3 API over a store: KV, Watch, Lease, Maintenance, Cluster, Auth on one gRPC server. Everything runs on the loop that owns the
 * store. One server serves one space today; the connection's identity is where a tenant's own space will be chosen.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/loop.h"
#include "net/tls.h"
#include "store/store.h"

struct etcd_server;

struct etcd_server_options {
	struct loop *loop;
	struct store *store;
	const char *name;               /* of the member; default "default" */
	const char *version;            /* reported: clients test features with it */
	const char *const *client_urls; /* advertised, NULL-terminated */
	size_t maximum_request_bytes;   /* --max-request-bytes */
	int64_t maximum_operations;     /* --max-txn-ops */
	uint64_t quota_bytes;           /* --quota-backend-bytes */
	unsigned progress_ms;           /* --watch-progress-notify-interval */
	bool certificate_users;         /* --client-cert-auth: the verified certificate's CN is the user */
	int64_t compaction_revisions;   /* --auto-compaction-mode revision: keep so many; 0: off */
	uint64_t compaction_ms;         /* --auto-compaction-mode periodic: keep so long; 0: off */
};

struct etcd_server *etcd_server_new(const struct etcd_server_options *options, struct error *err);
/* "HOST:PORT" or "unix:PATH"; identity NULL: plaintext. */
int etcd_server_listen(struct etcd_server *server, const char *address, struct tls_identity *identity, struct error *err);
void etcd_server_set_identity(struct etcd_server *server, struct tls_identity *identity); /* for connections to come */
void etcd_server_free(struct etcd_server *server, unsigned grace_ms);                     /* the store stays */
/* The plain-HTTP side (/health, /livez, /readyz, /version, /metrics): returns the status and appends the body. Any thread. */
int etcd_server_http(struct etcd_server *server, const char *path, const char *query, struct buffer *body, const char **content_type);
