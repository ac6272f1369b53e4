/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"
#include "local/doctor.h"
#include "local/host_facts.h"

enum {
	TEXT_MAX = 1024 * 1024,
	MEMORY_NEEDED_MIB = 1536, /* an admin cluster and one tenant, measured, with room */
	MEMORY_GOOD_MIB = 3072,
	DISK_NEEDED_MIB = 3072, /* images, logs and stores; the components' cache not counted */
	DISK_GOOD_MIB = 8192,
	CAP_NET_ADMIN_NUMBER = 12,
	CAP_SYS_ADMIN_NUMBER = 21
};

/* 2024-01-01: certificates made before would be refused by everything that has the right time. */
static const int64_t EARLIEST_WALL_SECONDS = 1704067200;

static void check_root(struct doctor_report *report)
{
	if (geteuid() == 0)
		doctor_add(report, "root", DOCTOR_OK, "", "running as root");
	else
		doctor_add(report, "root", DOCTOR_PROBLEM, "run 'kamaji local' with sudo", "namespaces, interfaces and mounts need root");
}

static void check_kernel(struct doctor_report *report)
{
	static const char *const namespaces[] = { "mnt", "pid", "net", "uts", "ipc" };
	struct utsname name;
	for (size_t i = 0; i < ARRAY_LENGTH(namespaces); i++) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i]);
		if (access(path, F_OK) < 0) {
			doctor_add(report, "kernel", DOCTOR_PROBLEM, "use a kernel built with all namespaces",
			           "the kernel has no %s namespaces", namespaces[i]);
			return;
		}
	}
	doctor_add(report, "kernel", DOCTOR_OK, "", "Linux %s with mount, PID, network, UTS and IPC namespaces",
	           uname(&name) == 0 ? name.release : "");
}

static void check_overlay(struct doctor_report *report)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error err;
	bool found = file_read("/proc/filesystems", TEXT_MAX, &text, &err) == 0 && text.data && strstr(text.data, "\toverlay\n");
	if (found)
		doctor_add(report, "overlay", DOCTOR_OK, "", "the kernel has overlayfs");
	else
		doctor_add(report, "overlay", DOCTOR_PROBLEM, "modprobe overlay", "containers need overlayfs");
}

static void check_cgroup(struct doctor_report *report, const struct host_facts *facts)
{
	const char *missing = host_cgroup_missing(&facts->cgroup);
	if (facts->cgroup.version == 0)
		doctor_add(report, "cgroups", DOCTOR_PROBLEM, "mount -t cgroup2 none /sys/fs/cgroup", "no cgroup hierarchy is mounted");
	else if (missing)
		doctor_add(report, "cgroups", DOCTOR_PROBLEM,
		           facts->cgroup.version == 1 ? "mount the controller below /sys/fs/cgroup"
		                                      : "enable the controller for this machine or container",
		           "version %d, but the controller '%s' is missing", facts->cgroup.version, missing);
	else if (facts->cgroup.version == 1)
		doctor_add(report, "cgroups", DOCTOR_WARNING,
		           "none needed now; boot with cgroup v2 before Kubernetes and containerd drop v1",
		           "version 1; the kubelet is told to accept it");
	else
		doctor_add(report, "cgroups", DOCTOR_OK, "", "version 2 with every controller that is needed");
}

static void check_capabilities(struct doctor_report *report, const struct host_facts *facts)
{
	if (!host_capability_has(facts->bounding, CAP_SYS_ADMIN_NUMBER) || !host_capability_has(facts->bounding, CAP_NET_ADMIN_NUMBER))
		doctor_add(report, "capabilities", DOCTOR_PROBLEM, "run on the host itself or in a fully privileged container",
		           "CAP_SYS_ADMIN or CAP_NET_ADMIN is missing");
	else if (!host_capability_has(facts->bounding, HOST_CAP_SYS_RESOURCE))
		doctor_add(report, "capabilities", DOCTOR_WARNING,
		           "none needed; pods are not protected from the out-of-memory killer by rank",
		           "CAP_SYS_RESOURCE is missing; containerd is told not to lower oom_score_adj");
	else
		doctor_add(report, "capabilities", DOCTOR_OK, "", "all that are needed");
}

