/* SPDX-License-Identifier: Apache-2.0 */
#include "local/host_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "io/file.h"

enum { PROC_TEXT_MAX = 1024 * 1024, MOUNT_LINE_FIELDS = 4 };

/* What the kubelet's container manager refuses to start without. */
static const char *const needed_v1[] = { "cpu", "cpuacct", "cpuset", "memory", "pids", NULL };
static const char *const needed_v2[] = { "cpu", "cpuset", "memory", "pids", NULL };

static bool list_has(const char *list, const char *separators, const char *word)
{
	size_t length = strlen(word);
	for (const char *at = list; *at;) {
		size_t part = strcspn(at, separators);
		if (part == length && memcmp(at, word, length) == 0)
			return true;
		at += part;
		at += strspn(at, separators);
	}
	return false;
}

static bool is_v1_option(const char *word)
{
	static const char *const known[] = { "cpu",  "cpuacct", "cpuset",   "memory",     "devices", "freezer", "blkio",
		                             "pids", "net_cls", "net_prio", "perf_event", "hugetlb", "rdma",    "misc" };
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (string_equal(word, known[i]))
			return true;
	return string_has_prefix(word, "name=");
}

/* Mount options of a v1 hierarchy hold the controllers among "rw", "relatime" and others. */
static void collect_controllers(char *options, char names[static HOST_CONTROLLER_NAME_MAX])
{
	names[0] = '\0';
	char *save = NULL;
	for (char *word = strtok_r(options, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		size_t used = strlen(names);
		if (is_v1_option(word) && used + strlen(word) + 2 <= HOST_CONTROLLER_NAME_MAX)
			snprintf(names + used, HOST_CONTROLLER_NAME_MAX - used, "%s%s", used ? "," : "", word);
	}
}

static int add_hierarchy(struct host_cgroup *cgroup, const char *mount, char *options, struct error *err)
{
	if (cgroup->hierarchy_count == HOST_CONTROLLER_MAX)
		return error_set(err, ERROR_EXHAUSTED, "more than %d cgroup hierarchies are mounted", HOST_CONTROLLER_MAX);
	struct host_controller *controller = &cgroup->hierarchies[cgroup->hierarchy_count];
	collect_controllers(options, controller->names);
	if (!controller->names[0])
		return 0;
	for (size_t i = 0; i < cgroup->hierarchy_count; i++)
		if (string_equal(cgroup->hierarchies[i].names, controller->names))
			return 0; /* mounted twice */
	snprintf(controller->mount, sizeof(controller->mount), "%s", mount);
	cgroup->hierarchy_count++;
	return 0;
}

int host_cgroup_parse(const char *mounts, struct host_cgroup *ret_cgroup, struct error *err)
{
	*ret_cgroup = (struct host_cgroup){ 0 };
	FREE_CLEANUP char *text = string_dup(mounts);
	bool has_controller = false;
	char *save_line = NULL;
	for (char *line = strtok_r(text, "\n", &save_line); line; line = strtok_r(NULL, "\n", &save_line)) {
		char *field[MOUNT_LINE_FIELDS] = { 0 };
		char *save = NULL;
		size_t count = 0;
		for (char *word = strtok_r(line, " ", &save); word && count < MOUNT_LINE_FIELDS; word = strtok_r(NULL, " ", &save))
			field[count++] = word;
		if (count < MOUNT_LINE_FIELDS || strlen(field[1]) >= HOST_PATH_MAX)
			continue;
		if (string_equal(field[2], "cgroup2")) {
			if (!ret_cgroup->unified[0])
				snprintf(ret_cgroup->unified, sizeof(ret_cgroup->unified), "%s", field[1]);
		} else if (string_equal(field[2], "cgroup")) {
			if (add_hierarchy(ret_cgroup, field[1], field[3], err) < 0)
				return -1;
		}
	}
	for (size_t i = 0; i < ret_cgroup->hierarchy_count; i++)
		if (!string_has_prefix(ret_cgroup->hierarchies[i].names, "name="))
			has_controller = true;
	ret_cgroup->version = has_controller ? 1 : ret_cgroup->unified[0] ? 2 : 0;
	return 0;
}

void host_cgroup_set_controllers(struct host_cgroup *cgroup, const char *text)
{
	snprintf(cgroup->unified_controllers, sizeof(cgroup->unified_controllers), "%.*s", (int)strcspn(text, "\n"), text);
}

bool host_cgroup_has(const struct host_cgroup *cgroup, const char *controller)
{
	if (cgroup->version == 2)
		return list_has(cgroup->unified_controllers, " ", controller);
	for (size_t i = 0; i < cgroup->hierarchy_count; i++)
		if (list_has(cgroup->hierarchies[i].names, ",", controller))
			return true;
	return false;
}

const char *host_cgroup_missing(const struct host_cgroup *cgroup)
{
	const char *const *needed = cgroup->version == 2 ? needed_v2 : needed_v1;
	for (size_t i = 0; needed[i]; i++)
		if (!host_cgroup_has(cgroup, needed[i]))
			return needed[i];
	return NULL;
}

int host_capabilities_parse(const char *status, uint64_t *ret_bounding, struct error *err)
{
	static const char key[] = "\nCapBnd:";
	const char *at = strstr(status, key);
	if (!at)
		return error_set(err, ERROR_CORRUPT, "/proc/self/status has no line CapBnd");
	at += sizeof(key) - 1;
	at += strspn(at, " \t");
	char *end;
	unsigned long long value = strtoull(at, &end, 16);
	if (end == at || (*end != '\n' && *end != '\0'))
		return error_set(err, ERROR_CORRUPT, "CapBnd in /proc/self/status is not a hexadecimal number");
	*ret_bounding = value;
	return 0;
}

int host_facts_read(struct host_facts *ret_facts, struct error *err)
{
	*ret_facts = (struct host_facts){ 0 };
	BUFFER_CLEANUP struct buffer text = { 0 };
	if (file_read("/proc/self/mounts", PROC_TEXT_MAX, &text, err) < 0 || host_cgroup_parse(text.data, &ret_facts->cgroup, err) < 0)
		return -1;
	if (ret_facts->cgroup.version == 2) {
		char path[HOST_PATH_MAX + 32];
		snprintf(path, sizeof(path), "%s/cgroup.controllers", ret_facts->cgroup.unified);
		buffer_clear(&text);
		if (file_read(path, PROC_TEXT_MAX, &text, err) < 0)
			return -1;
		host_cgroup_set_controllers(&ret_facts->cgroup, text.data);
	}
	buffer_clear(&text);
	if (file_read("/proc/self/status", PROC_TEXT_MAX, &text, err) < 0)
		return -1;
	return host_capabilities_parse(text.data, &ret_facts->bounding, err);
}
