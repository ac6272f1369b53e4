/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"
#include "store/log_record.h"
#include "store/log_segment.h"
#include "store/store.h"

static char directory[64];

static int make_directory(void **state)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/kamaji-store-XXXXXX");
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
	struct error err;

	return file_remove_tree(directory, &err);
}

static void disk_failed(void *argument, const struct error *err)
{
	(void)fprintf(stderr, "disk failed: %s\n", err->message);
	abort();
}

struct opened {
	struct loop *loop;
	struct store *store;
	struct store_report report;
};

static unsigned gather_ms;

static void open_store(struct opened *opened)
{
	struct store_options options = {
		.directory = directory, .segment_bytes = 256 * 1024, .cache_bytes = 64 * 1024, .failed = disk_failed, .gather_ms = gather_ms
	};
	struct error err;

	opened->loop = loop_start("engine", &err);
	assert_non_null(opened->loop);
	opened->store = store_open(opened->loop, &options, &opened->report, &err);
	if (opened->store == NULL)
		(void)fprintf(stderr, "%s\n", err.message);
	assert_non_null(opened->store);
}

static void close_store(struct opened *opened)
{
	store_close(opened->store);
	loop_stop(opened->loop);
}

/* One put, waited for. */
struct put {
	struct store *store;
	const char *key, *value;
	int64_t lease, revision;
	enum store_status status;
	atomic_bool durable;
};

static void put_durable(void *argument)
{
	atomic_store(&((struct put *)argument)->durable, true);
}

static void put_on_loop(void *argument)
{
	struct put *put = argument;
	struct space *space = store_space(put->store, STORE_SPACE_DEFAULT);
	struct operation operation = { .kind = OPERATION_PUT,
		                       .put = { .key = BYTES(put->key), .value = BYTES(put->value), .lease = put->lease } };
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct operation_result result;
	uint64_t sequence = 0;

	put->status = space_change(space, &operation, arena, &result, &put->revision, &sequence);
	store_wait(put->store, sequence, put_durable, put);
}

static int64_t put(struct opened *opened, const char *key, const char *value, int64_t lease)
{
	struct put put = { .store = opened->store, .key = key, .value = value, .lease = lease };

	loop_call(opened->loop, put_on_loop, &put);
	while (!atomic_load(&put.durable))
		(void)usleep(50);
	assert_int_equal(put.status, STORE_OK);
	return put.revision;
}

struct get {
	struct store *store;
	const char *key;
	int64_t revision, visible, compacted, mod;
	char value[64];
	bool found;
	enum store_status status;
};

static void get_on_loop(void *argument)
{
	struct get *get = argument;
	struct space *space = store_space(get->store, STORE_SPACE_DEFAULT);
	struct range_request request = { .key = BYTES(get->key), .revision = get->revision };
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct range_result result;

	get->visible = space_visible_revision(space);
	get->compacted = space_compacted_revision(space);
	get->status = space_range(space, &request, arena, &result);
	get->found = get->status == STORE_OK && result.count == 1;
	if (get->found) {
		get->mod = result.items[0].mod_revision;
		(void)snprintf(get->value, sizeof(get->value), "%.*s", (int)result.items[0].value->length, result.items[0].value->data);
	}
}

static struct get get(struct opened *opened, const char *key, int64_t revision)
{
	struct get get = { .store = opened->store, .key = key, .revision = revision };

	loop_call(opened->loop, get_on_loop, &get);
	return get;
}

static void everything_is_there_after_a_restart(void **state)
{
	struct opened opened;
	char key[16], value[32];
	int64_t revision = 0;

	open_store(&opened);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i % 300);
		(void)snprintf(value, sizeof(value), "value %d", i);
		revision = put(&opened, key, value, 0);
	}
	assert_int_equal(revision, 2001);
	close_store(&opened);
	for (int round = 0; round < 3; round++) {
		open_store(&opened);
		assert_false(opened.report.lost);
		assert_int_equal(get(&opened, "k7", 0).visible, 2001 + round);
		assert_string_equal(get(&opened, "k7", 0).value, "value 1807");
		assert_string_equal(get(&opened, "k7", 500).value, "value 307");
		assert_int_equal(put(&opened, "more", "x", 0), 2002 + round);
		close_store(&opened);
	}
}

