/* SPDX-License-Identifier: Apache-2.0 */
/* gzip file -> tar reader -> the named files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/strings.h"
#include "io/file.h"
#include "local/component_tar.h"

enum { PIECE = 256 * 1024 };

struct unpacking {
	struct tar_extraction *members;
	size_t count;
	struct tar_extraction *current;
	int descriptor;
};

static bool begin(void *context, const char *path, uint64_t size)
{
	struct unpacking *unpacking = context;

	for (size_t i = 0; i < unpacking->count; i++) {
		/* The first of a name: an archive that holds it twice has no say in which one is meant. */
		if (!unpacking->members[i].found && strcmp(unpacking->members[i].member, path) == 0) {
			unpacking->current = &unpacking->members[i];
			return true;
		}
	}
	return false;
}

static int open_destination(struct unpacking *unpacking, struct error *err)
{
	const char *path = unpacking->current->destination;

	if (unlink(path) != 0 && errno != ENOENT)
		return error_set_errno(err, errno, "replace %s", path);
	unpacking->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0755);
	if (unpacking->descriptor < 0)
		return error_set_errno(err, errno, "write %s", path);
	return 0;
}

static int take(void *context, const void *bytes, size_t length, struct error *err)
{
	struct unpacking *unpacking = context;

	if (unpacking->descriptor < 0 && open_destination(unpacking, err) != 0)
		return -1;
	if (file_write_all(unpacking->descriptor, bytes, length, err) != 0)
		return error_wrap(err, "write %s", unpacking->current->destination);
	return 0;
}

static int end(void *context, struct error *err)
{
	struct unpacking *unpacking = context;
	int closed;

	if (unpacking->descriptor < 0 && open_destination(unpacking, err) != 0) /* an empty member */
		return -1;
	closed = close(unpacking->descriptor);
	unpacking->descriptor = -1;
	if (closed != 0)
		return error_set_errno(err, errno, "write %s", unpacking->current->destination);
	unpacking->current->found = true;
	return 0;
}

/* Feeds what one piece of input inflates to. *ended: the input stands at the end of a gzip member. */
static int inflate_piece(z_stream *stream, struct tar_reader *reader, unsigned char *out, bool *ended, struct error *err)
{
	do {
		int code;

		if (*ended && inflateReset(stream) != Z_OK) /* several members after each other are one stream */
			return error_set(err, ERROR_BUG, "gzip: reset");
		stream->next_out = out;
		stream->avail_out = PIECE;
		code = inflate(stream, Z_NO_FLUSH);
		*ended = code == Z_STREAM_END;
		if (code == Z_BUF_ERROR) /* the last piece of output filled the room exactly: wants more input */
			return 0;
		if (code != Z_OK && code != Z_STREAM_END)
			return error_set(err, ERROR_CORRUPT, "gzip: %s", stream->msg != NULL ? stream->msg : "damaged data");
		if (tar_reader_feed(reader, out, PIECE - stream->avail_out, err) != 0)
			return -1;
	} while (stream->avail_in > 0 || (stream->avail_out == 0 && !*ended));
	return 0;
}

static int unpack(int descriptor, struct tar_reader *reader, z_stream *stream, struct error *err)
{
	FREE_CLEANUP unsigned char *in = malloc(PIECE);
	FREE_CLEANUP unsigned char *out = malloc(PIECE);
	bool ended = false;

	if (in == NULL || out == NULL)
		abort();
	for (;;) {
		ssize_t got = read(descriptor, in, PIECE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "read");
		if (got == 0)
			break;
		stream->next_in = in;
		stream->avail_in = (unsigned)got;
		if (inflate_piece(stream, reader, out, &ended, err) != 0)
			return -1;
	}
	if (!ended)
		return error_set(err, ERROR_CORRUPT, "gzip: the archive is cut off");
	return tar_reader_finish(reader, err);
}

static int check_found(const struct tar_extraction *members, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!members[i].found)
			return error_set(err, ERROR_NOT_FOUND, "it holds no %s", members[i].member);
	}
	return 0;
}

int tar_gz_extract(const char *archive, struct tar_extraction *members, size_t count, struct error *err)
{
	static const struct tar_callbacks callbacks = { begin, take, end };
	struct unpacking unpacking = { .members = members, .count = count, .descriptor = -1 };
	DESCRIPTOR_CLEANUP int descriptor = open(archive, O_RDONLY | O_CLOEXEC);
	struct tar_reader *reader;
	z_stream stream = { 0 };
	int result;

	if (descriptor < 0)
		return error_set_errno(err, errno, "open %s", archive);
	for (size_t i = 0; i < count; i++)
		members[i].found = false;
	if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
		return error_set(err, ERROR_SYSTEM, "zlib does not start");
	reader = tar_reader_new(&callbacks, &unpacking);
	result = unpack(descriptor, reader, &stream, err);
	if (result == 0)
		result = check_found(members, count, err);
	tar_reader_free(reader);
	(void)inflateEnd(&stream);
	if (unpacking.descriptor >= 0)
		(void)close(unpacking.descriptor);
	if (result != 0) {
		for (size_t i = 0; i < count; i++)
			(void)unlink(members[i].destination);
		return error_wrap(err, "%s", archive);
	}
	return 0;
}
