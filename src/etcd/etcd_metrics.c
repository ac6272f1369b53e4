/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics by which dashboards and alerts for etcd know it: names, labels and units are etcd's. Numbers are taken when somebody asks. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/metrics.h"
#include "base/strings.h"
#include "etcd/maintenance.h"
#include "store/watch_hub.h"

#define GAUGE(variable, metric, text) static struct metric_family variable = { .name = metric, .help = text, .type = METRIC_GAUGE }
#define COUNTER(variable, metric, text) static struct metric_family variable = { .name = metric, .help = text, .type = METRIC_COUNTER }

GAUGE(has_leader, "etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.");
GAUGE(is_leader, "etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.");
GAUGE(is_learner, "etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.");
COUNTER(leader_changes, "etcd_server_leader_changes_seen_total", "The number of leader changes seen.");
GAUGE(proposals_committed, "etcd_server_proposals_committed_total", "The total number of changes that are in the log.");
GAUGE(proposals_applied, "etcd_server_proposals_applied_total", "The total number of changes that took effect.");
GAUGE(proposals_pending, "etcd_server_proposals_pending", "The current number of changes that are not durable yet.");
COUNTER(proposals_failed, "etcd_server_proposals_failed_total", "The total number of changes that failed.");
GAUGE(quota_bytes, "etcd_server_quota_backend_bytes", "Current quota of the store in bytes.");
COUNTER(health_success, "etcd_server_health_success", "The total number of successful health checks.");
COUNTER(health_failures, "etcd_server_health_failures", "The total number of failed health checks.");
GAUGE(total_size, "etcd_mvcc_db_total_size_in_bytes", "Total size of the store on disk in bytes.");
GAUGE(size_in_use, "etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of all kept keys and values.");
GAUGE(keys_total, "etcd_debugging_mvcc_keys_total", "Total number of keys.");
GAUGE(current_revision, "etcd_debugging_mvcc_current_revision", "The current revision of the store.");
GAUGE(compact_revision, "etcd_debugging_mvcc_compact_revision", "The revision of the last compaction.");
GAUGE(watchers, "etcd_debugging_mvcc_watcher_total", "Total number of watchers.");
GAUGE(slow_watchers, "etcd_debugging_mvcc_slow_watcher_total", "Total number of watchers that are behind.");
GAUGE(leases, "etcd_debugging_lease_total", "Total number of leases.");
GAUGE(auth_revision_now, "etcd_debugging_auth_revision", "The current revision of the users and roles.");

static struct metric_family server_version = {
	.name = "etcd_server_version",
	.help = "Which version is running. 1 for 'server_version' label with current version.",
	.type = METRIC_GAUGE,
	.labels = METRIC_VALUES("server_version"),
};
static struct metric_family cluster_version = {
	.name = "etcd_cluster_version",
	.help = "Which cluster version is reported. 1 for 'cluster_version' label.",
	.type = METRIC_GAUGE,
	.labels = METRIC_VALUES("cluster_version"),
};
static struct metric_family server_id = {
	.name = "etcd_server_id",
	.help = "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
	.type = METRIC_GAUGE,
	.labels = METRIC_VALUES("server_id"),
};
static struct metric_family health_check = {
	.name = "etcd_server_healthcheck",
	.help = "The result of each kind of healthcheck.",
	.type = METRIC_GAUGE,
	.labels = METRIC_VALUES("type", "name"),
};
static struct metric_family health_checks = {
	.name = "etcd_server_healthchecks_total",
	.help = "The total number of each kind of healthcheck.",
	.type = METRIC_COUNTER,
	.labels = METRIC_VALUES("type", "name", "status"),
};

static struct metric_family calls_started = {
	.name = "grpc_server_started_total",
	.help = "Total number of RPCs started on the server.",
	.type = METRIC_COUNTER,
	.labels = METRIC_VALUES("grpc_type", "grpc_service", "grpc_method"),
};
static struct metric_family calls_handled = {
	.name = "grpc_server_handled_total",
	.help = "Total number of RPCs completed on the server, regardless of success or failure.",
	.type = METRIC_COUNTER,
	.labels = METRIC_VALUES("grpc_type", "grpc_service", "grpc_method", "grpc_code"),
};

