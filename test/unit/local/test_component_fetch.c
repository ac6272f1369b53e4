/* SPDX-License-Identifier: Apache-2.0 */
/* The order of sources, refusals, and the cache, with real files, a real web server on loopback and a real `go build`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "component_fixture.h"
#include "io/file.h"
#include "local/component_digest.h"
#include "local/component_fetch.h"

struct scene {
	char *folder, *given, *cache, *source;
	struct buffer archive; /* tool.tgz: bin/one, bin/two */
	char archive_sha256[COMPONENT_SHA256_SIZE];
	char sums[256];
	struct fixture_server server;
	struct component_lock *lock;
	struct component_fetch *fetch;
	char notices[4096], done[4096];
};

static void note(void *context, const struct component_progress *progress)
{
	struct scene *scene = context;

	if (progress->activity == COMPONENT_ACTIVITY_NOTICE)
		(void)snprintf(scene->notices + strlen(scene->notices), sizeof(scene->notices) - strlen(scene->notices), "%s\n",
		               progress->text);
	if (progress->activity == COMPONENT_ACTIVITY_DONE)
		(void)snprintf(scene->done + strlen(scene->done), sizeof(scene->done) - strlen(scene->done), "%s: %s\n", progress->file,
		               progress->text);
}

static void make_archive(struct scene *scene)
{
	struct buffer plain = { 0 };

	fixture_tar_member(&plain, "bin/one", '0', "one from the archive", 20);
	fixture_tar_member(&plain, "bin/two", '0', "two from the archive", 20);
	fixture_tar_end(&plain);
	fixture_gzip(&plain, &scene->archive);
	buffer_free(&plain);
	component_digest_bytes(scene->archive.data, scene->archive.length, scene->archive_sha256);
}

/* sha256: of the archive in the lock, or "unknown". */
static void write_lock(struct scene *scene, const char *sha256)
{
	FREE_CLEANUP char *text = string_printf(
		"format: 1\ncomponents:\n  - name: tool\n    version: v1\n    default: true\n    license: x\n    homepage: https://e\n"
		"    download: {url: \"http://127.0.0.1:%u/tool.tgz\", checksums: \"http://127.0.0.1:%u/sums\", sha256: %s}\n"
		"    build: {folder: m, module: example.org/tool}\n"
		"    files:\n      - {name: one, package: example.org/tool, member: bin/one}\n"
		"      - {name: two, package: example.org/tool, member: bin/two}\n",
		scene->server.port, scene->server.port, sha256);
	struct error err = { 0 };

	component_lock_free(scene->lock);
	scene->lock = component_lock_parse(text, strlen(text), scene->source, component_architecture(), &err);
	assert_string_equal(err.message, "");
	assert_non_null(scene->lock);
}

/* A Go module that needs nothing from the network: the package is the module itself. */
static void write_module(const struct scene *scene)
{
	static const char module[] = "module example.org/tool\n\ngo 1.20\n";
	static const char program[] = "package main\n\nfunc main() { println(\"built\") }\n";
	FREE_CLEANUP char *folder = string_printf("%s/m", scene->source);

	assert_int_equal(mkdir(folder, 0755), 0);
	fixture_write(folder, "go.mod", module, strlen(module));
	fixture_write(folder, "main.go", program, strlen(program));
}

static void open_scene(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->folder = fixture_folder();
	scene->given = string_printf("%s/given", scene->folder);
	scene->cache = string_printf("%s/cache", scene->folder);
	scene->source = string_printf("%s/source", scene->folder);
	assert_int_equal(mkdir(scene->given, 0755) | mkdir(scene->source, 0755), 0);
	make_archive(scene);
	(void)snprintf(scene->sums, sizeof(scene->sums), "%s  tool.tgz\n", scene->archive_sha256);
	scene->server = (struct fixture_server){
		.path = "/tool.tgz", .body = scene->archive.data, .length = scene->archive.length, .sums_path = "/sums", .sums = scene->sums
	};
	fixture_server_start(&scene->server);
	write_lock(scene, scene->archive_sha256);
	write_module(scene);
}

static void close_scene(struct scene *scene)
{
	fixture_server_stop(&scene->server);
	component_fetch_free(scene->fetch);
	component_lock_free(scene->lock);
	buffer_free(&scene->archive);
	fixture_remove(scene->folder);
	free(scene->given);
	free(scene->cache);
	free(scene->source);
}

static int ensure(struct scene *scene, bool folder, bool download, bool build, struct error *err)
{
	struct component_fetch_options options = { .lock = scene->lock,
		                                   .cache_root = scene->cache,
		                                   .from_folder = folder ? scene->given : NULL,
		                                   .no_download = !download,
		                                   .no_build = !build,
		                                   .allow_http = true,
		                                   .progress = note,
		                                   .context = scene };

	scene->notices[0] = scene->done[0] = '\0';
	component_fetch_free(scene->fetch);
	*err = (struct error){ 0 };
	scene->fetch = component_fetch_new(&options, err);
	assert_non_null(scene->fetch);
	return component_ensure(scene->fetch, "tool", NULL, NULL, err);
}

