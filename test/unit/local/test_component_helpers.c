/* SPDX-License-Identifier: Apache-2.0 */
/* The static programs that become images, run as they will run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "component_fixture.h"
#include "io/file.h"
#include "io/process.h"
#include "local/component_place.h"
#include "local/image_closure.h"

/* Runs the volume helper as `name` with VOL_DIR=directory and VOL_MODE=mode; the exit code. */
static int run_helper(const char *folder, const char *name, const char *directory, const char *mode)
{
	struct error err = { 0 };
	FREE_CLEANUP char *program = component_place_helper("volume-helper", &err);
	FREE_CLEANUP char *link = string_printf("%s/%s", folder, name);
	FREE_CLEANUP char *first = string_printf("VOL_DIR=%s", directory);
	FREE_CLEANUP char *second = string_printf("VOL_MODE=%s", mode);
	const char *const arguments[] = { link, NULL };
	const char *const environment[] = { first, second, NULL };
	struct process_options options = { .arguments = arguments, .environment = environment, .timeout_ms = 10000 };
	int code = -1;

	assert_non_null(program);
	(void)unlink(link);
	assert_int_equal(symlink(program, link), 0);
	(void)process_run(&options, NULL, &code, &err);
	return code;
}

static void test_volume(void **state)
{
	char *folder = fixture_folder();
	FREE_CLEANUP char *volume = string_printf("%s/a/b/volume", folder);
	FREE_CLEANUP char *inside = string_printf("%s/deep/er", volume);
	FREE_CLEANUP char *link = string_printf("%s/link", volume);
	FREE_CLEANUP char *outside = string_printf("%s/outside", folder);
	struct stat info;

	assert_int_equal(run_helper(folder, "setup", volume, "Filesystem"), 0);
	assert_int_equal(stat(volume, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0777);
	assert_int_equal(run_helper(folder, "setup", volume, "Filesystem"), 0); /* again is fine */
	assert_int_equal(run_helper(folder, "setup", inside, "Filesystem"), 0);
	assert_int_equal(mkdir(outside, 0755), 0);
	fixture_write(outside, "kept", "x", 1);
	fixture_write(inside, "file", "x", 1);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(run_helper(folder, "teardown", volume, "Filesystem"), 0);
	assert_int_equal(access(volume, F_OK), -1);
	assert_true(fixture_exists(outside, "kept"));                              /* a link in a volume is removed, not followed */
	assert_int_equal(run_helper(folder, "teardown", volume, "Filesystem"), 0); /* gone already */
	fixture_remove(folder);
}

static void test_volume_refusals(void **state)
{
	char *folder = fixture_folder();
	FREE_CLEANUP char *volume = string_printf("%s/v", folder);
	FREE_CLEANUP char *climbing = string_printf("%s/x/../v", folder);

	assert_int_equal(run_helper(folder, "setup", volume, "Block"), 2);
	assert_int_equal(run_helper(folder, "setup", "relative", "Filesystem"), 2);
	assert_int_equal(run_helper(folder, "teardown", "/", "Filesystem"), 2);
	assert_int_equal(run_helper(folder, "teardown", climbing, "Filesystem"), 2);
	assert_int_equal(run_helper(folder, "other", volume, "Filesystem"), 2);
	assert_false(fixture_exists(folder, "v"));
	fixture_remove(folder);
}

/* Begun and asleep, which it is for one reason only: until then signals do to it what they do to everybody. */
static bool waits_for_signals(pid_t pid)
{
	FREE_CLEANUP char *path = string_printf("/proc/%d/stat", (int)pid);
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error err;

	return file_read(path, 1 << 16, &text, &err) == 0 && strstr(text.data, " (pause) S ") != NULL;
}

static void test_pause(void **state)
{
	struct error err = { 0 };
	FREE_CLEANUP char *program = component_place_helper("pause", &err);
	const char *const arguments[] = { program, NULL };
	struct process_options options = { .arguments = arguments };
	STRING_LIST_CLEANUP struct string_list libraries = { 0 };
	bool waits = false;
	pid_t pid;
	int status;

	assert_non_null(program);
	assert_int_equal(image_closure_read(program, &libraries, &err), 0);
	assert_int_equal(libraries.count, 0); /* static: fits an image of one file */
	assert_int_equal(process_start(&options, &pid, &err), 0);
	for (int i = 0; i < 2000 && !waits; i++) {
		usleep(10000);
		waits = waits_for_signals(pid);
	}
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	assert_int_equal(kill(pid, waits ? SIGTERM : SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_volume),
		cmocka_unit_test(test_volume_refusals),
		cmocka_unit_test(test_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