/* The counts live with the server, where adding one costs nothing; those of methods that nobody called are left out. */
static void refresh_method(const struct grpc_method_statistics *statistics)
{
	static const char *const codes[GRPC_STATUSES] = {
		"OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
		"NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
		"Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
		"DataLoss", "Unauthenticated",
	};
	const char *method = strrchr(statistics->method->path, '/') + 1;
	char *service FREE_CLEANUP = string_ndup(statistics->method->path + 1, (size_t)(method - statistics->method->path) - 2);
	const char *type = statistics->method->streaming                                             ? "bidi_stream"
	                   : string_equal(method, "RangeStream") || string_equal(method, "Snapshot") ? "server_stream"
	                                                                                             : "unary";

	metric_set(&calls_started, METRIC_VALUES(type, service, method), (double)statistics->started);
	for (int i = 0; i < GRPC_STATUSES; i++)
		if (statistics->handled[i] > 0)
			metric_set(&calls_handled, METRIC_VALUES(type, service, method, codes[i]), (double)statistics->handled[i]);
}

static void refresh_calls(const struct etcd_server *server)
{
	size_t count;
	const struct grpc_method_statistics *statistics = grpc_server_method_statistics(server->grpc, &count);

	for (size_t i = 0; i < count; i++)
		if (statistics[i].started > 0)
			refresh_method(&statistics[i]);
}

void etcd_metrics_health(const char *type, const char *check, bool good)
{
	if (string_equal(type, "health")) {
		metric_add(good ? &health_success : &health_failures, NULL, 1);
		return;
	}
	metric_set(&health_check, METRIC_VALUES(type, check), good);
	metric_add(&health_checks, METRIC_VALUES(type, check, good ? "success" : "error"), 1);
}

static void refresh_store(struct etcd_server *server)
{
	struct key_range everything = key_range_of((struct bytes){ "", 1 }, (struct bytes){ "", 1 });
	uint64_t size = store_bytes(server->store), used = space_data_bytes(server->space);

	metric_set(&total_size, NULL, (double)size);
	metric_set(&size_in_use, NULL, (double)(used < size ? used : size));
	metric_set(&keys_total, NULL, (double)key_index_count(space_index(server->space), &everything));
	metric_set(&current_revision, NULL, (double)space_visible_revision(server->space));
	metric_set(&compact_revision, NULL, (double)space_compacted_revision(server->space));
	metric_set(&watchers, NULL, (double)watch_hub_count(server->hub));
	metric_set(&slow_watchers, NULL, (double)watch_hub_lagging(server->hub));
	metric_set(&leases, NULL, (double)space_leases(server->space)->count);
	metric_set(&quota_bytes, NULL, (double)server->options.quota_bytes);
}

void etcd_metrics_refresh(struct etcd_server *server)
{
	char version[ETCD_VERSION_SIZE], id[32];
	int64_t pending = space_head_revision(server->space) - space_visible_revision(server->space);

	etcd_minor_version(server, version);
	(void)snprintf(id, sizeof(id), "%" PRIx64, server->member_id);
	metric_set(&has_leader, NULL, 1);
	metric_set(&is_leader, NULL, 1);
	metric_set(&is_learner, NULL, 0);
	metric_register(&health_success);
	metric_register(&health_failures);
	metric_add(&leader_changes, NULL, 0);
	metric_add(&proposals_failed, NULL, 0);
	metric_set(&proposals_committed, NULL, (double)store_sequence(server->store));
	metric_set(&proposals_applied, NULL, (double)store_sequence(server->store) - (double)pending);
	metric_set(&proposals_pending, NULL, (double)pending);
	metric_set(&auth_revision_now, NULL, (double)auth_revision(server->auth));
	metric_set(&server_version, METRIC_VALUES(server->options.version), 1);
	metric_set(&cluster_version, METRIC_VALUES(version), 1);
	metric_set(&server_id, METRIC_VALUES(id), 1);
	refresh_store(server);
	refresh_calls(server);
}
