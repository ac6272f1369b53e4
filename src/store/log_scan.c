/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/strings.h"
#include "io/file.h"
#include "store/log_file.h"
#include "store/log_record.h"
#include "store/log_segment.h"

enum { RECORD_MINIMUM = 8, RECORD_LIKELY_MAXIMUM = 4 * 1024 * 1024 };

struct mapped {
	char *bytes;
	size_t length;
};

static void mapped_cleanup(struct mapped *mapped)
{
	if (mapped->bytes != NULL)
		(void)munmap(mapped->bytes, mapped->length);
}

static int map_segment(const char *path, struct mapped *mapped, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *bytes;

	if (descriptor < 0 || fstat(descriptor, &status) < 0)
		return error_set_errno(err, errno, "open log segment %s", path);
	if (status.st_size < SEGMENT_MAGIC_BYTES)
		return 0; /* never finished */
	bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
	if (bytes == MAP_FAILED)
		return error_set_errno(err, errno, "map log segment %s", path);
	mapped->bytes = bytes;
	mapped->length = (size_t)status.st_size;
	return 0;
}

/* The payload at `offset`, or length 0 when no good frame is there. */
static struct bytes frame_at(const struct mapped *mapped, size_t offset, uint64_t segment)
{
	struct bytes nothing = { NULL, 0 }, payload;
	uint32_t head[2];

	if (mapped->length - offset < LOG_FRAME_HEADER)
		return nothing;
	memcpy(head, mapped->bytes + offset, sizeof(head));
	if (head[0] == 0 || head[0] > mapped->length - offset - LOG_FRAME_HEADER)
		return nothing;
	payload = (struct bytes){ mapped->bytes + offset + LOG_FRAME_HEADER, head[0] };
	return log_checksum(segment, payload) == head[1] ? payload : nothing;
}

/*
 * A recycled segment is full of old frames, and a checksum over what may be megabytes at every place that could be a length would take minutes:
 * first the bytes must begin a record of this segment.
 */
static bool of_segment(const struct mapped *mapped, uint64_t sequence, uint64_t segment)
{
	return sequence >= segment && sequence - segment < mapped->length / RECORD_MINIMUM;
}

static bool begins_record(const struct mapped *mapped, size_t offset, uint64_t segment)
{
	return of_segment(mapped, log_record_peek((struct bytes){ mapped->bytes + offset, mapped->length - offset }), segment);
}

static bool decodes(struct bytes payload, struct log_place *found)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct commit commit;
	struct error ignored;

	return log_record_decode(payload, arena, &commit, found, &ignored) == 0;
}

/*
 * The next good frame after `offset`, 0 when there is none. Only places whose length and checksum could be right are tried.
 */
static size_t next_good_frame(const struct mapped *mapped, size_t offset, uint64_t segment, struct log_place *found)
{
	for (size_t place = offset + 1; place + LOG_FRAME_HEADER < mapped->length; place++) {
		struct bytes payload;
		uint32_t head[2];

		memcpy(head, mapped->bytes + place, sizeof(head));
		if (head[0] == 0 && head[1] == 0) {
			place += sizeof(head[0]); /* zeros, as a fresh segment has to its end */
			continue;
		}
		if (head[0] < RECORD_MINIMUM || head[0] > RECORD_LIKELY_MAXIMUM || head[1] == 0 ||
		    !begins_record(mapped, place + LOG_FRAME_HEADER, segment))
			continue;
		payload = frame_at(mapped, place, segment);
		if (payload.length != 0 && decodes(payload, found))
			return place;
	}
	return 0;
}

static void missing(struct log_scan *scan, uint64_t first, uint64_t last)
{
	scan->lost = true;
	(void)snprintf(scan->detail, sizeof(scan->detail), "records %" PRIu64 " to %" PRIu64 " are missing", first, last);
}

