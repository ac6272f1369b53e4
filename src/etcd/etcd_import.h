/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new store out of an etcd snapshot: every kept version with its revisions, leases with their full TTL, users, roles and whether authentication is
 * on. Alarms and members are not taken over: they spoke of other machines. Blocking; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct etcd_import_report {
	int64_t revision, compacted; /* compacted <= 0: never */
	uint64_t versions, leases, users, roles;
	bool auth_enabled;
	bool checksum; /* the file carried one, and it was right */
};

/*
 * `path`: what `etcdctl snapshot save` wrote, or an etcd's own member/snap/db (which has no checksum). The store's folder must not hold one yet.
 * ERROR_CORRUPT names what is wrong with the file; then no store is left behind.
 */
int etcd_import(const char *path, const char *directory, struct etcd_import_report *report, struct error *err);

/* The same reading without writing anything, from memory: bytes of a file as above. */
int etcd_import_check(const void *bytes, uint64_t length, struct etcd_import_report *report, struct error *err);