static void compact_on_loop(void *argument)
{
	struct get *get = argument;
	uint64_t sequence;

	assert_int_equal(space_compact(store_space(get->store, STORE_SPACE_DEFAULT), get->revision, &sequence), STORE_OK);
	store_mind_compaction(get->store);
}

static void compaction_lasts_over_a_restart(void **state)
{
	struct opened opened;
	struct get compact;

	open_store(&opened);
	for (int i = 0; i < 500; i++)
		(void)put(&opened, i % 2 ? "a" : "b", "v", 0);
	compact = (struct get){ .store = opened.store, .revision = 400 };
	loop_call(opened.loop, compact_on_loop, &compact);
	assert_int_equal(get(&opened, "a", 399).status, STORE_COMPACTED);
	assert_true(get(&opened, "a", 400).found);
	close_store(&opened);
	open_store(&opened);
	assert_int_equal(get(&opened, "a", 399).status, STORE_COMPACTED);
	assert_int_equal(get(&opened, "a", 400).mod, 399);
	assert_int_equal(get(&opened, "a", 0).visible, 501);
	close_store(&opened);
}

/* The child acknowledges every durable put on a pipe; then it is killed in the middle of writing. */
static void child_writes(int acknowledgements)
{
	struct opened opened;
	char key[16], value[32];

	open_store(&opened);
	for (int i = 0;; i++) {
		int64_t revision;

		(void)snprintf(key, sizeof(key), "k%d", i % 50);
		(void)snprintf(value, sizeof(value), "v%d", i);
		revision = put(&opened, key, value, 0);
		(void)!write(acknowledgements, &revision, sizeof(revision));
	}
}

static void nothing_acknowledged_is_lost_by_a_kill(void **state)
{
	int64_t last = 0;

	for (int round = 0; round < 8; round++) {
		struct opened opened;
		int ends[2];
		int64_t revision;
		struct get found;
		pid_t child;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		child = fork();
		if (child == 0)
			child_writes(ends[1]);
		close(ends[1]);
		/* However slow the disk is: after some that are durable, anywhere in the next ones. */
		for (long wanted = 20 + random() % 40; wanted > 0; wanted--) {
			assert_int_equal(read(ends[0], &revision, sizeof(revision)), sizeof(revision));
			assert_true(revision > last);
			last = revision;
		}
		(void)usleep((useconds_t)(random() % 20000));
		assert_int_equal(kill(child, SIGKILL), 0);
		while (read(ends[0], &revision, sizeof(revision)) == (ssize_t)sizeof(revision)) {
			assert_true(revision > last);
			last = revision;
		}
		close(ends[0]);
		(void)waitpid(child, NULL, 0);
		open_store(&opened);
		assert_false(opened.report.lost);
		found = get(&opened, "k0", 0);
		assert_true(found.visible >= last);
		last = found.visible;
		close_store(&opened);
	}
	assert_true(last > 100);
}

static char *newest_segment(void)
{
	char *folder FREE_CLEANUP = string_printf("%s/log", directory);
	char newest[NAME_MAX + 1] = "";
	DIR *entries = opendir(folder);
	struct dirent *entry;

	while ((entry = readdir(entries)) != NULL)
		if (string_has_suffix(entry->d_name, ".log") && strcmp(entry->d_name, newest) > 0)
			(void)snprintf(newest, sizeof(newest), "%s", entry->d_name);
	closedir(entries);
	return string_printf("%s/%s", folder, newest);
}

/* Damages a byte of the newest segment, so far from the end of its records; without the mark they are as an unfinished batch leaves them. */
static void damage_log(size_t from_end, bool keep_mark)
{
	static const char nothing[LOG_MARK_BYTES];
	char *path FREE_CLEANUP = newest_segment();
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	struct error err;
	uint32_t length;
	size_t end;
	int descriptor;

	assert_int_equal(file_read(path, 1 << 24, &bytes, &err), 0);
	for (end = SEGMENT_MAGIC_BYTES; memcmp(bytes.data + end, nothing, sizeof(length)) != 0; end += LOG_FRAME_HEADER + length)
		memcpy(&length, bytes.data + end, sizeof(length));
	assert_true(end > from_end);
	descriptor = open(path, O_RDWR | O_CLOEXEC);
	if (!keep_mark)
		assert_int_equal(pwrite(descriptor, nothing, sizeof(nothing), (off_t)end), sizeof(nothing));
	bytes.data[end - from_end] ^= 0x40;
	assert_int_equal(pwrite(descriptor, bytes.data + end - from_end, 1, (off_t)(end - from_end)), 1);
	close(descriptor);
}

