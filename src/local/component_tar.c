/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader is a small machine: HEADER collects 512 bytes and decides; DATA hands bytes over or passes them by; EXTENSION collects a
 * long name or pax record; PADDING skips to the next block; END after two zero blocks.
 */
#include "local/component_tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

enum { BLOCK = 512, EXTENSION_MAX = 64 * 1024, FIELD_NAME = 100, FIELD_PREFIX = 155 };

enum phase { PHASE_HEADER, PHASE_DATA, PHASE_EXTENSION, PHASE_PADDING, PHASE_END, PHASE_FAILED };

struct tar_reader {
	struct tar_callbacks callbacks;
	void *context;
	enum phase phase;
	unsigned char block[BLOCK];
	size_t block_length;
	uint64_t remaining; /* bytes of the current member still to come */
	unsigned padding;   /* bytes to skip after it */
	uint64_t total;     /* bytes fed */
	unsigned headers;
	bool zero_seen; /* one zero block was read */
	bool wanted;
	char extension_type; /* 'L', 'K', 'x' or 'g' while in EXTENSION */
	char *extension;
	size_t extension_length;
	char next_path[TAR_PATH_MAX]; /* from a long name or pax record, for the next header; "" when none */
	bool next_size_set;
	uint64_t next_size;
};

struct tar_reader *tar_reader_new(const struct tar_callbacks *callbacks, void *context)
{
	struct tar_reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		abort();
	reader->callbacks = *callbacks;
	reader->context = context;
	return reader;
}

void tar_reader_free(struct tar_reader *reader)
{
	if (reader == NULL)
		return;
	free(reader->extension);
	free(reader);
}

/* Octal text, or GNU's base-256 for large values. */
static int parse_number(const unsigned char *field, size_t length, uint64_t *value, struct error *err)
{
	uint64_t result = 0;
	size_t i = 0;

	if (field[0] & 0x80) {
		if (field[0] != 0x80)
			return error_set(err, ERROR_CORRUPT, "tar header: negative or too large number");
		for (i = 1; i < length; i++) {
			if (result >> 55 != 0)
				return error_set(err, ERROR_CORRUPT, "tar header: number too large");
			result = result << 8 | field[i];
		}
		*value = result;
		return 0;
	}
	while (i < length && field[i] == ' ')
		i++;
	for (; i < length && field[i] >= '0' && field[i] <= '7'; i++) {
		if (result >> 60 != 0)
			return error_set(err, ERROR_CORRUPT, "tar header: number too large");
		result = result << 3 | (uint64_t)(field[i] - '0');
	}
	for (; i < length; i++) {
		if (field[i] != ' ' && field[i] != '\0')
			return error_set(err, ERROR_CORRUPT, "tar header: a number holds other characters");
	}
	*value = result;
	return 0;
}

static int check_sum(const unsigned char *block, struct error *err)
{
	uint64_t said, sum = 0;

	if (parse_number(block + 148, 8, &said, err) != 0)
		return -1;
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? (unsigned)' ' : block[i];
	if (said != sum)
		return error_set(err, ERROR_CORRUPT, "tar header: checksum does not match");
	return 0;
}

/* Refuses what leaves the archive and returns the path without leading "./", also where slashes follow: ".//etc" is not "/etc". */
static int normalise_path(char *path, const char **result, struct error *err)
{
	const char *at = path;
	const char *part;

	if (path[0] == '/')
		return error_set(err, ERROR_CORRUPT, "the archive names a member outside itself: %.200s", path);
	for (part = path; part != NULL; part = strchr(part, '/')) {
		part += *part == '/';
		if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
			return error_set(err, ERROR_CORRUPT, "the archive names a member outside itself: %.200s", path);
	}
	while (at[0] == '.' && at[1] == '/')
		at += 1 + strspn(at + 1, "/");
	*result = at;
	return 0;
}

static int read_path(struct tar_reader *reader, char path[TAR_PATH_MAX], struct error *err)
{
	const char *name = (const char *)reader->block;
	const char *prefix = (const char *)reader->block + 345;
	bool posix = memcmp(reader->block + 257, "ustar", 6) == 0; /* with NUL: GNU's own format keeps other things in prefix */
	int written;

	if (reader->next_path[0] != '\0') {
		memcpy(path, reader->next_path, TAR_PATH_MAX);
		reader->next_path[0] = '\0';
		return 0;
	}
	if (posix && prefix[0] != '\0')
		written = snprintf(path, TAR_PATH_MAX, "%.*s/%.*s", FIELD_PREFIX, prefix, FIELD_NAME, name);
	else
		written = snprintf(path, TAR_PATH_MAX, "%.*s", FIELD_NAME, name);
	if (written <= 0)
		return error_set(err, ERROR_CORRUPT, "tar header: a member without a name");
	return 0;
}

