/* SPDX-License-Identifier: Apache-2.0 */
#include "local/host_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/file.h"

enum { CGROUP_PATH_MAX = 1024, CGROUP_FILE_MAX = 1088, CGROUP_TEXT_MAX = 1024 * 1024, CGROUP_DEPTH_MAX = 16, KILL_STEP_MS = 20 };

/* Controllers that a kubelet asks for; handed down on version 2 where the machine has them. */
static const char *const delegated[] = { "cpuset", "cpu", "io", "memory", "hugetlb", "pids" };

/* All mount points where the tree exists: the v1 hierarchies and the unified one, each once. */
static size_t list_roots(const struct host_cgroup *cgroup, const char *roots[static HOST_CONTROLLER_MAX + 1])
{
	size_t count = 0;
	for (size_t i = 0; i < cgroup->hierarchy_count; i++)
		roots[count++] = cgroup->hierarchies[i].mount;
	if (cgroup->unified[0])
		roots[count++] = cgroup->unified;
	return count;
}

static int copy_setting(const char *parent, const char *child, const char *file, struct error *err)
{
	char path[CGROUP_PATH_MAX];
	BUFFER_CLEANUP struct buffer text = { 0 };
	snprintf(path, sizeof(path), "%s/%s", child, file);
	if (file_read(path, CGROUP_TEXT_MAX, &text, err) < 0)
		return -1;
	if (text.length > 1)
		return 0; /* set already */
	buffer_clear(&text);
	snprintf(path, sizeof(path), "%s/%s", parent, file);
	if (file_read(path, CGROUP_TEXT_MAX, &text, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/%s", child, file);
	return file_write_once(path, text.data, err);
}

static int delegate_controllers(const struct host_cgroup *cgroup, const char *folder, struct error *err)
{
	char path[CGROUP_FILE_MAX];
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", folder);
	for (size_t i = 0; i < ARRAY_LENGTH(delegated); i++) {
		char word[32];
		if (!host_cgroup_has(cgroup, delegated[i]))
			continue;
		snprintf(word, sizeof(word), "+%s", delegated[i]);
		if (file_write_once(path, word, err) < 0)
			return error_wrap(err, "hand controller %s down (processes in %s itself prevent it)", delegated[i], folder);
	}
	return 0;
}

static int make_in(const struct host_cgroup *cgroup, const char *root, const char *path, bool cpuset, struct error *err)
{
	char folder[CGROUP_PATH_MAX], parent[CGROUP_PATH_MAX];
	bool unified = cgroup->version == 2;
	snprintf(parent, sizeof(parent), "%s", root);
	for (const char *end = path; end;) {
		end = strchr(end, '/');
		int length = end ? (int)(end - path) : (int)strlen(path);
		if (unified && delegate_controllers(cgroup, parent, err) < 0)
			return -1;
		snprintf(folder, sizeof(folder), "%s/%.*s", root, length, path);
		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			return error_set_errno(err, errno, "make cgroup %s", folder);
		if (cpuset &&
		    (copy_setting(parent, folder, "cpuset.cpus", err) < 0 || copy_setting(parent, folder, "cpuset.mems", err) < 0))
			return -1;
		snprintf(parent, sizeof(parent), "%s", folder);
		if (end)
			end++;
	}
	return 0;
}

int host_cgroup_make(const struct host_cgroup *cgroup, const char *path, struct error *err)
{
	if (cgroup->version == 2)
		return make_in(cgroup, cgroup->unified, path, false, err);
	for (size_t i = 0; i < cgroup->hierarchy_count; i++) {
		const struct host_controller *hierarchy = &cgroup->hierarchies[i];
		if (make_in(cgroup, hierarchy->mount, path, strstr(hierarchy->names, "cpuset") != NULL, err) < 0)
			return -1;
	}
	return 0;
}

int host_cgroup_enter(const struct host_cgroup *cgroup, const char *path, pid_t pid, struct error *err)
{
	char file[CGROUP_PATH_MAX], number[32];
	snprintf(number, sizeof(number), "%d", (int)pid);
	if (cgroup->version == 2) {
		snprintf(file, sizeof(file), "%s/%s/cgroup.procs", cgroup->unified, path);
		return file_write_once(file, number, err);
	}
	for (size_t i = 0; i < cgroup->hierarchy_count; i++) {
		snprintf(file, sizeof(file), "%s/%s/cgroup.procs", cgroup->hierarchies[i].mount, path);
		if (file_write_once(file, number, err) < 0)
			return -1;
	}
	return 0;
}

/* Processes of one cgroup; with a signal, they get it. */
static unsigned signal_one(const char *folder, int number)
{
	char path[CGROUP_FILE_MAX];
	struct error err;
	unsigned count = 0;
	BUFFER_CLEANUP struct buffer text = { 0 };
	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	if (file_read(path, CGROUP_TEXT_MAX, &text, &err) < 0 || !text.data)
		return 0;
	for (char *at = text.data; *at;) {
		char *end;
		long pid = strtol(at, &end, 10);
		if (end == at)
			break;
		/* Zero stands for a process of a PID namespace that is out of our sight. */
		if (pid > 1 && number)
			kill((pid_t)pid, number);
		count++;
		at = end + strspn(end, "\n");
	}
	return count;
}

enum tree_action { TREE_SIGNAL, TREE_REMOVE };

struct tree_walk {
	enum tree_action action;
	int signal;
	unsigned count; /* processes seen */
	int failure;    /* errno of the first failed removal */
	char failed[CGROUP_PATH_MAX];
};

static void walk_tree(struct tree_walk *walk, const char *folder, unsigned depth)
{
	DIR *directory = depth < CGROUP_DEPTH_MAX ? opendir(folder) : NULL;
	if (!directory)
		return;
	if (walk->action == TREE_SIGNAL)
		walk->count += signal_one(folder, walk->signal);
	for (struct dirent *entry; (entry = readdir(directory));) {
		char child[CGROUP_PATH_MAX];
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(child, sizeof(child), "%s/%s", folder, entry->d_name) < sizeof(child))
			walk_tree(walk, child, depth + 1);
	}
	closedir(directory);
	if (walk->action == TREE_REMOVE && rmdir(folder) < 0 && errno != ENOENT && !walk->failure) {
		walk->failure = errno;
		snprintf(walk->failed, sizeof(walk->failed), "%s", folder);
	}
}

static unsigned signal_trees(const struct host_cgroup *cgroup, const char *path, int number)
{
	const char *roots[HOST_CONTROLLER_MAX + 1];
	size_t count = list_roots(cgroup, roots);
	unsigned most = 0;
	for (size_t i = 0; i < count; i++) {
		char folder[CGROUP_PATH_MAX];
		struct tree_walk walk = { .action = TREE_SIGNAL, .signal = number };
		snprintf(folder, sizeof(folder), "%s/%s", roots[i], path);
		walk_tree(&walk, folder, 0);
		if (walk.count > most)
			most = walk.count;
	}
	return most;
}

unsigned host_cgroup_count(const struct host_cgroup *cgroup, const char *path)
{
	return signal_trees(cgroup, path, 0);
}

int host_cgroup_kill(const struct host_cgroup *cgroup, const char *path, uint64_t timeout_ms, struct error *err)
{
	uint64_t deadline = clock_monotonic_ms() + timeout_ms;
	for (;;) {
		unsigned left = signal_trees(cgroup, path, SIGKILL);
		if (left == 0)
			return 0;
		if (clock_until(deadline) == 0)
			return error_set(err, ERROR_TIMEOUT, "%u processes in cgroup %s do not end", left, path);
		if (cancel_sleep(NULL, KILL_STEP_MS, err) < 0)
			return -1;
	}
}

int host_cgroup_remove(const struct host_cgroup *cgroup, const char *path, struct error *err)
{
	const char *roots[HOST_CONTROLLER_MAX + 1];
	size_t count = list_roots(cgroup, roots);
	for (size_t i = 0; i < count; i++) {
		char folder[CGROUP_PATH_MAX];
		struct tree_walk walk = { .action = TREE_REMOVE };
		snprintf(folder, sizeof(folder), "%s/%s", roots[i], path);
		walk_tree(&walk, folder, 0);
		/* A cgroup stays busy for a moment after its last process was reaped. */
		for (unsigned attempt = 0; walk.failure == EBUSY && attempt < 50; attempt++) {
			if (cancel_sleep(NULL, KILL_STEP_MS, err) < 0)
				return -1;
			walk = (struct tree_walk){ .action = TREE_REMOVE };
			walk_tree(&walk, folder, 0);
		}
		if (walk.failure)
			return error_set_errno(err, walk.failure, "remove cgroup %s", walk.failed);
	}
	return 0;
}

bool host_cgroup_exists(const struct host_cgroup *cgroup, const char *path)
{
	const char *roots[HOST_CONTROLLER_MAX + 1];
	size_t count = list_roots(cgroup, roots);
	for (size_t i = 0; i < count; i++) {
		char folder[CGROUP_PATH_MAX];
		snprintf(folder, sizeof(folder), "%s/%s", roots[i], path);
		if (access(folder, F_OK) == 0)
			return true;
	}
	return false;
}

static uint64_t read_stat(const char *text, const char *key)
{
	size_t length = strlen(key);
	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
		if (strncmp(at, key, length) == 0 && at[length] == ' ') {
			char *end;
			unsigned long long value = strtoull(at + length + 1, &end, 10);
			return end > at + length + 1 ? value : 0;
		}
	return 0;
}

uint64_t host_cgroup_memory(const struct host_cgroup *cgroup, const char *path)
{
	char file[CGROUP_PATH_MAX];
	struct error err;
	const char *root = cgroup->version == 2 ? cgroup->unified : NULL;
	for (size_t i = 0; !root && i < cgroup->hierarchy_count; i++)
		if (strstr(cgroup->hierarchies[i].names, "memory"))
			root = cgroup->hierarchies[i].mount;
	BUFFER_CLEANUP struct buffer text = { 0 };
	snprintf(file, sizeof(file), "%s/%s/memory.stat", root ? root : "", path);
	if (!root || file_read(file, CGROUP_TEXT_MAX, &text, &err) < 0)
		return 0;
	if (cgroup->version == 2)
		return read_stat(text.data, "anon") + read_stat(text.data, "kernel");
	return read_stat(text.data, "total_rss");
}