/* Killed, so that home has not taken over what the log holds. */
static int64_t write_and_die(int count)
{
	int64_t last = 0, revision;
	int ends[2];
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	gather_ms = 60000;
	child = fork();
	if (child == 0)
		child_writes(ends[1]);
	gather_ms = 0;
	close(ends[1]);
	while (last < count && read(ends[0], &revision, sizeof(revision)) == (ssize_t)sizeof(revision))
		last = revision;
	assert_int_equal(kill(child, SIGKILL), 0);
	(void)waitpid(child, NULL, 0);
	while (read(ends[0], &revision, sizeof(revision)) == (ssize_t)sizeof(revision))
		last = revision;
	close(ends[0]);
	return last;
}

static void an_unfinished_end_is_no_loss(void **state)
{
	struct opened opened;
	int64_t last = write_and_die(40);

	damage_log(3, false);
	open_store(&opened);
	assert_false(opened.report.lost);
	assert_true(get(&opened, "k0", 0).visible >= last - 1);
	close_store(&opened);
}

/* A process that is killed as soon as it serves: what it told stays true. */
static int64_t open_and_die(void)
{
	int64_t visible = 0;
	int ends[2];
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		struct opened opened;

		open_store(&opened);
		visible = get(&opened, "k0", 0).visible;
		(void)!write(ends[1], &visible, sizeof(visible));
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &visible, sizeof(visible)), sizeof(visible));
	close(ends[0]);
	(void)waitpid(child, NULL, 0);
	return visible;
}

static void a_lost_end_makes_revisions_jump(void **state)
{
	int64_t last = write_and_die(40), told;
	struct opened opened;

	damage_log(3, true);
	told = open_and_die();
	assert_true(told > last && told >= STORE_JUMP);
	assert_true(open_and_die() >= told);
	open_store(&opened);
	assert_true(get(&opened, "k0", 0).visible >= told);
	assert_int_equal(get(&opened, "k0", last).status, STORE_COMPACTED);
	assert_true(put(&opened, "k0", "again", 0) > told);
	close_store(&opened);
}

/* As a recycled segment has them: places that look like a frame's length, everywhere. */
static void old_bytes_after_the_end_cost_no_time(void **state)
{
	static const unsigned char length[] = { 0, 0, 0x10, 0 };
	int64_t last = write_and_die(20);
	char *path FREE_CLEANUP = newest_segment();
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	struct opened opened;
	struct error err;
	uint64_t started;
	size_t end;

	assert_int_equal(file_read(path, 1 << 24, &bytes, &err), 0);
	for (end = bytes.length; end > 0 && bytes.data[end - 1] == 0;)
		end--;
	for (size_t i = end + 16; i < bytes.length; i++)
		bytes.data[i] = (char)length[i % sizeof(length)];
	assert_int_equal(file_write_atomic(path, bytes.data, bytes.length, 0600, &err), 0);
	started = clock_monotonic_ms();
	open_store(&opened);
	assert_true(clock_monotonic_ms() - started < 20000);
	assert_false(opened.report.lost);
	assert_true(get(&opened, "k0", 0).visible >= last);
	close_store(&opened);
}

static void lost_changes_make_revisions_jump(void **state)
{
	struct opened opened;
	int64_t last = write_and_die(60);
	struct get found;

	damage_log(400, true);
	open_store(&opened);
	assert_true(opened.report.lost);
	found = get(&opened, "k0", 0);
	assert_true(found.visible >= STORE_JUMP);
	assert_true(found.visible > last);
	assert_int_equal(get(&opened, "k0", last).status, STORE_COMPACTED);
	assert_int_equal(put(&opened, "k0", "again", 0), found.visible + 1);
	close_store(&opened);
	/* Told once. */
	open_store(&opened);
	assert_false(opened.report.lost);
	assert_int_equal(get(&opened, "k0", 0).visible, found.visible + 1);
	close_store(&opened);
}

struct grant {
	struct store *store;
	struct lease *lease;
	int64_t id;
};