static void expect_file(struct scene *scene, const char *file, const char *text, enum component_source source)
{
	struct component_record record;
	enum component_state state;
	struct error err = { 0 };
	const char *path = component_path(scene->fetch, "tool", NULL, file, &err);
	BUFFER_CLEANUP struct buffer bytes = { 0 };
	struct stat info;

	assert_int_equal(file_read(path, 1 << 20, &bytes, &err), 0);
	assert_string_equal(bytes.data, text);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0755);
	assert_int_equal(component_look(scene->fetch, &scene->lock->components[0], file, &state, &record, &err), 0);
	assert_int_equal(state, COMPONENT_GOOD);
	assert_int_equal(record.source, source);
}

static void test_download(void **state)
{
	struct scene scene;
	struct error err;

	open_scene(&scene);
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	expect_file(&scene, "one", "one from the archive", COMPONENT_SOURCE_DOWNLOAD);
	expect_file(&scene, "two", "two from the archive", COMPONENT_SOURCE_DOWNLOAD);
	assert_int_equal(atomic_load(&scene.server.requests), 1); /* one archive, two files */
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	assert_string_equal(scene.done, "");
	assert_int_equal(atomic_load(&scene.server.requests), 1);
	close_scene(&scene);
}

static void test_published_checksum(void **state)
{
	struct scene scene;
	struct error err;

	open_scene(&scene);
	write_lock(&scene, "unknown");
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	expect_file(&scene, "one", "one from the archive", COMPONENT_SOURCE_DOWNLOAD);
	assert_int_equal(file_remove_tree(scene.cache, &err), 0);
	scene.sums[0] ^= 1; /* the published list names another digest */
	assert_int_equal(ensure(&scene, false, true, true, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "tool.tgz is refused"));
	assert_string_equal(scene.done, ""); /* and nothing was built in its place */
	close_scene(&scene);
}

static void test_wrong_download(void **state)
{
	struct scene scene;
	struct error err;

	open_scene(&scene);
	scene.archive.data[scene.archive.length - 1] ^= 1;
	assert_int_equal(ensure(&scene, false, true, true, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "tool.tgz is refused"));
	assert_string_equal(scene.done, "");
	close_scene(&scene);
}

/* The folder goes before the download and before what the cache has. */
static void test_folder(void **state)
{
	struct scene scene;
	struct error err;
	char sums[200], sha256[COMPONENT_SHA256_SIZE];

	open_scene(&scene);
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	fixture_write(scene.given, "one", "one of mine", 11);
	assert_int_equal(ensure(&scene, true, true, false, &err), 0);
	expect_file(&scene, "one", "one of mine", COMPONENT_SOURCE_FOLDER);
	expect_file(&scene, "two", "two from the archive", COMPONENT_SOURCE_DOWNLOAD);
	assert_non_null(strstr(scene.notices, "unchecked"));
	/* The same again is not installed again. */
	assert_int_equal(ensure(&scene, true, true, false, &err), 0);
	assert_string_equal(scene.done, "");
	/* Listed, and it fits. */
	component_digest_bytes("one of mine", 11, sha256);
	(void)snprintf(sums, sizeof(sums), "%s  one\n", sha256);
	fixture_write(scene.given, "SHA256SUMS", sums, strlen(sums));
	assert_int_equal(ensure(&scene, true, true, false, &err), 0);
	assert_string_equal(scene.notices, "");
	/* Listed, and it does not: refused by name, what was there stays. */
	fixture_write(scene.given, "one", "one of mime", 11);
	assert_int_equal(ensure(&scene, true, true, true, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "given/one is refused"));
	expect_file(&scene, "one", "one of mine", COMPONENT_SOURCE_FOLDER);
	close_scene(&scene);
}

static void test_folder_archive(void **state)
{
	struct scene scene;
	struct error err;

	open_scene(&scene);
	fixture_write(scene.given, "tool.tgz", scene.archive.data, scene.archive.length);
	assert_int_equal(ensure(&scene, true, false, false, &err), 0);
	expect_file(&scene, "two", "two from the archive", COMPONENT_SOURCE_FOLDER);
	assert_string_equal(scene.notices, ""); /* the lock knows the archive's digest */
	assert_int_equal(file_remove_tree(scene.cache, &err), 0);
	scene.archive.data[20] ^= 1;
	fixture_write(scene.given, "tool.tgz", scene.archive.data, scene.archive.length);
	assert_int_equal(ensure(&scene, true, false, false, &err), -1);
	assert_non_null(strstr(err.message, "given/tool.tgz is refused"));
	close_scene(&scene);
}

