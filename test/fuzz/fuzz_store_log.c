/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment of the log as a disk may give it back. What is read is in order and bounded, whatever the bytes are; the first byte says whether the
 * checksums are made right, so that what lies behind them is reached.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/log_file.h"
#include "store/log_record.h"
#include "store/log_segment.h"

enum { SEGMENT = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/kamaji-fuzz-log-XXXXXX";
static char *path;

static void tidy(void)
{
	(void)unlink(path);
	(void)rmdir(folder);
	free(path);
}

static void start(void)
{
	if (mkdtemp(folder) == NULL)
		abort();
	path = segment_path(folder, SEGMENT);
	(void)atexit(tidy);
}

static int visit(void *argument, const struct commit *commit, uint64_t sequence, struct error *err)
{
	uint64_t *last = argument;
	struct buffer again BUFFER_CLEANUP = { 0 };

	if (sequence <= *last || commit->revision < 0)
		abort();
	*last = sequence;
	log_record_encode(commit, (struct log_place){ sequence, sequence }, &again);
	return 0;
}

static void repair(uint8_t *bytes, size_t size)
{
	size_t place = SEGMENT_MAGIC_BYTES;

	while (place + LOG_FRAME_HEADER < size) {
		uint32_t head[2];

		memcpy(head, bytes + place, sizeof(head));
		if (head[0] == 0 || head[0] > size - place - LOG_FRAME_HEADER)
			return;
		head[1] = log_checksum(SEGMENT, (struct bytes){ (const char *)bytes + place + LOG_FRAME_HEADER, head[0] });
		memcpy(bytes + place, head, sizeof(head));
		place += LOG_FRAME_HEADER + head[0];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t last = 0;
	struct log_scan scan = { .visit = visit, .argument = &last };
	uint8_t *bytes;
	struct error err = { 0 };
	int descriptor;

	if (path == NULL)
		start();
	if (size-- == 0)
		return 0;
	bytes = malloc(size + 1);
	descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (bytes == NULL || descriptor < 0)
		abort();
	memcpy(bytes, data + 1, size);
	if (size > SEGMENT_MAGIC_BYTES && data[0] % 2 == 0) {
		memcpy(bytes, segment_magic, SEGMENT_MAGIC_BYTES);
		repair(bytes, size);
	}
	if (write(descriptor, bytes, size) != (ssize_t)size)
		abort();
	(void)close(descriptor);
	if (log_scan(folder, &scan, &err) == 0 ? scan.last_sequence < last : err.message[0] == '\0')
		abort();
	free(bytes);
	return 0;
}