static void grant_on_loop(void *argument)
{
	struct grant *grant = argument;
	uint64_t sequence;

	assert_int_equal(
		space_lease_grant(store_space(grant->store, STORE_SPACE_DEFAULT), 5, 2, clock_monotonic_ms(), &grant->lease, &sequence),
		STORE_OK);
	store_mind_leases(grant->store);
}

static void leases_end_by_themselves_and_last_over_a_restart(void **state)
{
	struct opened opened;
	struct grant grant;

	open_store(&opened);
	grant.store = opened.store;
	loop_call(opened.loop, grant_on_loop, &grant);
	(void)put(&opened, "leased", "x", 5);
	close_store(&opened);
	open_store(&opened);
	assert_true(get(&opened, "leased", 0).found);
	for (int i = 0; i < 300 && get(&opened, "leased", 0).found; i++)
		(void)usleep(100000);
	assert_false(get(&opened, "leased", 0).found);
	assert_int_equal(get(&opened, "leased", 0).visible, 3);
	close_store(&opened);
	open_store(&opened);
	assert_false(get(&opened, "leased", 0).found);
	close_store(&opened);
}

static void collect_record(void *argument, struct bytes key, struct bytes value)
{
	string_list_printf(argument, "%.*s=%.*s", (int)key.length, key.data, (int)value.length, value.data);
}

static void put_records_on_loop(void *argument)
{
	struct store *store = argument;
	struct bytes one = BYTES("1"), two = BYTES("2");

	(void)store_put_record(store, STORE_SPACE_DEFAULT, BYTES("user/b"), &one);
	(void)store_put_record(store, STORE_SPACE_DEFAULT, BYTES("user/a"), &one);
	(void)store_put_record(store, STORE_SPACE_DEFAULT, BYTES("user/a"), &two);
	(void)store_put_record(store, STORE_SPACE_DEFAULT, BYTES("user/b"), NULL);
}

static void records_are_kept(void **state)
{
	struct string_list records STRING_LIST_CLEANUP = { 0 };
	struct opened opened;

	open_store(&opened);
	loop_call(opened.loop, put_records_on_loop, opened.store);
	close_store(&opened);
	open_store(&opened);
	store_each_record(opened.store, STORE_SPACE_DEFAULT, collect_record, &records);
	assert_int_equal(records.count, 1);
	assert_string_equal(records.items[0], "user/a=2");
	close_store(&opened);
}

static void only_one_process_opens_a_store(void **state)
{
	struct store_options options = { .directory = directory, .failed = disk_failed };
	struct opened opened;
	struct error err;

	open_store(&opened);
	assert_null(store_open(opened.loop, &options, NULL, &err));
	assert_non_null(strstr(err.message, "another process"));
	close_store(&opened);
}

static void malformed_records_are_refused(void **state)
{
	struct commit_operation operation = { .id = 3, .key = BYTES("key"), .value = BYTES("value"), .version = 1 };
	struct commit commit = { .kind = COMMIT_OPERATIONS, .space = 1, .revision = 9, .operations = &operation, .count = 1 }, again;
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	struct log_place place;
	struct error err;

	log_record_encode(&commit, (struct log_place){ 12, 10 }, &bytes);
	for (size_t length = 0; length <= bytes.length; length++) {
		struct arena *arena ARENA_CLEANUP = arena_new();
		char *copy FREE_CLEANUP = string_ndup(bytes.data, length);
		int result = log_record_decode((struct bytes){ copy, length }, arena, &again, &place, &err);

		assert_int_equal(result, length == bytes.length ? 0 : -1);
		if (result == 0) {
			assert_int_equal(place.sequence, 12);
			assert_int_equal(place.batch, 10);
			assert_true(bytes_equal(again.operations[0].value, BYTES("value")));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_is_there_after_a_restart, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(compaction_lasts_over_a_restart, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(nothing_acknowledged_is_lost_by_a_kill, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(an_unfinished_end_is_no_loss, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(a_lost_end_makes_revisions_jump, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(old_bytes_after_the_end_cost_no_time, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(lost_changes_make_revisions_jump, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(leases_end_by_themselves_and_last_over_a_restart, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(records_are_kept, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(only_one_process_opens_a_store, make_directory, remove_directory),
		cmocka_unit_test(malformed_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
