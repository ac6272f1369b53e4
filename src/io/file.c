/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/random.h"
#include "base/strings.h"

int file_read(const char *path, size_t limit, struct buffer *out, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = open(path, O_RDONLY | O_CLOEXEC);
	size_t start = out->length;

	if (descriptor < 0)
		return error_set_errno(err, errno, "open %s", path);
	for (;;) {
		char *place = buffer_reserve(out, 4096);
		ssize_t got;

		if (place == NULL)
			return error_set(err, ERROR_EXHAUSTED, "%s is too large", path);
		got = read(descriptor, place, 4096);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "read %s", path);
		out->length += (size_t)got;
		out->data[out->length] = '\0';
		if (got == 0)
			return 0;
		if (out->length - start > limit)
			return error_set(err, ERROR_EXHAUSTED, "%s is over the limit of %zu bytes", path, limit);
	}
}

int file_write_all(int descriptor, const void *bytes, size_t length, struct error *err)
{
	const char *place = bytes;

	while (length > 0) {
		ssize_t written = write(descriptor, place, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return error_set_errno(err, errno, "write");
		place += written;
		length -= (size_t)written;
	}
	return 0;
}

static int sync_parent(const char *path, struct error *err)
{
	char *parent FREE_CLEANUP = string_dup(path);
	char *slash = strrchr(parent, '/');
	int descriptor DESCRIPTOR_CLEANUP = -1;

	if (slash != NULL)
		slash[slash == parent ? 1 : 0] = '\0';
	descriptor = open(slash != NULL ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (descriptor < 0 || fsync(descriptor) < 0)
		return error_set_errno(err, errno, "sync the folder of %s", path);
	return 0;
}

int file_write_atomic(const char *path, const void *bytes, size_t length, mode_t mode, struct error *err)
{
	char *temporary FREE_CLEANUP = string_printf("%s.tmp-%d-%08x", path, (int)getpid(), (unsigned)random_below(UINT32_MAX));
	int descriptor DESCRIPTOR_CLEANUP = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (descriptor < 0)
		return error_set_errno(err, errno, "create %s", temporary);
	if (file_write_all(descriptor, bytes, length, err) < 0) {
		error_wrap(err, "%s", path);
		goto failed;
	}
	if (fchmod(descriptor, mode) < 0 || fsync(descriptor) < 0 || rename(temporary, path) < 0) {
		error_set_errno(err, errno, "write %s", path);
		goto failed;
	}
	return sync_parent(path, err);
failed:
	(void)unlink(temporary);
	return -1;
}

int file_write_once(const char *path, const char *text, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = open(path, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(text);
	ssize_t written;

	if (descriptor < 0)
		return error_set_errno(err, errno, "open %s", path);
	written = write(descriptor, text, length);
	if (written < 0 || (size_t)written != length)
		return error_set_errno(err, written < 0 ? errno : EIO, "write to %s", path);
	return 0;
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int file_make_directories(const char *path, mode_t mode, struct error *err)
{
	char *copy FREE_CLEANUP = string_dup(path);

	for (char *place = copy + 1;; place++) {
		char before = *place;

		if (before != '/' && before != '\0')
			continue;
		*place = '\0';
		if (mkdir(copy, mode) < 0) {
			struct stat status;

			if (errno != EEXIST)
				return error_set_errno(err, errno, "make folder %s", copy);
			if (stat(copy, &status) == 0 && !S_ISDIR(status.st_mode))
				return error_set(err, ERROR_INVALID, "%s is there and is no folder", copy);
		}
		if (before == '\0')
			return 0;
		*place = '/';
	}
}

static int remove_at(int parent, const char *name, const char *shown, dev_t device, struct error *err);

static int remove_entries(int descriptor, const char *shown, dev_t device, struct error *err)
{
	DIR *directory = fdopendir(descriptor);
	struct dirent *entry;
	int result = 0;

	if (directory == NULL) {
		(void)close(descriptor);
		return error_set_errno(err, errno, "read folder %s", shown);
	}
	while (result == 0 && (entry = readdir(directory)) != NULL) {
		char *inner FREE_CLEANUP = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		inner = string_printf("%s/%s", shown, entry->d_name);
		result = remove_at(dirfd(directory), entry->d_name, inner, device, err);
	}
	(void)closedir(directory);
	return result;
}

static int remove_at(int parent, const char *name, const char *shown, dev_t device, struct error *err)
{
	struct stat status;
	int descriptor;

	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "stat %s", shown);
	if (!S_ISDIR(status.st_mode)) {
		if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
			return error_set_errno(err, errno, "remove %s", shown);
		return 0;
	}
	if (status.st_dev != device)
		return error_set(err, ERROR_INVALID, "%s is a mount point: unmount it first", shown);
	descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (descriptor < 0)
		return error_set_errno(err, errno, "open folder %s", shown);
	if (remove_entries(descriptor, shown, device, err) < 0)
		return -1;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove folder %s", shown);
	return 0;
}

int file_remove_tree(const char *path, struct error *err)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "stat %s", path);
	return remove_at(AT_FDCWD, path, path, status.st_dev, err);
}

int file_lock(const char *path, bool wait, struct error *err)
{
	int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (descriptor < 0)
		return error_set_errno(err, errno, "open lock file %s", path);
	while (flock(descriptor, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
		int number = errno;

		if (number == EINTR)
			continue;
		(void)close(descriptor);
		if (number == EWOULDBLOCK)
			return error_set(err, ERROR_EXISTS, "%s is held by another process", path);
		return error_set_errno(err, number, "lock %s", path);
	}
	return descriptor;
}