/* A mark beyond the last record that could be read: what lies between had been durable. */
static uint64_t find_mark(const struct mapped *mapped, size_t offset, uint64_t segment, uint64_t last_sequence)
{
	for (; offset + LOG_MARK_BYTES <= mapped->length; offset++) {
		uint64_t head, sequence;

		memcpy(&head, mapped->bytes + offset, sizeof(head));
		memcpy(&sequence, mapped->bytes + offset + LOG_FRAME_HEADER, sizeof(sequence));
		if (head == 0 && sequence == 0)
			offset += sizeof(head) - 1; /* zeros, as a fresh segment has to its end */
		else if (sequence > last_sequence && of_segment(mapped, sequence, segment) &&
		         log_mark_decode(segment, mapped->bytes + offset) != 0)
			return sequence;
	}
	return 0;
}

/*
 * Reading stopped at a frame that is not good: at the end of what was written, in a batch that was never finished (a disk may have finished later
 * parts of it first), or at damage. Returns where reading goes on, 0 when this segment is done. A record of a later batch proves that
 * everything before its batch had been durable, and so does a mark; nothing else after the place is believed.
 */
static size_t resume_after(const struct mapped *mapped, size_t offset, uint64_t segment, struct log_scan *scan)
{
	struct log_place found;
	size_t place = next_good_frame(mapped, offset, segment, &found);
	uint64_t marked;

	if (place != 0 && found.batch > scan->last_sequence + 1)
		return place;
	marked = find_mark(mapped, offset, segment, scan->last_sequence);
	if (marked != 0) {
		missing(scan, scan->last_sequence + 1, marked);
		scan->last_sequence = marked;
	}
	return 0;
}

/* `next`: where the segment after this one begins, 0 for the last. */
static int scan_segment(struct log_scan *scan, const char *path, uint64_t segment, uint64_t next, struct error *err)
{
	struct mapped mapped __attribute__((cleanup(mapped_cleanup))) = { 0 };
	size_t offset = SEGMENT_MAGIC_BYTES;

	if (map_segment(path, &mapped, err) < 0)
		return -1;
	if (mapped.bytes == NULL || memcmp(mapped.bytes, segment_magic, SEGMENT_MAGIC_BYTES) != 0) {
		scan->lost = next != 0;
		if (scan->lost)
			(void)snprintf(scan->detail, sizeof(scan->detail), "segment %016" PRIx64 " is not readable", segment);
		return 0;
	}
	for (;;) {
		struct arena *arena ARENA_CLEANUP = NULL;
		struct bytes payload = frame_at(&mapped, offset, segment);
		struct commit commit;
		struct log_place place;

		if (payload.length == 0) {
			/* When the next segment goes on where this one stops nothing can be missing. */
			if (next != 0 && next <= scan->last_sequence + 1)
				return 0;
			offset = resume_after(&mapped, offset, segment, scan);
			if (offset == 0)
				return 0;
			continue;
		}
		arena = arena_new();
		if (log_record_decode(payload, arena, &commit, &place, err) < 0)
			return error_wrap(err, "log segment %016" PRIx64 " at %zu", segment, offset);
		if (place.sequence > scan->last_sequence + 1)
			missing(scan, scan->last_sequence + 1, place.sequence - 1);
		if (place.sequence > scan->last_sequence) {
			if (scan->visit(scan->argument, &commit, place.sequence, err) < 0)
				return -1;
			scan->last_sequence = place.sequence;
		}
		offset += LOG_FRAME_HEADER + payload.length;
	}
}

int log_scan(const char *directory, struct log_scan *scan, struct error *err)
{
	struct segment_list list = { 0 };
	int result = segment_list_read(&list, directory, err);

	scan->last_sequence = scan->after;
	for (size_t i = 0; result == 0 && i < list.count; i++) {
		char *path FREE_CLEANUP = segment_path(directory, list.first[i]);
		uint64_t next = i + 1 < list.count ? list.first[i + 1] : 0;

		if (next != 0 && next <= scan->after + 1)
			continue; /* home has all of it */
		/* A segment that begins beyond what was read so far: what lay between is gone. */
		if (list.first[i] > scan->last_sequence + 1) {
			missing(scan, scan->last_sequence + 1, list.first[i] - 1);
			scan->last_sequence = list.first[i] - 1;
		}
		result = scan_segment(scan, path, list.first[i], next, err);
	}
	segment_list_free(&list);
	return result;
}
