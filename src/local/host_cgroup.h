/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroups of an environment: NAME/NODE/init holds the node's own processes, the kubelet makes NAME/NODE/kubepods beside it (its
 * cgroupRoot is NAME/NODE, which itself holds no process, as version 2 demands). Version 1 has the same tree in every hierarchy.
 * Paths are relative to the root of the hierarchies ("kamaji-demo/admin/init").
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "local/host_facts.h"

/* Makes the path in every hierarchy; on version 1 copies cpuset's cpus and mems downwards, on version 2 hands the controllers down to
 * every level above the last. What exists is kept. */
int host_cgroup_make(const struct host_cgroup *cgroup, const char *path, struct error *err);
int host_cgroup_enter(const struct host_cgroup *cgroup, const char *path, pid_t pid, struct error *err);
/* How many processes are in the tree below the path, in any hierarchy (the largest count). */
unsigned host_cgroup_count(const struct host_cgroup *cgroup, const char *path);
/* Kills every process in the tree, again and again until none is left or the time is over (ERROR_TIMEOUT). */
int host_cgroup_kill(const struct host_cgroup *cgroup, const char *path, uint64_t timeout_ms, struct error *err);
/* Removes the tree from every hierarchy, the unified one of a hybrid layout too. Absent is fine. */
int host_cgroup_remove(const struct host_cgroup *cgroup, const char *path, struct error *err);
bool host_cgroup_exists(const struct host_cgroup *cgroup, const char *path);
/* Memory in use without page cache that can be dropped, in bytes; 0 when unknown. */
uint64_t host_cgroup_memory(const struct host_cgroup *cgroup, const char *path);