static void test_build(void **state)
{
	struct scene scene;
	struct error err;

	open_scene(&scene);
	fixture_server_stop(&scene.server);
	assert_int_equal(ensure(&scene, false, true, true, &err), 0);
	assert_string_equal(err.message, "");
	assert_non_null(strstr(scene.notices, "official downloads cannot be had"));
	assert_non_null(strstr(scene.done, "one: build (go"));
	assert_non_null(strstr(scene.done, "two: build (go"));
	/* Broken source: the compiler's words reach the user. */
	assert_int_equal(file_remove_tree(scene.cache, &err), 0);
	{
		FREE_CLEANUP char *module = string_printf("%s/m", scene.source);

		fixture_write(module, "main.go", "package main\n\nfunc main() { nothing() }\n", 41);
	}
	assert_int_equal(ensure(&scene, false, false, true, &err), -1);
	assert_non_null(strstr(err.message, "undefined: nothing"));
	assert_non_null(strstr(err.message, "build.log"));
	scene.server.stop = false;
	fixture_server_start(&scene.server);
	close_scene(&scene);
}

static void test_nothing_left(void **state)
{
	struct scene scene;
	struct error err;

	open_scene(&scene);
	assert_int_equal(ensure(&scene, true, false, false, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "one cannot be had"));
	close_scene(&scene);
}

static void damage(struct scene *scene, const char *text, bool keep_time)
{
	struct error err = { 0 };
	const char *path = component_path(scene->fetch, "tool", NULL, "one", &err);
	struct timespec times[2];
	struct stat info;
	FILE *file;

	assert_int_equal(stat(path, &info), 0);
	file = fopen(path, "r+");
	assert_non_null(file);
	(void)fputs(text, file);
	(void)fclose(file);
	times[0] = info.st_atim;
	times[1] = info.st_mtim;
	if (!keep_time)
		times[1].tv_sec += 5;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static enum component_state look(struct scene *scene, bool deep)
{
	enum component_state state;
	struct error err = { 0 };

	assert_int_equal(
		component_cache_check(component_fetch_cache(scene->fetch), &scene->lock->components[0], "one", deep, &state, NULL, &err),
		0);
	return state;
}

static void test_damaged_cache(void **state)
{
	struct scene scene;
	struct error err;

	open_scene(&scene);
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	damage(&scene, "ONE", true); /* time and size lie: only a deep look finds it */
	assert_int_equal(look(&scene, false), COMPONENT_GOOD);
	assert_int_equal(look(&scene, true), COMPONENT_CORRUPT);
	damage(&scene, "one", false); /* the right bytes at another time */
	assert_int_equal(look(&scene, false), COMPONENT_GOOD);
	damage(&scene, "ONE", false);
	assert_int_equal(look(&scene, false), COMPONENT_CORRUPT);
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	assert_non_null(strstr(scene.notices, "bin/one is damaged"));
	expect_file(&scene, "one", "one from the archive", COMPONENT_SOURCE_DOWNLOAD);
	assert_null(strstr(scene.done, "two:")); /* only what was damaged is installed again */
	close_scene(&scene);
}

static void test_damaged_manifest(void **state)
{
	struct scene scene;
	struct error err;
	static const char *const texts[] = { "", "{", "[]", "{\"format\":1}", "{\"format\":2,\"files\":{}}" };

	open_scene(&scene);
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		FREE_CLEANUP char *folder = string_printf("%s/tool/v1", scene.cache);

		assert_int_equal(ensure(&scene, false, true, false, &err), 0);
		fixture_write(folder, "manifest.json", texts[i], strlen(texts[i]));
		assert_int_equal(look(&scene, false), COMPONENT_ABSENT);
	}
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	close_scene(&scene);
}

/* Another process holds the cache: the call waits and can be given up. */
static void test_lock(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	struct component_cache *other;
	CANCEL_CLEANUP struct cancel *cancel = NULL;

	open_scene(&scene);
	assert_int_equal(ensure(&scene, false, true, false, &err), 0);
	assert_int_equal(file_remove_tree(scene.cache, &err), 0);
	other = component_cache_open(scene.cache, &err);
	assert_int_equal(component_cache_lock(other, false, &err), 0);
	cancel = cancel_new(NULL, UINT64_MAX);
	cancel_trigger(cancel);
	assert_int_equal(component_ensure(scene.fetch, "tool", NULL, cancel, &err), -1);
	assert_int_equal(err.class, ERROR_CANCELLED);
	component_cache_close(other);
	assert_int_equal(component_ensure(scene.fetch, "tool", NULL, NULL, &err), 0);
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_download),     cmocka_unit_test(test_published_checksum), cmocka_unit_test(test_wrong_download),
		cmocka_unit_test(test_folder),       cmocka_unit_test(test_folder_archive),     cmocka_unit_test(test_build),
		cmocka_unit_test(test_nothing_left), cmocka_unit_test(test_damaged_cache),      cmocka_unit_test(test_damaged_manifest),
		cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
