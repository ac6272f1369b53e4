/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the Maintenance and Cluster services and the plain-HTTP side. Loop's thread only. */
#pragma once

#include "etcd/etcd_int.h"

enum { ETCD_VERSION_SIZE = 32 };

/* "3.7.0": what etcd calls cluster and storage version. */
void etcd_minor_version(const struct etcd_server *server, char text[ETCD_VERSION_SIZE]);
/* Somebody must be named while authentication is on; whoever it is may. */
const struct etcd_error *etcd_require_user(struct etcd_server *server, struct grpc_call *call);

/* Maintenance.Snapshot (snapshot_service.c). */
void snapshot_serve(struct grpc_call *call, const char *bytes, size_t length, void *argument);
void snapshot_drained(struct grpc_call *call, void *argument);
void snapshot_ended(struct grpc_call *call, void *argument);

/* The gauges that /metrics shows, as they are now (etcd_metrics.c). */
void etcd_metrics_refresh(struct etcd_server *server);
void etcd_metrics_health(const char *type, const char *check, bool good); /* a check of /livez or /readyz; type "health": the old /health */
