/* SPDX-License-Identifier: Apache-2.0 */
#include "store/log_segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"

const char segment_magic[SEGMENT_MAGIC_BYTES] = { 'K', 'J', 'L', 'O', 'G', '0', '0', '1' };

void segment_list_add(struct segment_list *list, uint64_t first_sequence)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? list->capacity * 2 : 8;
		list->first = reallocarray(list->first, list->capacity, sizeof(*list->first));
		if (list->first == NULL)
			abort();
	}
	list->first[list->count++] = first_sequence;
}

void segment_list_free(struct segment_list *list)
{
	free(list->first);
	*list = (struct segment_list){ 0 };
}

char *segment_path(const char *directory, uint64_t first_sequence)
{
	return string_printf("%s/%016" PRIx64 ".log", directory, first_sequence);
}

static char *spare_path(const char *directory, size_t number)
{
	return string_printf("%s/spare-%zu", directory, number);
}

static int compare_sequences(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* "%016x.log" */
static bool segment_name(const char *name, uint64_t *sequence)
{
	*sequence = 0;
	if (strlen(name) != 20 || strcmp(name + 16, ".log") != 0)
		return false;
	for (int i = 0; i < 16; i++) {
		const char *digits = "0123456789abcdef", *digit = strchr(digits, name[i]);

		if (digit == NULL)
			return false;
		*sequence = *sequence << 4 | (uint64_t)(digit - digits);
	}
	return true;
}

int segment_list_read(struct segment_list *list, const char *directory, struct error *err)
{
	DIR *folder = opendir(directory);
	struct dirent *entry;

	if (folder == NULL)
		return error_set_errno(err, errno, "read log folder %s", directory);
	while ((entry = readdir(folder)) != NULL) {
		uint64_t sequence;

		if (segment_name(entry->d_name, &sequence))
			segment_list_add(list, sequence);
	}
	(void)closedir(folder);
	if (list->count > 1)
		qsort(list->first, list->count, sizeof(*list->first), compare_sequences);
	for (list->spares = 0; list->spares < SEGMENT_SPARE_MAXIMUM; list->spares++) {
		char *path FREE_CLEANUP = spare_path(directory, list->spares);

		if (!file_exists(path))
			break;
	}
	return 0;
}

void segment_list_trim(struct segment_list *list, const char *directory, uint64_t current, uint64_t sequence)
{
	size_t done = 0;

	while (done < list->count) {
		uint64_t next = done + 1 < list->count ? list->first[done + 1] : current;
		char *path FREE_CLEANUP = NULL;

		if (next == 0 || next - 1 > sequence)
			break;
		path = segment_path(directory, list->first[done]);
		if (list->spares < SEGMENT_SPARE_MAXIMUM) {
			char *spare FREE_CLEANUP = spare_path(directory, list->spares);

			if (rename(path, spare) == 0)
				list->spares++;
		} else {
			(void)unlink(path);
		}
		done++;
	}
	list->count -= done;
	if (list->count > 0)
		memmove(list->first, list->first + done, list->count * sizeof(*list->first));
}

static int sync_directory(const char *directory, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (descriptor < 0 || fsync(descriptor) < 0)
		return error_set_errno(err, errno, "sync folder %s", directory);
	return 0;
}

static int prepare(int descriptor, const char *path, size_t bytes, struct error *err)
{
	char head[SEGMENT_MAGIC_BYTES + 8] = { 0 };
	int code = posix_fallocate(descriptor, 0, (off_t)bytes);

	if (code != 0)
		return error_set_errno(err, code, "allocate %zu bytes for log segment %s", bytes, path);
	memcpy(head, segment_magic, SEGMENT_MAGIC_BYTES);
	if (pwrite(descriptor, head, sizeof(head), 0) != (ssize_t)sizeof(head) || fsync(descriptor) < 0)
		return error_set_errno(err, errno, "write log segment %s", path);
	return 0;
}

int segment_open(const char *directory, uint64_t first_sequence, size_t bytes, struct segment_list *list, struct error *err)
{
	char *path FREE_CLEANUP = segment_path(directory, first_sequence);
	int descriptor, flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;

	/*
	 * A crash right after a start leaves a segment of this name without good records. It is emptied first: the rest of a batch that was never finished
	 * has checksums that fit the name, and must not come to stand behind new records.
	 */
	if (file_exists(path)) {
		flags |= O_TRUNC;
	} else if (list->spares > 0) {
		char *spare FREE_CLEANUP = spare_path(directory, list->spares - 1);

		if (rename(spare, path) == 0)
			list->spares--;
	}
	for (size_t i = 0; i < list->count; i++)
		if (list->first[i] == first_sequence)
			memmove(&list->first[i], &list->first[i + 1], (--list->count - i) * sizeof(*list->first));
	descriptor = open(path, flags, 0600);
	if (descriptor < 0)
		return error_set_errno(err, errno, "open log segment %s", path);
	if (prepare(descriptor, path, bytes, err) < 0 || sync_directory(directory, err) < 0) {
		(void)close(descriptor);
		return -1;
	}
	return descriptor;
}