static int begin_extension(struct tar_reader *reader, char type, uint64_t size, struct error *err)
{
	if (size > EXTENSION_MAX)
		return error_set(err, ERROR_EXHAUSTED, "tar: a long name or extended header of more than %d bytes", EXTENSION_MAX);
	reader->extension_type = type;
	reader->extension_length = 0;
	reader->remaining = size;
	free(reader->extension);
	reader->extension = malloc((size_t)size + 1);
	if (reader->extension == NULL)
		abort();
	reader->phase = PHASE_EXTENSION;
	return 0;
}

static int begin_member(struct tar_reader *reader, char type, uint64_t size, struct error *err)
{
	char path[TAR_PATH_MAX];
	const char *normal = NULL;

	if (reader->next_size_set)
		size = reader->next_size;
	reader->next_size_set = false;
	if (size > TAR_MEMBER_BYTES_MAX)
		return error_set(err, ERROR_EXHAUSTED, "tar: a member of more than 2 GiB");
	if (read_path(reader, path, err) != 0 || normalise_path(path, &normal, err) != 0)
		return -1;
	/* Links and devices carry no bytes whatever their size field says; folders neither. */
	if (type >= '1' && type <= '6')
		size = 0;
	reader->wanted = (type == '0' || type == '\0' || type == '7') && reader->callbacks.begin(reader->context, normal, size);
	reader->remaining = size;
	reader->padding = (unsigned)((BLOCK - size % BLOCK) % BLOCK);
	reader->phase = size > 0 ? PHASE_DATA : PHASE_HEADER;
	if (size == 0 && reader->wanted)
		return reader->callbacks.end(reader->context, err);
	return 0;
}

static int take_header(struct tar_reader *reader, struct error *err)
{
	static const unsigned char zero[BLOCK];
	uint64_t size;
	char type = (char)reader->block[156];

	reader->block_length = 0;
	if (memcmp(reader->block, zero, BLOCK) == 0) {
		reader->phase = reader->zero_seen ? PHASE_END : PHASE_HEADER;
		reader->zero_seen = true;
		return 0;
	}
	if (reader->zero_seen)
		return error_set(err, ERROR_CORRUPT, "tar: a header after the end mark");
	if (++reader->headers > TAR_MEMBERS_MAX)
		return error_set(err, ERROR_EXHAUSTED, "tar: more than %d members", TAR_MEMBERS_MAX);
	if (check_sum(reader->block, err) != 0 || parse_number(reader->block + 124, 12, &size, err) != 0)
		return -1;
	reader->padding = (unsigned)((BLOCK - size % BLOCK) % BLOCK);
	if (type == 'L' || type == 'K' || type == 'x' || type == 'g')
		return begin_extension(reader, type, size, err);
	return begin_member(reader, type, size, err);
}

static int keep_path(struct tar_reader *reader, const char *text, size_t length, struct error *err)
{
	if (length == 0 || length >= TAR_PATH_MAX || memchr(text, '\0', length) != NULL)
		return error_set(err, ERROR_CORRUPT, "tar: a name that is empty, too long or holds a NUL");
	memcpy(reader->next_path, text, length);
	reader->next_path[length] = '\0';
	return 0;
}

