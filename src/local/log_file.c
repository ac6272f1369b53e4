/* SPDX-License-Identifier: Apache-2.0 */
#include "local/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"

enum { TAIL_BYTES_MAX = 64 * 1024 };

static int open_append(const char *path, uint64_t *ret_size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	if (fd >= 0)
		*ret_size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return fd;
}

int log_file_open(struct log_file *log, const char *path, uint64_t limit, struct error *err)
{
	*log = (struct log_file){ .fd = -1, .limit = limit };
	if ((size_t)snprintf(log->path, sizeof(log->path), "%s", path) >= sizeof(log->path))
		return error_set(err, ERROR_INVALID, "log path %s is too long", path);
	log->fd = open_append(path, &log->size);
	return log->fd < 0 ? error_set_errno(err, errno, "open %s", path) : 0;
}

static void rotate(struct log_file *log)
{
	char old[sizeof(log->path) + 2];
	snprintf(old, sizeof(old), "%s.1", log->path);
	if (rename(log->path, old) < 0)
		return;
	int fd = open_append(log->path, &log->size);
	if (fd < 0)
		return; /* goes on in the renamed file */
	close(log->fd);
	log->fd = fd;
}

void log_file_write(struct log_file *log, const void *bytes, size_t length)
{
	const char *at = bytes;
	if (log->fd < 0)
		return;
	while (length > 0) {
		ssize_t written = write(log->fd, at, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return;
		at += written;
		length -= (size_t)written;
		log->size += (uint64_t)written;
	}
	if (log->size >= log->limit)
		rotate(log);
}

void log_file_close(struct log_file *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}

char *log_file_tail(const char *path, unsigned lines)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return string_dup("");
	struct stat st;
	off_t start = fstat(fd, &st) == 0 && st.st_size > TAIL_BYTES_MAX ? st.st_size - TAIL_BYTES_MAX : 0;
	char *text = malloc(TAIL_BYTES_MAX + 1);
	ssize_t count = text ? pread(fd, text, TAIL_BYTES_MAX, start) : -1;
	close(fd);
	if (count <= 0) {
		free(text);
		return string_dup("");
	}
	text[count] = '\0';
	char *from = text + count;
	if (from[-1] == '\n')
		from--;
	for (unsigned seen = 0; from > text; from--)
		if (from[-1] == '\n' && ++seen == lines)
			break;
	memmove(text, from, strlen(from) + 1);
	return text;
}
