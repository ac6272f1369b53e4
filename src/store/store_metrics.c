/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_metrics.h"

#include "base/metrics.h"
#include "base/strings.h"

static const double buckets[] = { 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192 };

static struct metric_family sync_seconds = {
	.name = "etcd_disk_wal_fsync_duration_seconds",
	.help = "The latency distributions of fsync called by the log.",
	.type = METRIC_HISTOGRAM,
	.buckets = buckets,
	.bucket_count = ARRAY_LENGTH(buckets),
};
static struct metric_family apply_seconds = {
	.name = "etcd_disk_backend_commit_duration_seconds",
	.help = "The latency distributions of transactions of the database behind the log; nobody waits for them.",
	.type = METRIC_HISTOGRAM,
	.buckets = buckets,
	.bucket_count = ARRAY_LENGTH(buckets),
};

void store_metrics_synced(uint64_t nanoseconds)
{
	metric_observe(&sync_seconds, NULL, (double)nanoseconds / 1e9);
}

void store_metrics_applied(uint64_t nanoseconds)
{
	metric_observe(&apply_seconds, NULL, (double)nanoseconds / 1e9);
}
