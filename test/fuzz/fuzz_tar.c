/* SPDX-License-Identifier: Apache-2.0 */
/* The tar reader, in two sizes of pieces: both must see the same, and never a path that leaves the archive. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "local/component_digest.h"
#include "local/component_tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct digest *digest;
	uint64_t announced, got;
};

static bool begin(void *context, const char *path, uint64_t size)
{
	struct seen *seen = context;

	if (path[0] == '/' || strncmp(path, "../", 3) == 0 || strstr(path, "/../") != NULL || size > TAR_MEMBER_BYTES_MAX)
		abort();
	digest_add(seen->digest, path, strlen(path) + 1);
	seen->announced = size;
	seen->got = 0;
	return true;
}

static int data_of_member(void *context, const void *bytes, size_t length, struct error *err)
{
	struct seen *seen = context;

	seen->got += length;
	digest_add(seen->digest, bytes, length);
	return 0;
}

static int end(void *context, struct error *err)
{
	struct seen *seen = context;

	if (seen->got != seen->announced)
		abort();
	return 0;
}

static int read_all(const uint8_t *data, size_t size, size_t piece, char sha256[COMPONENT_SHA256_SIZE])
{
	static const struct tar_callbacks callbacks = { begin, data_of_member, end };
	DIGEST_CLEANUP struct digest *digest = digest_new(DIGEST_SHA256);
	struct seen seen = { .digest = digest };
	struct tar_reader *reader = tar_reader_new(&callbacks, &seen);
	struct error err = { 0 };
	int result = 0;

	for (size_t at = 0; result == 0 && at < size; at += piece)
		result = tar_reader_feed(reader, data + at, size - at < piece ? size - at : piece, &err);
	if (result == 0)
		result = tar_reader_finish(reader, &err);
	tar_reader_free(reader);
	digest_finish_hex(digest, sha256);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char one[COMPONENT_SHA256_SIZE], two[COMPONENT_SHA256_SIZE];
	int whole = read_all(data, size, size > 0 ? size : 1, one);
	int pieces = read_all(data, size, 37, two);

	if (whole != pieces || (whole == 0 && strcmp(one, two) != 0))
		abort();
	return 0;
}
