/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "io/process.h"

enum { ROOT_PATH_MAX = 1024 };

/* Top-level folders that are not the host's in a node: its own, or of no use there. */
static const char *const own_folders[] = { "proc", "sys", "dev", "run", "tmp", "var", "etc", "mnt", "media", "lost+found" };

/* What programs of the host need from /etc; everything else in it stays out of sight. */
static const char *const shared_settings[] = {
	"alternatives", "ca-certificates", "crypto-policies", "ethertypes", "group",         "iproute2",
	"ld.so.cache",  "ld.so.conf",      "ld.so.conf.d",    "localtime",  "nsswitch.conf", "passwd",
	"pki",          "protocols",       "services",        "ssl",        "static",        "xtables",
	"nix"
};

static int mount_checked(const char *source, const char *target, const char *type, unsigned long flags, const char *data, struct error *err)
{
	if (mount(source, target, type, flags, data) < 0)
		return error_set_errno(err, errno, "mount on %s", target);
	return 0;
}

/* Makes a mount and all below it read-only. Kernels before 5.12 know only the single mount. */
static int make_read_only(const char *target, struct error *err)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };
	if (syscall(SYS_mount_setattr, AT_FDCWD, target, AT_RECURSIVE, &attributes, sizeof(attributes)) == 0)
		return 0;
	if (mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return error_set_errno(err, errno, "make %s read-only", target);
	return 0;
}

/* Makes every folder of the path, and the last part as an empty file when wanted. What is there already is a good enough place to mount on,
 * and is not opened: a host's program in view may be running, and no one may write to it then. */
static int make_target(char *path, bool file, struct error *err)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int result = mkdir(path, 0755);
		int number = errno;
		if (result < 0 && number != EEXIST) {
			error_set_errno(err, number, "make %s", path);
			*slash = '/';
			return -1;
		}
		*slash = '/';
	}
	if (!file)
		return mkdir(path, 0755) < 0 && errno != EEXIST ? error_set_errno(err, errno, "make %s", path) : 0;
	if (access(path, F_OK) == 0)
		return 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_set_errno(err, errno, "make %s", path);
	close(fd);
	return 0;
}

static int bind_path(const char *root, const struct node_bind *bind, struct error *err)
{
	char target[ROOT_PATH_MAX];
	struct stat st;
	if (stat(bind->from, &st) < 0)
		return error_set_errno(err, errno, "bind %s", bind->from);
	if ((size_t)snprintf(target, sizeof(target), "%s%s", root, bind->to) >= sizeof(target))
		return error_set(err, ERROR_INVALID, "path %s is too long", bind->to);
	if (make_target(target, !S_ISDIR(st.st_mode), err) < 0 || mount_checked(bind->from, target, NULL, MS_BIND | MS_REC, NULL, err) < 0)
		return -1;
	return bind->read_only ? make_read_only(target, err) : 0;
}

static bool is_own_folder(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(own_folders); i++)
		if (string_equal(own_folders[i], name))
			return true;
	return string_equal(name, ".") || string_equal(name, "..");
}

static int share_entry(const char *root, const char *name, struct error *err)
{
	char from[ROOT_PATH_MAX], link[ROOT_PATH_MAX], target[ROOT_PATH_MAX];
	struct stat st;
	snprintf(from, sizeof(from), "/%s", name);
	if (lstat(from, &st) < 0)
		return 0; /* gone meanwhile */
	if (S_ISLNK(st.st_mode)) {
		ssize_t length = readlink(from, link, sizeof(link) - 1);
		if (length < 0)
			return error_set_errno(err, errno, "read link %s", from);
		link[length] = '\0';
		snprintf(target, sizeof(target), "%s/%s", root, name);
		return symlink(link, target) < 0 ? error_set_errno(err, errno, "make link %s", target) : 0;
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	return bind_path(root, &(struct node_bind){ .from = from, .to = from, .read_only = true }, err);
}

static int share_host(const char *root, struct error *err)
{
	DIR *directory = opendir("/");
	if (!directory)
		return error_set_errno(err, errno, "read /");
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = readdir(directory));)
		if (!is_own_folder(entry->d_name))
			result = share_entry(root, entry->d_name, err);
	closedir(directory);
	return result;
}

/*
 * The host's folder of libraries is read-only and stays so. Where it has no `modules`, a view of it with an empty one is laid over.
 */
