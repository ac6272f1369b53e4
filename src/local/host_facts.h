/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine allows, read from text the kernel prints. The parsers take text so that machines that are not at hand (cgroup v2,
 * full or fewer capabilities) are tested from recordings; host_facts_read() feeds them from /proc.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	HOST_CONTROLLER_MAX = 16,      /* hierarchies of cgroup v1 */
	HOST_CONTROLLER_NAME_MAX = 64, /* "cpu,cpuacct" */
	HOST_PATH_MAX = 256,
	HOST_CAP_SYS_RESOURCE = 24 /* capability number, linux/capability.h */
};

struct host_controller {
	char names[HOST_CONTROLLER_NAME_MAX]; /* controllers of this hierarchy, comma separated: "memory", "cpu,cpuacct", "name=systemd" */
	char mount[HOST_PATH_MAX];
};

struct host_cgroup {
	int version;                                             /* 1, 2; 0 when no usable hierarchy is mounted */
	struct host_controller hierarchies[HOST_CONTROLLER_MAX]; /* version 1 */
	size_t hierarchy_count;
	char unified[HOST_PATH_MAX];   /* mount point of the v2 hierarchy, "" when there is none */
	char unified_controllers[256]; /* version 2: words of cgroup.controllers */
};

struct host_facts {
	struct host_cgroup cgroup;
	uint64_t bounding; /* capability bounding set */
};

/*
 * Reads /proc/self/mounts. A v2 mount counts as version 2 only when no v1 controller is mounted: the "hybrid" layout, and a v2 mount
 * without controllers, are version 1 to the kubelet and to runc.
 */
int host_cgroup_parse(const char *mounts, struct host_cgroup *ret_cgroup, struct error *err);
/* Keeps the words of cgroup.controllers ("cpuset cpu io memory pids"). */
void host_cgroup_set_controllers(struct host_cgroup *cgroup, const char *text);
/* True when the controller ("memory") can be used, whichever the version. */
bool host_cgroup_has(const struct host_cgroup *cgroup, const char *controller);
/* The first controller that a kubelet needs and that is missing, or NULL. */
const char *host_cgroup_missing(const struct host_cgroup *cgroup);

/* Reads CapBnd of /proc/self/status. */
int host_capabilities_parse(const char *status, uint64_t *ret_bounding, struct error *err);
static inline bool host_capability_has(uint64_t set, unsigned number)
{
	return (set >> number & 1u) != 0;
}

int host_facts_read(struct host_facts *ret_facts, struct error *err);
