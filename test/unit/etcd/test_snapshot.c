/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "base/strings.h"
#include "etcd/bolt_format.h"
#include "etcd/bolt_read.h"
#include "etcd/bolt_write.h"
#include "etcd/etcd_import.h"
#include "etcd/snapshot_write.h"
#include "grpc/protobuf.h"
#include "io/file.h"

static int make_file(void)
{
	char path[] = "/tmp/kamaji-bolt-XXXXXX";
	int descriptor = mkstemp(path);

	assert_true(descriptor >= 0);
	(void)unlink(path);
	return descriptor;
}

static void read_file(int descriptor, uint64_t length, struct buffer *out)
{
	char *at = buffer_reserve(out, (size_t)length);

	assert_int_equal(pread(descriptor, at, (size_t)length, 0), (ssize_t)length);
	out->length = (size_t)length;
}

/* Keys and values made from a number; sizes reach beyond a page now and then. */
static void make_pair(uint64_t number, struct buffer *key, struct buffer *value)
{
	buffer_clear(key);
	buffer_clear(value);
	(void)buffer_printf(key, "%012llu%.*s", (unsigned long long)number, (int)(number % 40),
	                    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
	for (uint64_t i = 0; i < (number % 97 == 0 ? 10000 : number % 50); i++)
		(void)buffer_append_char(value, (char)(number + i));
}

struct counting {
	uint64_t next;
	struct buffer key, value;
};

static int check_pair(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct counting *counting = argument;

	make_pair(counting->next++, &counting->key, &counting->value);
	assert_true(bytes_equal(key, (struct bytes){ counting->key.data, counting->key.length }));
	assert_true(bytes_equal(value, (struct bytes){ counting->value.length > 0 ? counting->value.data : "", counting->value.length }));
	return 0;
}

static void write_database(int descriptor, const uint64_t *counts, size_t buckets, uint64_t *length)
{
	struct bolt_writer *writer = bolt_writer_new(descriptor);
	struct counting pair = { 0 };
	struct error err;

	for (size_t i = 0; i < buckets; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "bucket%zu", buckets - i);
		bolt_writer_begin(writer, name);
		for (uint64_t number = 0; number < counts[i]; number++) {
			make_pair(number, &pair.key, &pair.value);
			assert_int_equal(bolt_writer_put(writer, (struct bytes){ pair.key.data, pair.key.length },
			                                 (struct bytes){ pair.value.data, pair.value.length }, &err),
			                 0);
		}
		assert_int_equal(bolt_writer_end(writer, &err), 0);
	}
	assert_int_equal(bolt_writer_finish(writer, length, &err), 0);
	bolt_writer_free(writer);
	buffer_free(&pair.key);
	buffer_free(&pair.value);
}

static void test_round_trip(void **state)
{
	/* None, one, a page, two levels, three levels. */
	static const uint64_t counts[] = { 0, 1, 30, 3000, 60000 };
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	int descriptor DESCRIPTOR_CLEANUP = make_file();
	struct bolt_file file;
	struct error err;
	uint64_t length;
	bool found;

	write_database(descriptor, counts, ARRAY_LENGTH(counts), &length);
	assert_int_equal(length % BOLT_PAGE_SIZE, 0);
	read_file(descriptor, length, &bytes);
	assert_int_equal(bolt_open(&file, bytes.data, bytes.length, &err), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		struct counting counting = { 0 };
		char name[16];

		(void)snprintf(name, sizeof(name), "bucket%zu", ARRAY_LENGTH(counts) - i);
		assert_int_equal(bolt_each(&file, name, check_pair, &counting, &found, &err), 0);
		assert_true(found);
		assert_int_equal(counting.next, counts[i]);
		buffer_free(&counting.key);
		buffer_free(&counting.value);
	}
	assert_int_equal(bolt_each(&file, "other", check_pair, NULL, &found, &err), 0);
	assert_false(found);
	bolt_close(&file);
}

static int ignore_pair(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	volatile char sum = 0;

	for (size_t i = 0; i < key.length; i++)
		sum ^= key.data[i];
	for (size_t i = 0; i < value.length; i++)
		sum ^= value.data[i];
	(void)sum;
	return 0;
}

static int read_all(const struct buffer *bytes, struct error *err)
{
	struct bolt_file file;
	int result;

	if (bolt_open(&file, bytes->data, bytes->length, err) < 0)
		return -1;
	result = bolt_each(&file, "bucket1", ignore_pair, NULL, NULL, err);
	bolt_close(&file);
	return result;
}

static void put32(struct buffer *bytes, size_t place, uint32_t number)
{
	memcpy(bytes->data + place, &number, sizeof(number));
}

static void put64(struct buffer *bytes, size_t place, uint64_t number)
{
	memcpy(bytes->data + place, &number, sizeof(number));
}

