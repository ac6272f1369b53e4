/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "component_fixture.h"
#include "local/component_tar.h"

struct seen {
	char text[4096]; /* "path=bytes;" of every regular file */
	const char *only;
};

static bool begin(void *context, const char *path, uint64_t size)
{
	struct seen *seen = context;

	if (seen->only != NULL && strcmp(seen->only, path) != 0)
		return false;
	(void)snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), "%s=", path);
	return true;
}

static int data(void *context, const void *bytes, size_t length, struct error *err)
{
	struct seen *seen = context;

	(void)snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), "%.*s", (int)length, (const char *)bytes);
	return 0;
}

static int end(void *context, struct error *err)
{
	struct seen *seen = context;

	(void)snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), ";");
	return 0;
}

static const struct tar_callbacks callbacks = { begin, data, end };

static int read_in_pieces(const struct buffer *archive, size_t piece, struct seen *seen, struct error *err)
{
	struct tar_reader *reader = tar_reader_new(&callbacks, seen);
	int result = 0;

	for (size_t at = 0; result == 0 && at < archive->length; at += piece)
		result = tar_reader_feed(reader, archive->data + at, archive->length - at < piece ? archive->length - at : piece, err);
	if (result == 0)
		result = tar_reader_finish(reader, err);
	tar_reader_free(reader);
	return result;
}

static void make_archive(struct buffer *out)
{
	FREE_CLEANUP char *longer = calloc(1, 300);
	FREE_CLEANUP char *pax = NULL;

	fixture_tar_member(out, "./", '5', "", 0);
	fixture_tar_member(out, "./bin/", '5', "", 0);
	fixture_tar_member(out, "./bin/one", '0', "first", 5);
	fixture_tar_member(out, "bin/link", '2', "", 0);
	fixture_tar_member(out, "empty", '0', "", 0);
	memset(longer, 'n', 200);
	fixture_tar_member(out, "././@LongLink", 'L', longer, 201);
	fixture_tar_member(out, "short", '0', "long name", 9);
	pax = string_printf("19 path=from/pax/x\n");
	fixture_tar_member(out, "pax", 'x', pax, strlen(pax));
	fixture_tar_member(out, "y", '0', "pax name", 8);
	fixture_tar_end(out);
}

static void test_members(void **state)
{
	BUFFER_CLEANUP struct buffer archive = { 0 };
	static const size_t pieces[] = { 1, 7, 511, 512, 513, 1 << 20 };

	make_archive(&archive);
	for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
		struct seen seen = { 0 };
		struct error err = { 0 };

		assert_int_equal(read_in_pieces(&archive, pieces[i], &seen, &err), 0);
		assert_string_equal(err.message, "");
		assert_non_null(strstr(seen.text, "bin/one=first;empty=;nnnn"));
		assert_non_null(strstr(seen.text, "nnn=long name;from/pax/x=pax name;"));
	}
}

/* Cut anywhere inside it is an error, cut between members is not (some writers leave the end mark out). */
static void test_cut(void **state)
{
	BUFFER_CLEANUP struct buffer archive = { 0 };
	size_t whole;

	fixture_tar_member(&archive, "a", '0', "some bytes", 10);
	whole = archive.length;
	for (size_t length = 0; length <= whole; length++) {
		struct buffer cut = { .data = archive.data, .length = length };
		struct seen seen = { 0 };
		struct error err = { 0 };
		int result = read_in_pieces(&cut, 100, &seen, &err);

		if (length == whole)
			assert_int_equal(result, 0);
		else
			assert_int_equal(result, -1);
	}
}

static void expect_refused(const struct buffer *archive, const char *message)
{
	struct seen seen = { 0 };
	struct error err = { 0 };

	assert_int_equal(read_in_pieces(archive, 4096, &seen, &err), -1);
	if (strstr(err.message, message) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.message, message);
}

static void test_outside(void **state)
{
	static const char *const paths[] = { "/etc/passwd", "../x", "a/../../x", "a/..", ".." };

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		BUFFER_CLEANUP struct buffer archive = { 0 };

		fixture_tar_member(&archive, paths[i], '0', "x", 1);
		fixture_tar_end(&archive);
		expect_refused(&archive, "outside itself");
	}
}

/* Found by fuzzing: "./" alone was taken away and "/etc/x" remained. */
static void test_slashes_after_a_dot(void **state)
{
	static const char *const paths[] = { ".//etc/x", "././/etc/x", ".///./etc/x" };

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		BUFFER_CLEANUP struct buffer archive = { 0 };
		struct seen seen = { 0 };
		struct error err = { 0 };

		fixture_tar_member(&archive, paths[i], '0', "x", 1);
		fixture_tar_end(&archive);
		assert_int_equal(read_in_pieces(&archive, 4096, &seen, &err), 0);
		assert_string_equal(seen.text, "etc/x=x;");
	}
}

static void test_damaged(void **state)
{
	BUFFER_CLEANUP struct buffer sum = { 0 };
	BUFFER_CLEANUP struct buffer pax = { 0 };
	BUFFER_CLEANUP struct buffer big = { 0 };
	BUFFER_CLEANUP struct buffer late = { 0 };

	fixture_tar_member(&sum, "a", '0', "x", 1);
	sum.data[0] = 'b';
	expect_refused(&sum, "checksum");
	fixture_tar_member(&pax, "p", 'x', "99 path=x\n", 10);
	expect_refused(&pax, "extended header");
	fixture_tar_member(&big, "s", 'x', "23 size=99999999999999\n", 23);
	expect_refused(&big, "size");
	fixture_tar_end(&late);
	fixture_tar_member(&late, "a", '0', "x", 1);
	{
		struct seen seen = { 0 };
		struct error err = { 0 };

		/* After the end mark nothing is read any more. */
		assert_int_equal(read_in_pieces(&late, 4096, &seen, &err), 0);
		assert_string_equal(seen.text, "");
	}
}

static void test_extract(void **state)
{
	char *folder = fixture_folder();
	BUFFER_CLEANUP struct buffer archive = { 0 };
	BUFFER_CLEANUP struct buffer packed = { 0 };
	FREE_CLEANUP char *path = string_printf("%s/a.tgz", folder);
	FREE_CLEANUP char *one = string_printf("%s/one", folder);
	FREE_CLEANUP char *two = string_printf("%s/two", folder);
	struct tar_extraction members[] = { { .member = "bin/one", .destination = one }, { .member = "no/such", .destination = two } };
	struct error err = { 0 };
	FREE_CLEANUP char *text = NULL;

	make_archive(&archive);
	fixture_gzip(&archive, &packed);
	fixture_write(folder, "a.tgz", packed.data, packed.length);
	assert_int_equal(tar_gz_extract(path, members, 1, &err), 0);
	text = fixture_read(folder, "one");
	assert_string_equal(text, "first");
	assert_int_equal(tar_gz_extract(path, members, 2, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_false(fixture_exists(folder, "one"));
	/* Every shorter file is refused and leaves nothing. */
	for (size_t length = 0; length < packed.length; length += 3) {
		fixture_write(folder, "a.tgz", packed.data, length);
		assert_int_equal(tar_gz_extract(path, members, 1, &err), -1);
		assert_false(fixture_exists(folder, "one"));
	}
	fixture_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_outside), cmocka_unit_test(test_slashes_after_a_dot),
		cmocka_unit_test(test_damaged), cmocka_unit_test(test_extract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
