/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/strings.h"
#include "component_fixture.h"
#include "local/component_digest.h"
#include "local/component_tar.h"
#include "local/image_archive.h"
#include "local/image_closure.h"
#include "local/image_contents.h"

enum { BLOBS_MAX = 64, BIG = 3 * 1000 * 1000 + 17 };

/* An archive taken apart: every member with its bytes. */
struct parts {
	size_t count;
	struct {
		char path[TAR_PATH_MAX];
		struct buffer bytes;
	} members[BLOBS_MAX];
};

static bool begin(void *context, const char *path, uint64_t size)
{
	struct parts *parts = context;

	assert_true(parts->count < BLOBS_MAX);
	(void)snprintf(parts->members[parts->count].path, TAR_PATH_MAX, "%s", path);
	return true;
}

static int data(void *context, const void *bytes, size_t length, struct error *err)
{
	struct parts *parts = context;

	buffer_append(&parts->members[parts->count].bytes, bytes, length);
	return 0;
}

static int end(void *context, struct error *err)
{
	struct parts *parts = context;

	parts->count++;
	return 0;
}

static void take_apart(const void *bytes, size_t length, struct parts *parts)
{
	static const struct tar_callbacks callbacks = { begin, data, end };
	struct tar_reader *reader = tar_reader_new(&callbacks, parts);
	struct error err = { 0 };

	memset(parts, 0, sizeof(*parts));
	assert_int_equal(tar_reader_feed(reader, bytes, length, &err), 0);
	assert_int_equal(tar_reader_finish(reader, &err), 0);
	tar_reader_free(reader);
}

static void free_parts(struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		buffer_free(&parts->members[i].bytes);
}

static const struct buffer *member(const struct parts *parts, const char *path)
{
	for (size_t i = 0; i < parts->count; i++) {
		if (strcmp(parts->members[i].path, path) == 0)
			return &parts->members[i].bytes;
	}
	fail_msg("no member %s", path);
	return NULL;
}

static json_t *document(const struct parts *parts, const char *path)
{
	const struct buffer *bytes = member(parts, path);
	struct error err = { 0 };
	json_t *value = json_parse(bytes->data, bytes->length, &err);

	assert_string_equal(err.message, "");
	return value;
}

/* The blob a descriptor names; its size and digest must be what the descriptor says. */
static const struct buffer *blob(const struct parts *parts, const json_t *descriptor)
{
	const char *digest = json_string_at(descriptor, "digest");
	char sha256[COMPONENT_SHA256_SIZE];
	const struct buffer *bytes;
	FREE_CLEANUP char *path = NULL;

	assert_non_null(digest);
	assert_true(string_has_prefix(digest, "sha256:"));
	path = string_printf("blobs/sha256/%s", digest + 7);
	bytes = member(parts, path);
	component_digest_bytes(bytes->data, bytes->length, sha256);
	assert_string_equal(sha256, digest + 7);
	assert_int_equal(json_integer_or(descriptor, "size", -1), bytes->length);
	return bytes;
}

static char *write_image(const char *folder, const char *name, char digest[IMAGE_DIGEST_SIZE], size_t *length)
{
	static const char *const references[] = { "registry.k8s.io/x/y:v1.14.7", "registry.k8s.io/x/y:v1.14.2", NULL };
	static const char *const entrypoint[] = { "/y", "serve", NULL };
	static const char *const environment[] = { "A=b", NULL };
	FREE_CLEANUP char *program = string_printf("%s/program", folder);
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, name);
	const struct image_file files[] = {
		{ IMAGE_FILE_FOLDER, "/tmp", NULL, 01777 },
		{ IMAGE_FILE_TEXT, "/etc/passwd", "root:x:0:0\n", 0644 },
		{ IMAGE_FILE_HOST, "/usr/lib/deep/y", program, 0755 },
		{ IMAGE_FILE_LINK, "/y", "usr/lib/deep/y", 0777 },
	};
	const struct image_label labels[] = { { "io.kamaji.image.made-from-components", "true" } };
	const struct image_description description = {
		.references = references,
		.files = files,
		.file_count = ARRAY_LENGTH(files),
		.entrypoint = entrypoint,
		.environment = environment,
		.user = "65532:65532",
		.labels = labels,
		.label_count = 1,
		.architecture = "amd64",
	};
	struct error err = { 0 };
	struct stat info;

	assert_int_equal(image_archive_write(path, &description, digest, &err), 0);
	assert_int_equal(stat(path, &info), 0);
	*length = (size_t)info.st_size;
	return fixture_read(folder, name);
}