/* What must be seen in a page of a tree, whatever a checksum says. */
static void test_damaged_pages(void **state)
{
	static const uint64_t counts[] = { 3000 };
	static const struct {
		size_t place; /* in the first page of the tree, page 2 */
		uint32_t number;
		const char *problem;
	} cases[] = {
		{ 0, 7, "carries the number of another" },
		{ 8, BOLT_FLAG_META | 1u << 16, "is neither branch nor leaf" },
		{ 8, BOLT_FLAG_LEAF | 0xffffu << 16, "lies outside" },
		{ 12, 1u << 30, "goes on beyond the end" },
		{ 12, 3, "is used twice" }, /* it takes 2 more: its first value is large */
		{ BOLT_PAGE_HEADER + 4, 1u << 31, "lies outside" },
		{ BOLT_PAGE_HEADER + 8, 0, "empty key" },
		{ BOLT_PAGE_HEADER + 8, 0xfffffff0u, "lies outside" },
		{ BOLT_PAGE_HEADER + 12, 0xfffffff0u, "lies outside" },
		{ BOLT_PAGE_HEADER, BOLT_LEAF_BUCKET, "a bucket inside a bucket" },
	};
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	int descriptor DESCRIPTOR_CLEANUP = make_file();
	struct error err;
	uint64_t length;

	write_database(descriptor, counts, 1, &length);
	read_file(descriptor, length, &bytes);
	assert_int_equal(read_all(&bytes, &err), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		size_t place = 2 * BOLT_PAGE_SIZE + cases[i].place;
		uint32_t before;

		memcpy(&before, bytes.data + place, sizeof(before));
		put32(&bytes, place, cases[i].number);
		assert_int_equal(read_all(&bytes, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
		if (strstr(err.message, cases[i].problem) == NULL)
			fail_msg("case %zu: %s", i, err.message);
		put32(&bytes, place, before);
	}
	/* One meta page may be gone, not both. */
	put64(&bytes, BOLT_PAGE_HEADER + 40, 1);
	assert_int_equal(read_all(&bytes, &err), 0);
	put64(&bytes, BOLT_PAGE_SIZE + BOLT_PAGE_HEADER + 40, 1);
	assert_int_equal(read_all(&bytes, &err), -1);
	assert_non_null(strstr(err.message, "wrong checksum"));
}

/* Random damage is refused or harmless, never a wrong read of memory (the sanitizers watch). */
static void test_random_damage(void **state)
{
	static const uint64_t counts[] = { 400 };
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	int descriptor DESCRIPTOR_CLEANUP = make_file();
	struct error err;
	uint64_t length;

	write_database(descriptor, counts, 1, &length);
	read_file(descriptor, length, &bytes);
	for (int i = 0; i < 3000; i++) {
		size_t place = BOLT_PAGE_SIZE * (2 + (size_t)random_below(length / BOLT_PAGE_SIZE - 2)) + (size_t)random_below(200);
		char before = bytes.data[place];

		bytes.data[place] = (char)random_below(256);
		(void)read_all(&bytes, &err);
		bytes.data[place] = before;
	}
	assert_int_equal(read_all(&bytes, &err), 0);
}

struct version {
	int64_t revision;
	uint32_t sub;
	bool deleted;
	const char *key;
	int64_t create_revision, mod_revision, version;
};

static void put_version(struct bolt_writer *writer, const struct version *version)
{
	char key[SNAPSHOT_TOMBSTONE_BYTES];
	struct buffer value BUFFER_CLEANUP = { 0 };
	struct error err;

	protobuf_put_string(&value, 1, version->key);
	protobuf_put_signed(&value, 2, version->create_revision);
	protobuf_put_signed(&value, 3, version->mod_revision);
	protobuf_put_signed(&value, 4, version->version);
	assert_int_equal(
		bolt_writer_put(writer,
	                        (struct bytes){ key, snapshot_revision_key(version->revision, version->sub, version->deleted, key) },
	                        (struct bytes){ value.data != NULL ? value.data : "", value.length }, &err),
		0);
}

static int check_versions(const struct version *versions, size_t count, struct etcd_import_report *report, struct error *err)
{
	struct buffer bytes BUFFER_CLEANUP = { 0 };
	int descriptor DESCRIPTOR_CLEANUP = make_file();
	struct bolt_writer *writer = bolt_writer_new(descriptor);
	uint64_t length;

	bolt_writer_begin(writer, "key");
	for (size_t i = 0; i < count; i++)
		put_version(writer, &versions[i]);
	assert_int_equal(bolt_writer_end(writer, err), 0);
	assert_int_equal(bolt_writer_finish(writer, &length, err), 0);
	bolt_writer_free(writer);
	read_file(descriptor, length, &bytes);
	return etcd_import_check(bytes.data, bytes.length, report, err);
}

static void test_import_rules(void **state)
{
	static const struct version good[] = {
		{ 2, 0, false, "a", 2, 2, 1 }, { 3, 0, false, "a", 2, 3, 2 },     { 3, 1, false, "b", 3, 3, 1 },
		{ 4, 0, true, "a", 0, 0, 0 },  { 1000, 0, false, NULL, 0, 0, 0 }, /* a revision without a change: the mark of a bumped revision */
	};
	static const struct version bad[] = {
		{ 2, 0, false, "a", 2, 3, 1 },
		{ 2, 0, false, "a", 3, 2, 1 },
		{ 2, 0, false, "a", 2, 2, 0 },
		{ 2, 0, true, NULL, 0, 0, 0 },
	};
	struct etcd_import_report report;
	struct error err;

	assert_int_equal(check_versions(good, ARRAY_LENGTH(good), &report, &err), 0);
	assert_int_equal(report.revision, 1000);
	assert_int_equal(report.versions, 4);
	assert_int_equal(report.compacted, -1);
	assert_false(report.checksum);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		assert_int_equal(check_versions(&bad[i], 1, &report, &err), -1);
		assert_non_null(strstr(err.message, "version 2.0 of the snapshot"));
	}
	assert_int_equal(etcd_import_check("", 0, &report, &err), -1);
	assert_int_equal(etcd_import_check("short", 5, &report, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damaged_pages),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_import_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
