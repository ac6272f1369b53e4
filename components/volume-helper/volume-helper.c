/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and removes the folder of one local volume. The local-path provisioner runs it in a pod on the volume's node, as `setup` or
 * `teardown` (setupCommand and teardownCommand of its config.json), with VOL_DIR the folder and VOL_MODE the kind of volume.
 * Removal follows no symbolic link and leaves mounted file systems alone: the folder holds what tenants wrote.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 512 };

static int fail(const char *what, const char *path)
{
	fprintf(stderr, "volume-helper: %s %s: %s\n", what, path, strerror(errno));
	return -1;
}

static int make_folders(const char *path)
{
	char partial[PATH_MAX];
	size_t length = strlen(path);

	if (length >= sizeof(partial)) {
		errno = ENAMETOOLONG;
		return fail("make", path);
	}
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(partial, path, i);
		partial[i] = '\0';
		if (mkdir(partial, 0755) != 0 && errno != EEXIST)
			return fail("make", partial);
	}
	/* Pods run as any user: the volume itself is open, its parent is not. */
	if (chmod(path, 0777) != 0)
		return fail("open up", path);
	return 0;
}

static int remove_below(int parent, const char *name, dev_t device, unsigned depth)
{
	struct stat info;
	DIR *folder;
	struct dirent *entry;
	int descriptor, result = 0;

	if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : fail("look at", name);
	if (!S_ISDIR(info.st_mode))
		return unlinkat(parent, name, 0) != 0 && errno != ENOENT ? fail("remove", name) : 0;
	if (info.st_dev != device || depth >= DEPTH_MAX) {
		errno = info.st_dev != device ? EBUSY : ELOOP;
		return fail("remove", name);
	}
	descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (descriptor < 0)
		return fail("open", name);
	folder = fdopendir(descriptor);
	if (folder == NULL) {
		(void)close(descriptor);
		return fail("open", name);
	}
	while ((entry = readdir(folder)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (remove_below(dirfd(folder), entry->d_name, device, depth + 1) != 0)
			result = -1;
	}
	(void)closedir(folder);
	if (result == 0 && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		return fail("remove", name);
	return result;
}

static int remove_folder(const char *path)
{
	struct stat info;

	if (lstat(path, &info) != 0)
		return errno == ENOENT ? 0 : fail("look at", path);
	return remove_below(AT_FDCWD, path, info.st_dev, 0);
}

int main(int argc, char **argv)
{
	const char *directory = getenv("VOL_DIR");
	const char *mode = getenv("VOL_MODE");
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;

	name = name != NULL ? name + 1 : argc > 0 ? argv[0] : "";
	if (directory == NULL || directory[0] != '/' || strcmp(directory, "/") == 0 || strstr(directory, "/../") != NULL) {
		fprintf(stderr, "volume-helper: VOL_DIR must be an absolute path below /\n");
		return 2;
	}
	if (mode != NULL && strcmp(mode, "Filesystem") != 0) {
		fprintf(stderr, "volume-helper: VOL_MODE %s is not served: only Filesystem volumes are made here\n", mode);
		return 2;
	}
	if (strcmp(name, "setup") == 0)
		return make_folders(directory) == 0 ? 0 : 1;
	if (strcmp(name, "teardown") == 0)
		return remove_folder(directory) == 0 ? 0 : 1;
	fprintf(stderr, "volume-helper: run as setup or teardown, not as %s\n", name);
	return 2;
}