static void write_program(const char *folder)
{
	FREE_CLEANUP char *bytes = malloc(BIG);

	for (size_t i = 0; i < BIG; i++)
		bytes[i] = (char)(i * 7 + i / 1000);
	fixture_write(folder, "program", bytes, BIG);
}

static void check_layer(const struct buffer *layer)
{
	struct parts parts;
	const struct buffer *program;
	char one[COMPONENT_SHA256_SIZE], two[COMPONENT_SHA256_SIZE];
	FREE_CLEANUP char *bytes = malloc(BIG);

	take_apart(layer->data, layer->length, &parts);
	assert_int_equal(parts.count, 2); /* the reader shows regular files */
	assert_string_equal(member(&parts, "etc/passwd")->data, "root:x:0:0\n");
	program = member(&parts, "usr/lib/deep/y");
	for (size_t i = 0; i < BIG; i++)
		bytes[i] = (char)(i * 7 + i / 1000);
	component_digest_bytes(program->data, program->length, one);
	component_digest_bytes(bytes, BIG, two);
	assert_string_equal(one, two);
	free_parts(&parts);
}

static void check_headers(const struct buffer *layer)
{
	/* The first header is the folder that was asked for with its sticky bit; nothing carries a time or an owner. */
	assert_string_equal(layer->data, "tmp/");
	assert_memory_equal(layer->data + 100, "0001777", 7);
	assert_memory_equal(layer->data + 136, "00000000000", 11);
	assert_memory_equal(layer->data + 108, "0000000", 7);
}

static void test_layout(void **state)
{
	char *folder = fixture_folder();
	char digest[IMAGE_DIGEST_SIZE];
	struct parts parts;
	size_t length;
	FREE_CLEANUP char *bytes = NULL;
	JSON_CLEANUP json_t *index = NULL, *layout = NULL, *manifest = NULL, *config = NULL;
	const struct buffer *layer, *text;
	struct error err = { 0 };

	write_program(folder);
	bytes = write_image(folder, "image.tar", digest, &length);
	take_apart(bytes, length, &parts);
	layout = document(&parts, "oci-layout");
	assert_string_equal(json_string_at(layout, "imageLayoutVersion"), "1.0.0");
	index = document(&parts, "index.json");
	assert_int_equal(json_array_size(json_object_get(index, "manifests")), 2);
	assert_string_equal(json_string_at(index, "manifests[0].digest"), digest);
	assert_string_equal(json_string_at(index, "manifests[1].digest"), digest);
	assert_string_equal(json_string_value(json_object_get(json_at(index, "manifests[0].annotations"), "io.containerd.image.name")),
	                    "registry.k8s.io/x/y:v1.14.7");
	assert_string_equal(json_string_value(json_object_get(json_at(index, "manifests[1].annotations"), "io.containerd.image.name")),
	                    "registry.k8s.io/x/y:v1.14.2");
	text = blob(&parts, json_at(index, "manifests[0]"));
	manifest = json_parse(text->data, text->length, &err);
	text = blob(&parts, json_at(manifest, "config"));
	config = json_parse(text->data, text->length, &err);
	layer = blob(&parts, json_at(manifest, "layers[0]"));
	assert_string_equal(json_string_at(config, "rootfs.diff_ids[0]"), json_string_at(manifest, "layers[0].digest"));
	assert_string_equal(json_string_at(config, "config.User"), "65532:65532");
	assert_string_equal(json_string_at(config, "config.Entrypoint[1]"), "serve");
	assert_string_equal(json_string_at(config, "config.Env[0]"), "A=b");
	assert_string_equal(json_string_at(config, "architecture"), "amd64");
	assert_string_equal(json_string_value(json_object_get(json_at(config, "config.Labels"), "io.kamaji.image.made-from-components")),
	                    "true");
	check_layer(layer);
	check_headers(layer);
	free_parts(&parts);
	fixture_remove(folder);
}

static void test_same_bytes(void **state)
{
	char *folder = fixture_folder();
	char one[IMAGE_DIGEST_SIZE], two[IMAGE_DIGEST_SIZE];
	size_t length_one, length_two;
	FREE_CLEANUP char *first = NULL, *second = NULL;

	write_program(folder);
	first = write_image(folder, "a.tar", one, &length_one);
	write_program(folder); /* another time on the file */
	second = write_image(folder, "b.tar", two, &length_two);
	assert_string_equal(one, two);
	assert_int_equal(length_one, length_two);
	assert_memory_equal(first, second, length_one);
	fixture_remove(folder);
}

