/* SPDX-License-Identifier: Apache-2.0 */
#include "local/image_tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"

enum { NAME_SIZE = 100, PREFIX_SIZE = 155 };

static const unsigned char zeros[2 * IMAGE_TAR_BLOCK];

int tar_writer_bytes(struct tar_writer *writer, const void *bytes, size_t length, struct error *err)
{
	if (writer->digest != NULL)
		digest_add(writer->digest, bytes, length);
	writer->written += length;
	return file_write_all(writer->descriptor, bytes, length, err);
}

/* ustar keeps a path in two parts, cut at a slash. */
static int set_path(char *block, const char *path, struct error *err)
{
	size_t length = strlen(path);
	const char *cut;

	if (length > 0 && length <= NAME_SIZE) {
		memcpy(block, path, length);
		return 0;
	}
	for (cut = strchr(path, '/'); cut != NULL; cut = strchr(cut + 1, '/')) {
		size_t prefix = (size_t)(cut - path), rest = length - prefix - 1;

		if (prefix > 0 && prefix <= PREFIX_SIZE && rest > 0 && rest <= NAME_SIZE) {
			memcpy(block + 345, path, prefix);
			memcpy(block, cut + 1, rest);
			return 0;
		}
	}
	return error_set(err, ERROR_INVALID, "the path %s does not fit a tar header", path);
}

/* `digits` octal digits, then NUL. */
static int set_number(char *field, int digits, uint64_t value, struct error *err)
{
	for (int i = digits - 1; i >= 0; i--) {
		field[i] = (char)('0' + (value & 7));
		value >>= 3;
	}
	return value == 0 ? 0 : error_set(err, ERROR_EXHAUSTED, "a number is too large for a tar header");
}

static int make_header(const struct tar_writer *writer, char block[IMAGE_TAR_BLOCK], const char *path, char type, mode_t mode,
                       uint64_t size, const char *link, struct error *err)
{
	unsigned sum = 0;

	memset(block, 0, IMAGE_TAR_BLOCK);
	if (set_path(block, path, err) != 0 || set_number(block + 100, 7, mode & 07777, err) != 0 ||
	    set_number(block + 108, 7, 0, err) != 0 || set_number(block + 116, 7, 0, err) != 0 ||
	    set_number(block + 124, 11, size, err) != 0 || set_number(block + 136, 11, (uint64_t)writer->time, err) != 0)
		return -1;
	block[156] = type;
	if (link != NULL && (link[0] == '\0' || strlen(link) > NAME_SIZE))
		return error_set(err, ERROR_INVALID, "the link %s does not fit a tar header", path);
	if (link != NULL)
		memcpy(block + 157, link, strlen(link));
	memcpy(block + 257, "ustar\00000", 8);
	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < IMAGE_TAR_BLOCK; i++)
		sum += (unsigned char)block[i];
	(void)set_number(block + 148, 6, sum, err);
	block[154] = '\0';
	return 0;
}

int tar_writer_header(struct tar_writer *writer, const char *path, char type, mode_t mode, uint64_t size, const char *link,
                      struct error *err)
{
	char block[IMAGE_TAR_BLOCK];

	if (make_header(writer, block, path, type, mode, size, link, err) != 0)
		return -1;
	return tar_writer_bytes(writer, block, sizeof(block), err);
}

int tar_writer_pad(struct tar_writer *writer, uint64_t size, struct error *err)
{
	size_t rest = (size_t)(size % IMAGE_TAR_BLOCK);

	return rest == 0 ? 0 : tar_writer_bytes(writer, zeros, IMAGE_TAR_BLOCK - rest, err);
}

int tar_writer_end(struct tar_writer *writer, struct error *err)
{
	return tar_writer_bytes(writer, zeros, sizeof(zeros), err);
}

int tar_writer_member(struct tar_writer *writer, const char *path, const void *bytes, size_t length, struct error *err)
{
	if (tar_writer_header(writer, path, '0', 0644, length, NULL, err) != 0 || tar_writer_bytes(writer, bytes, length, err) != 0)
		return -1;
	return tar_writer_pad(writer, length, err);
}

int64_t tar_writer_reserve(struct tar_writer *writer, struct error *err)
{
	off_t position = lseek(writer->descriptor, 0, SEEK_CUR);

	if (position < 0)
		return error_set_errno(err, errno, "seek");
	return tar_writer_bytes(writer, zeros, IMAGE_TAR_BLOCK, err) == 0 ? (int64_t)position : -1;
}

int tar_writer_fill(struct tar_writer *writer, int64_t position, const char *path, uint64_t size, struct error *err)
{
	char block[IMAGE_TAR_BLOCK];

	if (make_header(writer, block, path, '0', 0644, size, NULL, err) != 0)
		return -1;
	if (pwrite(writer->descriptor, block, sizeof(block), (off_t)position) != (ssize_t)sizeof(block))
		return error_set_errno(err, errno, "write a tar header");
	return 0;
}
