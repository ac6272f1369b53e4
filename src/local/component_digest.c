/* SPDX-License-Identifier: Apache-2.0 */
#include "local/component_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/strings.h"
#include "io/file.h"

enum { READ_SIZE = 256 * 1024, LINE_MAX_BYTES = 4096 };

_Static_assert((int)COMPONENT_SHA256_SIZE == (int)DIGEST_HEX_SIZE, "a SHA-256 in hexadecimal");

void component_digest_bytes(const void *bytes, size_t length, char text[COMPONENT_SHA256_SIZE])
{
	digest_hex(DIGEST_SHA256, bytes, length, text);
}

int component_digest_file(const char *path, char text[COMPONENT_SHA256_SIZE], uint64_t *size, struct error *err)
{
	DIGEST_CLEANUP struct digest *digest = digest_new(DIGEST_SHA256);
	FREE_CLEANUP unsigned char *bytes = malloc(READ_SIZE);
	DESCRIPTOR_CLEANUP int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t total = 0;

	if (bytes == NULL)
		abort();
	if (descriptor < 0)
		return error_set_errno(err, errno, "read %s", path);
	for (;;) {
		ssize_t got = read(descriptor, bytes, READ_SIZE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "read %s", path);
		if (got == 0)
			break;
		digest_add(digest, bytes, (size_t)got);
		total += (uint64_t)got;
	}
	digest_finish_hex(digest, text);
	if (size != NULL)
		*size = total;
	return 0;
}

static bool is_hexadecimal(char character)
{
	return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f') || (character >= 'A' && character <= 'F');
}

static size_t digits_at(const char *text, size_t length)
{
	size_t count = 0;

	while (count < length && is_hexadecimal(text[count]))
		count++;
	return count;
}

bool component_digest_is_text(const char *text)
{
	size_t length = strlen(text);

	return length == COMPONENT_SHA256_SIZE - 1 && digits_at(text, length) == length;
}

static void copy_lower(char target[COMPONENT_SHA256_SIZE], const char *digits)
{
	for (size_t i = 0; i < COMPONENT_SHA256_SIZE - 1; i++)
		target[i] = (char)(digits[i] >= 'A' && digits[i] <= 'F' ? digits[i] - 'A' + 'a' : digits[i]);
	target[COMPONENT_SHA256_SIZE - 1] = '\0';
}

/* "DIGEST  NAME" or "DIGEST *NAME": true when the line has this shape, with the last part of the name. */
static bool split_line(const char *line, size_t length, const char **name, size_t *name_length)
{
	const size_t digits = COMPONENT_SHA256_SIZE - 1;
	size_t at = digits;

	if (length < digits + 3 || digits_at(line, length) != digits || (line[at] != ' ' && line[at] != '\t'))
		return false;
	while (at < length && (line[at] == ' ' || line[at] == '\t'))
		at++;
	if (at < length && line[at] == '*')
		at++;
	for (size_t i = length; i > at; i--) {
		if (line[i - 1] == '/') {
			at = i;
			break;
		}
	}
	*name = line + at;
	*name_length = length - at;
	return *name_length > 0;
}

static size_t trimmed_length(const char *text, size_t length)
{
	while (length > 0 && (text[length - 1] == '\r' || text[length - 1] == ' ' || text[length - 1] == '\t' || text[length - 1] == '\n'))
		length--;
	return length;
}

int component_digest_find(const char *text, size_t length, const char *name, char sha256[COMPONENT_SHA256_SIZE], struct error *err)
{
	char found[COMPONENT_SHA256_SIZE] = "";
	size_t whole = trimmed_length(text, length);

	if (whole == COMPONENT_SHA256_SIZE - 1 && digits_at(text, whole) == whole) {
		copy_lower(sha256, text);
		return 0;
	}
	for (size_t start = 0; start < length;) {
		const char *end = memchr(text + start, '\n', length - start);
		size_t line_length = trimmed_length(text + start, (end != NULL ? (size_t)(end - text) : length) - start);
		const char *listed;
		size_t listed_length;
		char digest[COMPONENT_SHA256_SIZE];

		if (line_length <= LINE_MAX_BYTES && split_line(text + start, line_length, &listed, &listed_length) &&
		    listed_length == strlen(name) && memcmp(listed, name, listed_length) == 0) {
			copy_lower(digest, text + start);
			if (found[0] != '\0' && strcmp(found, digest) != 0)
				return error_set(err, ERROR_CORRUPT, "the checksum file lists %s twice with different digests", name);
			memcpy(found, digest, sizeof(found));
		}
		if (end == NULL)
			break;
		start = (size_t)(end - text) + 1;
	}
	if (found[0] == '\0')
		return error_set(err, ERROR_NOT_FOUND, "the checksum file does not list %s", name);
	memcpy(sha256, found, sizeof(found));
	return 0;
}
