/* SPDX-License-Identifier: Apache-2.0 */
#include "local/component_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "io/file.h"
#include "local/component_digest.h"
#include "local/component_tar.h"

enum { SUMS_MAX = 1024 * 1024, PIECE = 256 * 1024 };

struct component_folder {
	char *path;
	struct buffer sums; /* SHA256SUMS; empty when there is none */
};

struct component_folder *component_folder_open(const char *path, struct error *err)
{
	FREE_CLEANUP char *absolute = realpath(path, NULL);
	FREE_CLEANUP char *sums = NULL;
	struct component_folder *folder;
	struct stat info;

	if (absolute == NULL || stat(absolute, &info) != 0) {
		(void)error_set_errno(err, errno, "components folder %s", path);
		return NULL;
	}
	if (!S_ISDIR(info.st_mode)) {
		(void)error_set(err, ERROR_INVALID, "components folder %s: not a folder", path);
		return NULL;
	}
	folder = calloc(1, sizeof(*folder));
	if (folder == NULL)
		abort();
	folder->path = string_dup(absolute);
	sums = string_printf("%s/SHA256SUMS", absolute);
	if (file_read(sums, SUMS_MAX, &folder->sums, err) != 0) {
		if (err->class != ERROR_NOT_FOUND) {
			component_folder_close(folder);
			return NULL;
		}
		error_clear(err);
	}
	return folder;
}

void component_folder_close(struct component_folder *folder)
{
	if (folder == NULL)
		return;
	buffer_free(&folder->sums);
	free(folder->path);
	free(folder);
}

const char *component_folder_path(const struct component_folder *folder)
{
	return folder->path;
}

static bool is_file(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* The digest that the candidate must have: the folder's own list first, then the lock's when the file is that very download. */
static int know_digest(const struct component_folder *folder, const char *lock_digest, struct component_folder_match *match,
                       struct error *err)
{
	match->known = false;
	if (folder->sums.length > 0) {
		if (component_digest_find(folder->sums.data, folder->sums.length, last_part(match->path), match->sha256, err) == 0) {
			match->known = true;
			return 0;
		}
		if (err->class != ERROR_NOT_FOUND)
			return error_wrap(err, "%s/SHA256SUMS", folder->path);
		error_clear(err);
	}
	if (lock_digest != NULL && lock_digest[0] != '\0') {
		memcpy(match->sha256, lock_digest, sizeof(match->sha256));
		match->known = true;
	}
	return 0;
}

int component_folder_find(const struct component_folder *folder, const struct component *component, const struct component_file *file,
                          bool *found, struct component_folder_match *match, struct error *err)
{
	const struct component_download *download = file->download;
	bool whole = download != NULL && file->member == NULL; /* the download is the program itself */
	FREE_CLEANUP char *plain = string_printf("%s/%s", folder->path, file->name);
	FREE_CLEANUP char *nested = string_printf("%s/%s/%s", folder->path, component->name, file->name);
	FREE_CLEANUP char *official = download != NULL ? string_printf("%s/%s", folder->path, last_part(download->url)) : NULL;
	const char *chosen = is_file(plain) ? plain : is_file(nested) ? nested : official != NULL && is_file(official) ? official : NULL;

	*found = chosen != NULL;
	if (chosen == NULL)
		return 0;
	match->archive = chosen == official && !whole;
	if (snprintf(match->path, sizeof(match->path), "%s", chosen) >= (int)sizeof(match->path))
		return error_set(err, ERROR_INVALID, "components folder: path too long");
	return know_digest(folder, whole || match->archive ? download->sha256 : NULL, match, err);
}

static int copy_hashing(int from, int to, const char *source, char sha256[COMPONENT_SHA256_SIZE], struct error *err)
{
	DIGEST_CLEANUP struct digest *digest = digest_new(DIGEST_SHA256);
	FREE_CLEANUP unsigned char *bytes = malloc(PIECE);

	if (bytes == NULL)
		abort();
	for (;;) {
		ssize_t got = read(from, bytes, PIECE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "read %s", source);
		if (got == 0)
			break;
		digest_add(digest, bytes, (size_t)got);
		if (file_write_all(to, bytes, (size_t)got, err) != 0)
			return -1;
	}
	digest_finish_hex(digest, sha256);
	return 0;
}

static int refuse(const struct component_folder_match *match, const char *found, struct error *err)
{
	return error_set(err, ERROR_CORRUPT,
	                 "%s is refused: its SHA-256 is %s, not %s; replace the file, or list its digest in SHA256SUMS beside it if it is "
	                 "the one you mean",
	                 match->path, found, match->sha256);
}

int component_folder_take(const struct component_folder_match *match, const struct component_file *file, const char *target,
                          struct error *err)
{
	char sha256[COMPONENT_SHA256_SIZE];
	DESCRIPTOR_CLEANUP int from = -1;
	DESCRIPTOR_CLEANUP int to = -1;

	if (match->archive) {
		struct tar_extraction member = { .member = file->member, .destination = target };

		if (match->known && component_digest_file(match->path, sha256, NULL, err) != 0)
			return -1;
		if (match->known && strcmp(sha256, match->sha256) != 0)
			return refuse(match, sha256, err);
		return tar_gz_extract(match->path, &member, 1, err);
	}
	from = open(match->path, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return error_set_errno(err, errno, "read %s", match->path);
	to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0755);
	if (to < 0)
		return error_set_errno(err, errno, "write %s", target);
	if (copy_hashing(from, to, match->path, sha256, err) != 0) {
		(void)unlink(target);
		return -1;
	}
	if (match->known && strcmp(sha256, match->sha256) != 0) {
		(void)unlink(target);
		return refuse(match, sha256, err);
	}
	return 0;
}