/* One "LENGTH KEY=VALUE\n"; *consumed gets LENGTH. */
static int take_pax_record(struct tar_reader *reader, const char *text, size_t available, size_t *consumed, struct error *err)
{
	size_t length = 0, digits = 0;
	const char *key, *equal, *end;

	while (digits < available && text[digits] >= '0' && text[digits] <= '9' && length <= EXTENSION_MAX)
		length = length * 10 + (size_t)(text[digits++] - '0');
	if (digits == 0 || length > available || length < digits + 4 || text[digits] != ' ' || text[length - 1] != '\n')
		return error_set(err, ERROR_CORRUPT, "tar: a damaged extended header");
	key = text + digits + 1;
	end = text + length - 1;
	equal = memchr(key, '=', (size_t)(end - key));
	if (equal == NULL)
		return error_set(err, ERROR_CORRUPT, "tar: an extended header without a value");
	*consumed = length;
	if (equal - key == 4 && memcmp(key, "path", 4) == 0)
		return keep_path(reader, equal + 1, (size_t)(end - equal - 1), err);
	if (equal - key == 4 && memcmp(key, "size", 4) == 0) {
		FREE_CLEANUP char *number = string_ndup(equal + 1, (size_t)(end - equal - 1));
		int64_t value;

		if (string_to_integer(number, 0, (int64_t)TAR_MEMBER_BYTES_MAX, "tar: extended size", &value, err) != 0)
			return -1;
		reader->next_size = (uint64_t)value;
		reader->next_size_set = true;
	}
	return 0;
}

static int take_extension(struct tar_reader *reader, struct error *err)
{
	size_t length = reader->extension_length;
	const char *text = reader->extension;

	if (reader->extension_type == 'L') {
		while (length > 0 && text[length - 1] == '\0')
			length--;
		return keep_path(reader, text, length, err);
	}
	if (reader->extension_type != 'x')
		return 0; /* K names the target of a link, g holds defaults that no reader of ours uses */
	for (size_t at = 0; at < length;) {
		size_t consumed = 0;

		if (take_pax_record(reader, text + at, length - at, &consumed, err) != 0)
			return -1;
		at += consumed;
	}
	return 0;
}

static int end_bytes(struct tar_reader *reader, struct error *err)
{
	enum phase phase = reader->phase;

	reader->phase = reader->padding > 0 ? PHASE_PADDING : PHASE_HEADER;
	if (phase == PHASE_EXTENSION)
		return take_extension(reader, err);
	return reader->wanted ? reader->callbacks.end(reader->context, err) : 0;
}

static size_t smaller(size_t a, uint64_t b)
{
	return b < a ? (size_t)b : a;
}

/* Uses up at least one byte, or changes the phase. */
static int step(struct tar_reader *reader, const unsigned char *bytes, size_t length, size_t *used, struct error *err)
{
	size_t part;

	switch (reader->phase) {
	case PHASE_HEADER:
		part = smaller(length, BLOCK - reader->block_length);
		memcpy(reader->block + reader->block_length, bytes, part);
		reader->block_length += part;
		*used = part;
		return reader->block_length == BLOCK ? take_header(reader, err) : 0;
	case PHASE_EXTENSION:
		part = smaller(length, reader->remaining);
		memcpy(reader->extension + reader->extension_length, bytes, part);
		reader->extension_length += part;
		reader->remaining -= part;
		*used = part;
		return reader->remaining == 0 ? end_bytes(reader, err) : 0;
	case PHASE_DATA:
		part = smaller(length, reader->remaining);
		*used = part;
		reader->remaining -= part;
		if (reader->wanted && reader->callbacks.data(reader->context, bytes, part, err) != 0)
			return -1;
		return reader->remaining == 0 ? end_bytes(reader, err) : 0;
	case PHASE_PADDING:
		part = smaller(length, reader->padding);
		reader->padding -= (unsigned)part;
		*used = part;
		if (reader->padding == 0)
			reader->phase = PHASE_HEADER;
		return 0;
	case PHASE_END:
		*used = length;
		return 0;
	case PHASE_FAILED:
		break;
	}
	return error_set(err, ERROR_CORRUPT, "tar: reading went on after an error");
}

int tar_reader_feed(struct tar_reader *reader, const void *bytes, size_t length, struct error *err)
{
	const unsigned char *at = bytes;

	reader->total += length;
	if (reader->total > TAR_ARCHIVE_BYTES_MAX)
		return error_set(err, ERROR_EXHAUSTED, "tar: more than 8 GiB");
	while (length > 0) {
		size_t used = 0;

		if (step(reader, at, length, &used, err) != 0) {
			reader->phase = PHASE_FAILED;
			return -1;
		}
		at += used;
		length -= used;
	}
	return 0;
}

int tar_reader_finish(struct tar_reader *reader, struct error *err)
{
	/* Some writers leave the end mark out; a stream that stops between members is whole. */
	if (reader->phase == PHASE_END || (reader->phase == PHASE_HEADER && reader->block_length == 0 && reader->headers > 0))
		return 0;
	return error_set(err, ERROR_CORRUPT, "tar: the archive is cut off");
}