static void test_refused(void **state)
{
	char *folder = fixture_folder();
	FREE_CLEANUP char *path = string_printf("%s/x.tar", folder);
	static const char *const fine[] = { "a.io/b:c", NULL };
	static const char *const untagged[] = { "a.io:5000/b", NULL };
	const struct image_file missing = { IMAGE_FILE_HOST, "/x", "/no/such/file", 0755 };
	const struct image_file relative = { IMAGE_FILE_TEXT, "x", "", 0755 };
	const struct image_file outside = { IMAGE_FILE_TEXT, "/a/../../x", "", 0755 };
	struct image_description description = { .references = fine, .files = &missing, .file_count = 1, .architecture = "amd64" };
	struct error err = { 0 };

	assert_int_equal(image_archive_write(path, &description, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "/no/such/file"));
	description.files = &relative;
	assert_int_equal(image_archive_write(path, &description, NULL, &err), -1);
	description.files = &outside;
	assert_int_equal(image_archive_write(path, &description, NULL, &err), -1);
	description.file_count = 0;
	description.references = untagged;
	assert_int_equal(image_archive_write(path, &description, NULL, &err), -1);
	assert_non_null(strstr(err.message, "a.io:5000/b"));
	assert_false(fixture_exists(folder, "x.tar"));
	assert_false(fixture_exists(folder, "x.tar.new"));
	fixture_remove(folder);
}

static void test_closure_text(void **state)
{
	STRING_LIST_CLEANUP struct string_list paths = { 0 };
	struct error err = { 0 };

	assert_int_equal(image_closure_parse("\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/x/libz.so.1 (0x00007f)\n"
	                                     "\tlibc.so.6 => /lib/x/libc.so.6 (0x1)\n\t/lib64/ld-linux-x86-64.so.2 (0x2)\n"
	                                     "\tlibz.so.1 => /lib/x/libz.so.1 (0x00007f)",
	                                     &paths, &err),
	                 0);
	assert_int_equal(paths.count, 3);
	assert_string_equal(paths.items[0], "/lib/x/libz.so.1");
	assert_string_equal(paths.items[2], "/lib64/ld-linux-x86-64.so.2");
	assert_int_equal(image_closure_parse("\tlibq.so.9 => not found\n", &paths, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "libq.so.9"));
}

/* This very program: dynamic, so its loader and C library must be in the closure. */
static void test_closure_self(void **state)
{
	STRING_LIST_CLEANUP struct string_list paths = { 0 };
	struct error err = { 0 };
	bool libc = false;

	assert_int_equal(image_closure_read("/proc/self/exe", &paths, &err), 0);
	assert_true(paths.count >= 2);
	assert_non_null(strstr(paths.items[0], "/ld-linux"));
	for (size_t i = 0; i < paths.count; i++)
		libc |= strstr(paths.items[i], "/libc.so.6") != NULL;
	assert_true(libc);
	assert_int_equal(image_closure_read("/etc/passwd", &paths, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_int_equal(image_closure_read("/no/such", &paths, &err), -1);
}

/* iptables loads its matches by name: what they need in turn belongs to the image as well. */
static void test_firewall_tools_are_whole(void **state)
{
	static const char plugin[] = "/usr/lib/x86_64-linux-gnu/xtables/libxt_statistic.so";
	ARENA_CLEANUP struct arena *arena = arena_new();
	IMAGE_CONTENTS_CLEANUP struct image_contents contents = { .arena = arena };
	STRING_LIST_CLEANUP struct string_list needed = { 0 };
	struct error err = { 0 };

	if (access(plugin, R_OK) != 0)
		skip();
	assert_int_equal(image_closure_read_plugin("/usr/sbin/xtables-nft-multi", plugin, &needed, &err), 0);
	assert_true(needed.count >= 2);
	assert_int_equal(image_contents_add_firewall_tools(&contents, &err), 0);
	for (size_t i = 0; i < needed.count; i++) {
		bool found = false;

		for (size_t j = 0; j < contents.count; j++)
			found |= strcmp(contents.files[j].path, needed.items[i]) == 0;
		if (!found)
			fail_msg("%s is not in the image", needed.items[i]);
	}
}

static void test_contents(void **state)
{
	ARENA_CLEANUP struct arena *arena = arena_new();
	IMAGE_CONTENTS_CLEANUP struct image_contents contents = { .arena = arena };
	struct error err = { 0 };
	size_t before;

	image_contents_add_base(&contents);
	before = contents.count;
	image_contents_add_base(&contents); /* what is there is not there twice */
	assert_int_equal(contents.count, before);
	assert_int_equal(image_contents_add_program(&contents, "/proc/self/exe", "/program", &err), 0);
	assert_true(contents.count >= before + 3);
	assert_string_equal(contents.files[before].path, "/program");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),       cmocka_unit_test(test_same_bytes),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_closure_text), cmocka_unit_test(test_closure_self), cmocka_unit_test(test_firewall_tools_are_whole),
		cmocka_unit_test(test_contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
