/* SPDX-License-Identifier: Apache-2.0 */
/* How long the disk takes, under the names by which dashboards for etcd ask for it. Any thread. */
#pragma once

#include <stdint.h>

void store_metrics_synced(uint64_t nanoseconds);  /* one sync of the log */
void store_metrics_applied(uint64_t nanoseconds); /* one transaction of home */
