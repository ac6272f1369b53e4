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
#include "local/component_digest.h"
#include "local/download.h"

enum { LENGTH = 400000 };

struct scene {
	char *folder, *path, *body, *url;
	char sha256[COMPONENT_SHA256_SIZE];
	struct fixture_server server;
	struct downloader *downloader;
};

static void open_scene(struct scene *scene, size_t cut_after, bool ignore_range)
{
	struct error err = { 0 };

	scene->folder = fixture_folder();
	scene->path = string_printf("%s/file", scene->folder);
	scene->body = malloc(LENGTH);
	for (size_t i = 0; i < LENGTH; i++)
		scene->body[i] = (char)(i * 31 + i / 251);
	component_digest_bytes(scene->body, LENGTH, scene->sha256);
	scene->server = (struct fixture_server){
		.path = "/file", .body = scene->body, .length = LENGTH, .cut_after = cut_after, .ignore_range = ignore_range
	};
	fixture_server_start(&scene->server);
	scene->url = string_printf("http://127.0.0.1:%u/file", scene->server.port);
	scene->downloader = downloader_new(true, &err);
	assert_non_null(scene->downloader);
}

static void close_scene(struct scene *scene)
{
	fixture_server_stop(&scene->server);
	downloader_free(scene->downloader);
	fixture_remove(scene->folder);
	free(scene->path);
	free(scene->body);
	free(scene->url);
}

static void check_file(const struct scene *scene)
{
	char sha256[COMPONENT_SHA256_SIZE];
	struct error err = { 0 };

	assert_int_equal(component_digest_file(scene->path, sha256, NULL, &err), 0);
	assert_string_equal(sha256, scene->sha256);
	assert_false(fixture_exists(scene->folder, "file.part"));
}

static void note_progress(void *context, const struct download_progress *progress)
{
	struct download_progress *last = context;

	assert_true(progress->done >= last->done);
	*last = *progress;
}

static void test_whole(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	struct download_progress last = { 0 };

	open_scene(&scene, 0, false);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, note_progress, &last, NULL, &err), 0);
	check_file(&scene);
	assert_int_equal(last.done, LENGTH);
	assert_int_equal(last.total, LENGTH);
	assert_int_equal(atomic_load(&scene.server.requests), 1);
	close_scene(&scene);
}

/* Every connection is cut; each goes on where the last one ended. */
static void test_cut_connections(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	struct download_progress last = { 0 };

	open_scene(&scene, LENGTH / 4 + 1, false);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, note_progress, &last, NULL, &err), 0);
	check_file(&scene);
	assert_int_equal(atomic_load(&scene.server.requests), 4);
	assert_int_equal(atomic_load(&scene.server.ranged), 3);
	close_scene(&scene);
}

/* A part that an earlier run left is used; one of other bytes is found out and fetched again from the start. */
static void test_resume(void **state)
{
	struct scene scene;
	struct error err = { 0 };

	open_scene(&scene, 0, false);
	fixture_write(scene.folder, "file.part", scene.body, LENGTH / 2);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, NULL, NULL, NULL, &err), 0);
	check_file(&scene);
	assert_int_equal(atomic_load(&scene.server.ranged), 1);
	fixture_write(scene.folder, "file.part", scene.body + 5, LENGTH / 2);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, NULL, NULL, NULL, &err), 0);
	check_file(&scene);
	assert_int_equal(atomic_load(&scene.server.requests), 3);
	/* Already whole: the server has nothing to add. */
	fixture_write(scene.folder, "file.part", scene.body, LENGTH);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, NULL, NULL, NULL, &err), 0);
	check_file(&scene);
	close_scene(&scene);
}

static void test_server_without_ranges(void **state)
{
	struct scene scene;
	struct error err = { 0 };

	open_scene(&scene, 0, true);
	fixture_write(scene.folder, "file.part", "other bytes", 11);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, NULL, NULL, NULL, &err), 0);
	check_file(&scene);
	assert_int_equal(atomic_load(&scene.server.requests), 1);
	close_scene(&scene);
}

static void test_wrong_digest(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	char other[COMPONENT_SHA256_SIZE];

	open_scene(&scene, 0, false);
	component_digest_bytes("", 0, other);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, other, NULL, NULL, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, scene.url));
	assert_non_null(strstr(err.message, scene.sha256));
	assert_false(fixture_exists(scene.folder, "file"));
	assert_false(fixture_exists(scene.folder, "file.part"));
	close_scene(&scene);
}

/* A server that gives nothing at all is not asked for ever; what is there stays for the next run. */
static void test_no_progress(void **state)
{
	struct scene scene;
	struct error err = { 0 };

	open_scene(&scene, 100000, false);
	scene.server.path = "/other";
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, NULL, NULL, NULL, &err), -1);
	assert_int_equal(err.status, 404);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	close_scene(&scene);
}

static void test_text_limit(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	struct buffer text = { 0 };

	open_scene(&scene, 0, false);
	assert_int_equal(downloader_text(scene.downloader, scene.url, 1000, NULL, &text, &err), -1);
	assert_int_equal(err.class, ERROR_EXHAUSTED);
	buffer_free(&text);
	text = (struct buffer){ 0 };
	assert_int_equal(downloader_text(scene.downloader, scene.url, LENGTH, NULL, &text, &err), 0);
	assert_int_equal(text.length, LENGTH);
	buffer_free(&text);
	close_scene(&scene);
}

/* The first answer holds: later files do not wait for their own attempt. */
static void test_reach_once(void **state)
{
	struct scene scene;
	struct error err = { 0 }, again;
	struct downloader *closed;

	open_scene(&scene, 0, false);
	assert_int_equal(downloader_reach(scene.downloader, scene.url, NULL, &err), 0);
	closed = downloader_new(true, &err);
	/* Port 1 of loopback: nobody listens. */
	assert_int_equal(downloader_reach(closed, "http://127.0.0.1:1/x", NULL, &err), -1);
	assert_true(err.message[0] != '\0');
	/* An attempt of its own would succeed. */
	again = err;
	assert_int_equal(downloader_reach(closed, scene.url, NULL, &again), -1);
	assert_string_equal(again.message, err.message);
	assert_int_equal(atomic_load(&scene.server.requests), 0);
	downloader_free(closed);
	close_scene(&scene);
}

static void test_only_https(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	struct downloader *strict;

	open_scene(&scene, 0, false);
	strict = downloader_new(false, &err);
	assert_int_equal(downloader_file(strict, scene.url, scene.path, NULL, NULL, NULL, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_int_equal(atomic_load(&scene.server.requests), 0);
	downloader_free(strict);
	close_scene(&scene);
}

static void test_cancel(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, UINT64_MAX);

	open_scene(&scene, 0, false);
	cancel_trigger(cancel);
	assert_int_equal(downloader_file(scene.downloader, scene.url, scene.path, scene.sha256, NULL, NULL, cancel, &err), -1);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_false(fixture_exists(scene.folder, "file"));
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),        cmocka_unit_test(test_cut_connections),
		cmocka_unit_test(test_resume),       cmocka_unit_test(test_server_without_ranges),
		cmocka_unit_test(test_wrong_digest), cmocka_unit_test(test_no_progress),
		cmocka_unit_test(test_text_limit),   cmocka_unit_test(test_reach_once),
		cmocka_unit_test(test_only_https),   cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
