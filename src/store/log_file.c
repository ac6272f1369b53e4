/* SPDX-License-Identifier: Apache-2.0 */
#include "store/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"
#include "io/thread.h"
#include "store/log_record.h"
#include "store/log_segment.h"
#include "store/store_metrics.h"

struct log_file {
	struct log_options options;
	char *directory;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards all below but the segment in use */
	pthread_cond_t work;
	struct log_batch *pending;
	uint64_t next_sequence;
	uint64_t trim_to;
	bool stopping;

	/* Of the log's thread: */
	int descriptor;
	uint64_t segment; /* its first sequence */
	size_t offset;
	struct buffer frames;
	struct segment_list old; /* written and closed */
};

void log_batch_free(struct log_batch *batch)
{
	if (batch == NULL)
		return;
	buffer_free(&batch->payloads);
	free(batch);
}

static struct log_batch *batch_new(uint64_t first_sequence)
{
	struct log_batch *batch = calloc(1, sizeof(*batch));

	if (batch == NULL)
		abort();
	batch->first_sequence = first_sequence;
	return batch;
}

uint64_t log_file_append(struct log_file *log, const struct commit *commit)
{
	struct log_batch *batch;
	uint32_t length = 0;
	size_t start;

	THREAD_LOCKED(&log->mutex);
	if (log->pending == NULL) {
		log->pending = batch_new(log->next_sequence);
		pthread_cond_signal(&log->work);
	}
	batch = log->pending;
	start = batch->payloads.length;
	(void)buffer_append(&batch->payloads, &length, sizeof(length));
	log_record_encode(commit, (struct log_place){ log->next_sequence, batch->first_sequence }, &batch->payloads);
	/* Nobody has been told of it yet: better the process ends than that it acknowledges what cannot be read back. */
	if (batch->payloads.length - start - sizeof(length) > UINT32_MAX)
		abort();
	length = (uint32_t)(batch->payloads.length - start - sizeof(length));
	memcpy(batch->payloads.data + start, &length, sizeof(length));
	batch->last_sequence = log->next_sequence;
	if (commit->count > 0 && commit->kind == COMMIT_OPERATIONS)
		batch->last_id = commit->operations[commit->count - 1].id;
	return log->next_sequence++;
}