static int64_t available_mebibytes(void)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error err;
	int64_t kibibytes = 0;
	if (file_read("/proc/meminfo", TEXT_MAX, &text, &err) < 0)
		return 0;
	const char *at = text.data ? strstr(text.data, "MemAvailable:") : NULL;
	if (!at)
		return 0;
	at += strlen("MemAvailable:");
	at += strspn(at, " ");
	FREE_CLEANUP char *digits = string_ndup(at, strspn(at, "0123456789"));
	return string_to_integer(digits, 0, INT64_MAX, "MemAvailable", &kibibytes, &err) < 0 ? 0 : kibibytes / 1024;
}

static void check_memory(struct doctor_report *report)
{
	int64_t available = available_mebibytes();
	enum doctor_state state = available < MEMORY_NEEDED_MIB ? DOCTOR_PROBLEM : available < MEMORY_GOOD_MIB ? DOCTOR_WARNING : DOCTOR_OK;
	doctor_add(report, "memory", state, "end other programs; an admin cluster takes about 1 GiB, each tenant about 0.5 GiB",
	           "%lld MiB are available", (long long)available);
}

static void check_disk(struct doctor_report *report)
{
	struct statvfs disk;
	char folder[512];
	/* The nearest parent that exists already. */
	snprintf(folder, sizeof(folder), "%s", report->state_root);
	while (statvfs(folder, &disk) < 0) {
		char *slash = strrchr(folder, '/');
		if (!slash || slash == folder) {
			snprintf(folder, sizeof(folder), "/");
			if (statvfs(folder, &disk) < 0)
				return;
			break;
		}
		*slash = '\0';
	}
	unsigned long long free_mebibytes = (unsigned long long)disk.f_bavail * disk.f_frsize >> 20;
	enum doctor_state state = free_mebibytes < DISK_NEEDED_MIB ? DOCTOR_PROBLEM
	                          : free_mebibytes < DISK_GOOD_MIB ? DOCTOR_WARNING
	                                                           : DOCTOR_OK;
	doctor_add(report, "disk", state, "free some space or choose another --state-dir", "%llu MiB are free in %s", free_mebibytes,
	           folder);
}

static void check_clock(struct doctor_report *report)
{
	char text[32];
	clock_format_rfc3339(clock_wall_seconds(), text, sizeof(text));
	if (clock_wall_seconds() >= EARLIEST_WALL_SECONDS)
		doctor_add(report, "clock", DOCTOR_OK, "", "%s", text);
	else
		doctor_add(report, "clock", DOCTOR_PROBLEM, "set the machine's clock", "the clock says %s; certificates would not be valid",
		           text);
}

static void check_inotify(struct doctor_report *report)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error err;
	int64_t instances;
	if (file_read("/proc/sys/fs/inotify/max_user_instances", 64, &text, &err) < 0 || !text.data)
		return;
	text.data[strcspn(text.data, "\n")] = '\0';
	if (string_to_integer(text.data, 0, INT64_MAX, "max_user_instances", &instances, &err) < 0)
		return;
	/* Raised by `up` and put back by `down`; only a kernel that refuses is a problem. */
	bool writable = access("/proc/sys/fs/inotify/max_user_instances", W_OK) == 0;
	enum doctor_state state = instances >= 1024 || writable ? DOCTOR_OK : DOCTOR_WARNING;
	doctor_add(report, "inotify", state, "sysctl fs.inotify.max_user_instances=8192", "%lld instances a user%s", (long long)instances,
	           instances < 1024 && writable ? "; raised while an environment is up" : "");
}

void doctor_check_machine(struct doctor_report *report)
{
	struct host_facts facts;
	struct error err;
	check_root(report);
	check_kernel(report);
	check_overlay(report);
	if (host_facts_read(&facts, &err) < 0) {
		doctor_add(report, "cgroups", DOCTOR_PROBLEM, "is /proc mounted?", "%s", err.message);
	} else {
		check_cgroup(report, &facts);
		check_capabilities(report, &facts);
	}
	check_memory(report);
	check_disk(report);
	check_clock(report);
	check_inotify(report);
}
