/* SPDX-License-Identifier: Apache-2.0 */
/* What is read back from a log after its end was torn, shortened, left over or damaged. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "store/log_file.h"
#include "store/log_record.h"
#include "store/log_segment.h"

enum { SEGMENT = 64 * 1024, BIG_VALUE = 70 * 1024 * 1024 };

static char directory[64];

static int make_directory(void **state)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/kamaji-log-XXXXXX");
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
	struct error err;

	return file_remove_tree(directory, &err);
}

/* What the log's thread has told. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t sequence;
} durable = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void became_durable(void *argument, struct log_batch *batch)
{
	pthread_mutex_lock(&durable.mutex);
	durable.sequence = batch->last_sequence;
	pthread_cond_signal(&durable.changed);
	pthread_mutex_unlock(&durable.mutex);
	log_batch_free(batch);
}

static void failed(void *argument, const struct error *err)
{
	(void)fprintf(stderr, "%s\n", err->message);
	abort();
}

static struct log_file *start(uint64_t next_sequence)
{
	struct log_options options = { .directory = directory,
		                       .segment_bytes = SEGMENT,
		                       .durable = became_durable,
		                       .failed = failed,
		                       .next_sequence = next_sequence };
	struct log_file *log;
	struct error err;

	durable.sequence = 0;
	log = log_file_start(&options, &err);
	assert_non_null(log);
	return log;
}

/* One record is one batch: it is waited for. */
static void append(struct log_file *log, int64_t revision, struct bytes value)
{
	struct commit_operation operation = { .id = (uint64_t)revision, .key = BYTES("key"), .value = value, .version = 1 };
	struct commit commit = { .kind = COMMIT_OPERATIONS, .space = 1, .revision = revision, .operations = &operation, .count = 1 };
	uint64_t sequence = log_file_append(log, &commit);

	pthread_mutex_lock(&durable.mutex);
	while (durable.sequence < sequence)
		pthread_cond_wait(&durable.changed, &durable.mutex);
	pthread_mutex_unlock(&durable.mutex);
}

struct seen {
	unsigned count;
	int64_t revision;
	size_t value_length;
};

static int visit(void *argument, const struct commit *commit, uint64_t sequence, struct error *err)
{
	struct seen *seen = argument;

	assert_true(commit->revision > seen->revision);
	seen->count++;
	seen->revision = commit->revision;
	seen->value_length = commit->operations[0].value.length;
	return 0;
}

static struct log_scan scan(struct seen *seen)
{
	struct log_scan scan = { .visit = visit, .argument = seen };
	struct error err;

	*seen = (struct seen){ 0 };
	assert_int_equal(log_scan(directory, &scan, &err), 0);
	return scan;
}

static void write_file(const char *bytes, size_t length)
{
	char *path FREE_CLEANUP = segment_path(directory, 1);
	struct error err;

	assert_int_equal(file_write_atomic(path, bytes, length, 0600, &err), 0);
}

static void read_segment(struct buffer *bytes)
{
	char *path FREE_CLEANUP = segment_path(directory, 1);
	struct error err;

	assert_int_equal(file_read(path, SEGMENT * 2, bytes, &err), 0);
}

static size_t end_of_records(const struct buffer *bytes)
{
	size_t place = SEGMENT_MAGIC_BYTES;
	uint32_t length;

	for (;;) {
		memcpy(&length, bytes->data + place, sizeof(length));
		if (length == 0)
			return place;
		place += LOG_FRAME_HEADER + length;
	}
}

/* Three records, each durable before the next; returns where the last one begins. */
static size_t write_three(struct buffer *bytes)
{
	struct log_file *log = start(1);
	struct buffer before BUFFER_CLEANUP = { 0 };
	char value[3000];

	memset(value, 'v', sizeof(value));
	append(log, 2, (struct bytes){ value, sizeof(value) });
	append(log, 3, (struct bytes){ value, sizeof(value) });
	read_segment(&before);
	append(log, 4, (struct bytes){ value, sizeof(value) });
	log_file_stop(log);
	read_segment(bytes);
	return end_of_records(&before);
}

static void a_record_of_any_size_is_read_back(void **state)
{
	struct log_file *log = start(1);
	char *value FREE_CLEANUP = calloc(1, BIG_VALUE);
	struct seen seen;

	append(log, 2, (struct bytes){ value, BIG_VALUE });
	append(log, 3, BYTES("small"));
	log_file_stop(log);
	assert_false(scan(&seen).lost);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.revision, 3);
}