static int add_modules_folder(const char *root, struct error *err)
{
	char target[ROOT_PATH_MAX], extra[ROOT_PATH_MAX], options[3 * ROOT_PATH_MAX];
	FREE_CLEANUP char *libraries = realpath("/lib", NULL);
	if (!libraries || access("/lib/modules", F_OK) == 0)
		return 0;
	snprintf(target, sizeof(target), "%s%s", root, libraries);
	snprintf(extra, sizeof(extra), "%s/mnt/extra/modules", root);
	if (make_target(extra, false, err) < 0)
		return -1;
	*strrchr(extra, '/') = '\0';
	snprintf(options, sizeof(options), "lowerdir=%s:%s", extra, libraries);
	return mount_checked("overlay", target, "overlay", MS_RDONLY, options, err);
}

static int write_in(const char *root, const char *path, const char *text, struct error *err)
{
	char target[ROOT_PATH_MAX];
	snprintf(target, sizeof(target), "%s%s", root, path);
	return file_write_atomic(target, text, strlen(text), 0644, err);
}

static int make_settings(const char *root, const struct node_config *config, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LENGTH(shared_settings); i++) {
		char path[ROOT_PATH_MAX];
		snprintf(path, sizeof(path), "/etc/%s", shared_settings[i]);
		if (access(path, F_OK) == 0 && bind_path(root, &(struct node_bind){ .from = path, .to = path, .read_only = true }, err) < 0)
			return -1;
	}
	FREE_CLEANUP char *hostname = string_printf("%s\n", config->hostname);
	if (write_in(root, "/etc/hostname", hostname, err) < 0 || write_in(root, "/etc/hosts", config->hosts, err) < 0)
		return -1;
	return write_in(root, "/etc/resolv.conf", config->resolv_conf, err);
}

static int make_kernel_mounts(const char *root, struct error *err)
{
	static const struct {
		const char *target, *type, *source, *data;
		unsigned long flags;
	} mounts[] = {
		{ "/run", "tmpfs", "run", "mode=755", MS_NOSUID | MS_NODEV },
		{ "/tmp", "tmpfs", "tmp", "mode=1777", MS_NOSUID | MS_NODEV },
		{ "/proc", "proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "/sys", NULL, "/sys", NULL, MS_BIND | MS_REC },
		{ "/dev", NULL, "/dev", NULL, MS_BIND | MS_REC },
		{ "/dev/shm", "tmpfs", "shm", "mode=1777", MS_NOSUID | MS_NODEV },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(mounts); i++) {
		char target[ROOT_PATH_MAX];
		snprintf(target, sizeof(target), "%s%s", root, mounts[i].target);
		if (mount_checked(mounts[i].source, target, mounts[i].type, mounts[i].flags, mounts[i].data, err) < 0)
			return -1;
	}
	return 0;
}

static int switch_root(const char *root, struct error *err)
{
	FREE_CLEANUP char *old = string_printf("%s/mnt", root);
	if (syscall(SYS_pivot_root, root, old) < 0)
		return error_set_errno(err, errno, "pivot_root to %s", root);
	if (chdir("/") < 0 || umount2("/mnt", MNT_DETACH) < 0)
		return error_set_errno(err, errno, "leave the host's root");
	/* Shared among the mounts of this node only (the host's were cut off before): pods ask for propagation from the node. */
	return mount_checked(NULL, "/", NULL, MS_REC | MS_SHARED, NULL, err);
}

int node_root_enter(const struct node_config *config, struct error *err)
{
	/* Covers a folder that every host has and no node sees, so that no bind of the host's folders contains the new root itself. */
	static const char root[] = "/run";
	if (mount_checked(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL, err) < 0 ||
	    mount_checked("node", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m", err) < 0 || share_host(root, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(own_folders); i++) {
		char path[ROOT_PATH_MAX];
		snprintf(path, sizeof(path), "%s/%s", root, own_folders[i]);
		if (mkdir(path, 0755) < 0)
			return error_set_errno(err, errno, "make %s", path);
	}
	if (make_kernel_mounts(root, err) < 0 || make_settings(root, config, err) < 0)
		return -1;
	if (config->modules_folder && add_modules_folder(root, err) < 0)
		return -1;
	for (size_t i = 0; i < config->bind_count; i++)
		if (bind_path(root, &config->binds[i], err) < 0)
			return -1;
	if (switch_root(root, err) < 0)
		return -1;
	return mkdir("/run/kamaji", 0700) < 0 ? error_set_errno(err, errno, "make /run/kamaji") : 0;
}