static int write_at(struct log_file *log, const char *bytes, size_t length, struct error *err)
{
	while (length > 0) {
		ssize_t written = pwrite(log->descriptor, bytes, length, (off_t)log->offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return error_set_errno(err, errno, "write log segment %016" PRIx64, log->segment);
		bytes += written;
		length -= (size_t)written;
		log->offset += (size_t)written;
	}
	return 0;
}

static int begin_segment(struct log_file *log, uint64_t first_sequence, struct error *err)
{
	int descriptor = segment_open(log->directory, first_sequence, log->options.segment_bytes, &log->old, err);

	if (descriptor < 0)
		return -1;
	if (log->descriptor >= 0) {
		segment_list_add(&log->old, log->segment);
		(void)close(log->descriptor);
	}
	log->descriptor = descriptor;
	log->segment = first_sequence;
	log->offset = SEGMENT_MAGIC_BYTES;
	return 0;
}

/*
 * Frames get their checksums here, where the segment is known. A zero length after the last one ends the scan even where a recycled segment holds
 * old bytes.
 */
static void make_frames(struct log_file *log, const struct log_batch *batch)
{
	static const char end[LOG_MARK_BYTES];

	buffer_clear(&log->frames);
	for (size_t place = 0; place < batch->payloads.length;) {
		uint32_t head[2];
		struct bytes payload;

		memcpy(head, batch->payloads.data + place, sizeof(head[0]));
		payload = (struct bytes){ batch->payloads.data + place + sizeof(head[0]), head[0] };
		head[1] = log_checksum(log->segment, payload);
		(void)buffer_append(&log->frames, head, sizeof(head));
		(void)buffer_append(&log->frames, payload.data, payload.length);
		place += sizeof(head[0]) + payload.length;
	}
	(void)buffer_append(&log->frames, end, sizeof(end));
}

/* Before anybody is told: from now on these records are missed when they cannot be read. */
static int write_mark(struct log_file *log, uint64_t sequence, struct error *err)
{
	char mark[LOG_MARK_BYTES];

	log_mark_encode(log->segment, sequence, mark);
	if (write_at(log, mark, sizeof(mark), err) < 0)
		return -1;
	log->offset -= sizeof(mark);
	return 0;
}

static int write_batch(struct log_file *log, const struct log_batch *batch, struct error *err)
{
	uint64_t started;

	if (log->offset > SEGMENT_MAGIC_BYTES && log->offset + batch->payloads.length * 2 > log->options.segment_bytes)
		if (begin_segment(log, batch->first_sequence, err) < 0)
			return -1;
	make_frames(log, batch);
	if (write_at(log, log->frames.data, log->frames.length, err) < 0)
		return -1;
	log->offset -= LOG_MARK_BYTES;
	started = clock_monotonic_ns();
	if (fdatasync(log->descriptor) < 0)
		return error_set_errno(err, errno, "sync log segment %016" PRIx64, log->segment);
	store_metrics_synced(clock_monotonic_ns() - started);
	return write_mark(log, batch->last_sequence, err);
}

static void *run_log(void *argument)
{
	struct log_file *log = argument;
	struct error err;

	pthread_mutex_lock(&log->mutex);
	for (;;) {
		struct log_batch *batch = log->pending;
		uint64_t trim_to = log->trim_to;

		if (batch == NULL && trim_to == 0) {
			if (log->stopping)
				break;
			pthread_cond_wait(&log->work, &log->mutex);
			continue;
		}
		log->pending = NULL;
		log->trim_to = 0;
		pthread_mutex_unlock(&log->mutex);
		if (batch != NULL) {
			if (write_batch(log, batch, &err) < 0)
				log->options.failed(log->options.argument, &err);
			log->options.durable(log->options.argument, batch);
		}
		if (trim_to != 0)
			segment_list_trim(&log->old, log->directory, log->segment, trim_to);
		pthread_mutex_lock(&log->mutex);
	}
	pthread_mutex_unlock(&log->mutex);
	return NULL;
}

struct log_file *log_file_start(const struct log_options *options, struct error *err)
{
	struct log_file *log = calloc(1, sizeof(*log));

	if (log == NULL)
		abort();
	log->options = *options;
	if (log->options.segment_bytes == 0)
		log->options.segment_bytes = LOG_SEGMENT_BYTES;
	log->directory = string_dup(options->directory);
	log->descriptor = -1;
	log->next_sequence = options->next_sequence;
	pthread_mutex_init(&log->mutex, NULL);
	pthread_cond_init(&log->work, NULL);
	if (segment_list_read(&log->old, log->directory, err) < 0 || begin_segment(log, options->next_sequence, err) < 0 ||
	    thread_start(&log->thread, "store-log", run_log, log, err) < 0) {
		descriptor_cleanup(&log->descriptor);
		segment_list_free(&log->old);
		free(log->directory);
		free(log);
		return NULL;
	}
	return log;
}

void log_file_stop(struct log_file *log)
{
	if (log == NULL)
		return;
	pthread_mutex_lock(&log->mutex);
	log->stopping = true;
	pthread_cond_signal(&log->work);
	pthread_mutex_unlock(&log->mutex);
	pthread_join(log->thread, NULL);
	descriptor_cleanup(&log->descriptor);
	buffer_free(&log->frames);
	segment_list_free(&log->old);
	pthread_cond_destroy(&log->work);
	pthread_mutex_destroy(&log->mutex);
	free(log->directory);
	free(log);
}

void log_file_trim(struct log_file *log, uint64_t sequence)
{
	THREAD_LOCKED(&log->mutex);
	log->trim_to = sequence;
	pthread_cond_signal(&log->work);
}