/* The last batch's write stopped anywhere: the rest is zeros, or the file ends there, or only a later part reached the disk. */
static void a_torn_batch_is_cut_off(void **state)
{
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	size_t last = write_three(&bytes), end = end_of_records(&bytes);
	char *copy FREE_CLEANUP = malloc(bytes.length);
	struct seen seen;

	for (size_t cut = last; cut < end; cut += cut < last + 40 || cut > end - 40 ? 1 : 97) {
		memcpy(copy, bytes.data, bytes.length);
		memset(copy + cut, 0, bytes.length - cut);
		write_file(copy, bytes.length);
		assert_int_equal(scan(&seen).last_sequence, 2);
		assert_int_equal(seen.count, 2);
		write_file(copy, cut);
		assert_false(scan(&seen).lost);
		assert_int_equal(seen.count, 2);
		memcpy(copy, bytes.data, end);
		memset(copy + end, 0, bytes.length - end);
		memset(copy + last, 0, cut - last);
		if (cut == last)
			continue;
		write_file(copy, bytes.length);
		assert_false(scan(&seen).lost);
		assert_int_equal(seen.count, 2);
	}
}

/* The same bytes with the mark that follows a sync: they had been acknowledged. */
static void a_damaged_end_is_a_loss(void **state)
{
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	size_t last = write_three(&bytes), end = end_of_records(&bytes);
	struct log_scan found;
	struct seen seen;

	assert_int_equal(log_mark_decode(1, bytes.data + end), 3);
	assert_int_equal(log_mark_decode(2, bytes.data + end), 0);
	for (size_t place = last; place < end; place += place < last + 40 ? 1 : 61) {
		bytes.data[place] ^= 0x20;
		write_file(bytes.data, bytes.length);
		found = scan(&seen);
		assert_true(found.lost);
		assert_int_equal(found.last_sequence, 3);
		assert_int_equal(seen.count, 2);
		assert_string_equal(found.detail, "records 3 to 3 are missing");
		bytes.data[place] ^= 0x20;
	}
	bytes.data[SEGMENT_MAGIC_BYTES + LOG_FRAME_HEADER + 100] ^= 1;
	write_file(bytes.data, bytes.length);
	found = scan(&seen);
	assert_true(found.lost);
	assert_int_equal(seen.count, 2); /* the second and third are good */
	assert_string_equal(found.detail, "records 1 to 1 are missing");
}

static void put_frame(char *at, uint64_t sequence, uint64_t batch, int64_t revision)
{
	struct commit_operation operation = { .id = (uint64_t)revision, .key = BYTES("key"), .value = BYTES("old"), .version = 1 };
	struct commit commit = { .kind = COMMIT_OPERATIONS, .space = 1, .revision = revision, .operations = &operation, .count = 1 };
	struct buffer payload BUFFER_CLEANUP = { 0 };
	uint32_t head[2];

	log_record_encode(&commit, (struct log_place){ sequence, batch }, &payload);
	head[0] = (uint32_t)payload.length;
	head[1] = log_checksum(1, (struct bytes){ payload.data, payload.length });
	memcpy(at, head, sizeof(head));
	memcpy(at + sizeof(head), payload.data, payload.length);
}

/* A batch of two records of which only the second reached the disk; the next process writes one record of its own into a segment of that name. */
static void what_an_unfinished_batch_left_is_not_believed(void **state)
{
	char bytes[SEGMENT] = { 0 };
	struct log_file *log;
	struct seen seen;

	memcpy(bytes, segment_magic, SEGMENT_MAGIC_BYTES);
	put_frame(bytes + 4096, 2, 1, 3);
	write_file(bytes, sizeof(bytes));
	assert_false(scan(&seen).lost);
	assert_int_equal(seen.count, 0);
	log = start(1);
	append(log, 2, BYTES("new"));
	log_file_stop(log);
	assert_int_equal(scan(&seen).last_sequence, 1);
	assert_int_equal(seen.count, 1);
	/* Nor when it stands behind a good record. */
	put_frame(bytes + SEGMENT_MAGIC_BYTES, 1, 1, 2);
	write_file(bytes, sizeof(bytes));
	assert_int_equal(scan(&seen).last_sequence, 1);
	assert_int_equal(seen.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_record_of_any_size_is_read_back, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(a_torn_batch_is_cut_off, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(a_damaged_end_is_a_loss, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(what_an_unfinished_batch_left_is_not_believed, make_directory, remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
