/* SPDX-License-Identifier: Apache-2.0 */
/* The set of images over a cache whose programs all are one small static program. */
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

#include "base/strings.h"
#include "component_fixture.h"
#include "io/file.h"
#include "local/component_place.h"
#include "local/image_set.h"

struct scene {
	char *folder;
	struct component_lock *lock;
	struct component_fetch *fetch;
	struct image_set *set;
};

static void install(struct component_cache *cache, const struct component *component, const char *file, const struct buffer *program)
{
	struct error err = { 0 };
	FREE_CLEANUP char *temporary = component_cache_temporary(cache, component, file, &err);

	assert_non_null(temporary);
	assert_int_equal(file_write_atomic(temporary, program->data, program->length, 0755, &err), 0);
	assert_int_equal(component_cache_install(cache, component, file, temporary, COMPONENT_SOURCE_BUILD, "go1.0", &err), 0);
}

static void open_scene(struct scene *scene)
{
	const char *root = getenv("KAMAJI_SOURCE_ROOT");
	FREE_CLEANUP char *components = string_printf("%s/components", root != NULL ? root : ".");
	struct error err = { 0 };
	FREE_CLEANUP char *helper = component_place_helper("pause", &err);
	BUFFER_CLEANUP struct buffer program = { 0 };
	struct component_fetch_options options = { .no_download = true, .no_build = true };

	scene->folder = fixture_folder();
	scene->lock = component_lock_read(components, &err);
	assert_string_equal(err.message, "");
	options.lock = scene->lock;
	options.cache_root = scene->folder;
	scene->fetch = component_fetch_new(&options, &err);
	assert_int_equal(file_read(helper, 16 << 20, &program, &err), 0);
	for (size_t i = 0; i < scene->lock->count; i++) {
		const struct component *component = &scene->lock->components[i];

		for (size_t j = 0; j < component->file_count; j++)
			install(component_fetch_cache(scene->fetch), component, component->files[j].name, &program);
	}
	scene->set = image_set_new(scene->fetch, NULL, NULL, &err);
	assert_string_equal(err.message, "");
	assert_non_null(scene->set);
}

static void close_scene(struct scene *scene)
{
	image_set_free(scene->set);
	component_fetch_free(scene->fetch);
	component_lock_free(scene->lock);
	fixture_remove(scene->folder);
}

static size_t find(const struct image_set *set, const char *reference)
{
	for (size_t i = 0; i < image_set_count(set); i++) {
		const struct image_entry *entry = image_set_entry(set, i);

		for (size_t j = 0; entry->references[j] != NULL; j++) {
			if (strcmp(entry->references[j], reference) == 0)
				return i;
		}
	}
	fail_msg("no image %s", reference);
	return 0;
}

static bool holds(const char *path, const char *text)
{
	BUFFER_CLEANUP struct buffer bytes = { 0 };
	struct error err = { 0 };

	assert_int_equal(file_read(path, 512u << 20, &bytes, &err), 0);
	return memmem(bytes.data, bytes.length, text, strlen(text)) != NULL;
}

static void test_names(void **state)
{
	struct scene scene;
	static const char *const wanted[] = {
		"registry.k8s.io/kube-apiserver:v1.36.3",
		"registry.k8s.io/kube-controller-manager:v1.36.3",
		"registry.k8s.io/kube-scheduler:v1.36.3",
		"registry.k8s.io/kube-proxy:v1.36.3",
		IMAGE_PAUSE,
		IMAGE_COREDNS,
		IMAGE_LOCAL_PATH,
		IMAGE_VOLUME_HELPER,
		IMAGE_KAMAJI,
	};

	open_scene(&scene);
	assert_int_equal(image_set_count(scene.set), ARRAY_LENGTH(wanted));
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++)
		(void)find(scene.set, wanted[i]);
	assert_int_equal(find(scene.set, IMAGE_COREDNS), find(scene.set, IMAGE_COREDNS_KUBEADM));
	assert_true(image_set_entry(scene.set, find(scene.set, IMAGE_KAMAJI))->ours);
	assert_false(image_set_entry(scene.set, find(scene.set, IMAGE_PAUSE))->ours);
	close_scene(&scene);
}

/* Two versions side by side: each control plane's images, and everything else once. */
static void test_versions(void **state)
{
	static const char *const versions[] = { "v1.36.3", "v1.35.0", NULL };
	struct scene scene;
	struct error err = { 0 };
	const char *path;

	open_scene(&scene);
	struct image_set *both = image_set_new(scene.fetch, versions, NULL, &err);
	assert_non_null(both);
	assert_int_equal(image_set_count(both), image_set_count(scene.set) + 4);
	(void)find(both, "registry.k8s.io/kube-apiserver:v1.36.3");
	assert_int_equal(image_set_archive(both, find(both, "registry.k8s.io/kube-apiserver:v1.35.0"), &path, NULL, &err), 0);
	assert_true(holds(path, "\"io.kamaji.component.version\":\"v1.35.0\""));
	image_set_free(both);
	close_scene(&scene);
}

/* Without a registry: what is there stays, what is missing is made here; our own is renewed when it is another. */
static void test_decide(void **state)
{
	struct scene scene;
	size_t upstream, own;

	open_scene(&scene);
	upstream = find(scene.set, IMAGE_PAUSE);
	own = find(scene.set, IMAGE_KAMAJI);
	assert_int_equal(image_set_decide(scene.set, upstream, true, false), IMAGE_KEEP);
	assert_int_equal(image_set_decide(scene.set, upstream, false, false), IMAGE_IMPORT);
	assert_int_equal(image_set_decide(scene.set, own, true, true), IMAGE_KEEP);
	assert_int_equal(image_set_decide(scene.set, own, true, false), IMAGE_IMPORT);
	assert_int_equal(image_set_decide(scene.set, own, false, false), IMAGE_IMPORT);
	close_scene(&scene);
}

static void test_labels(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	const char *path;

	open_scene(&scene);
	assert_int_equal(image_set_archive(scene.set, find(scene.set, IMAGE_COREDNS), &path, NULL, &err), 0);
	assert_true(holds(path, "\"io.kamaji.image.made-from-components\":\"true\""));
	assert_true(holds(path, "\"io.kamaji.component.version\":\"v1.14.7\""));
	assert_true(holds(path, "\"io.kamaji.component.source\":\"build\""));
	assert_true(holds(path, IMAGE_COREDNS_KUBEADM));
	assert_int_equal(image_set_archive(scene.set, find(scene.set, IMAGE_KAMAJI), &path, NULL, &err), 0);
	assert_true(holds(path, "\"io.kamaji.component.source\":\"kamaji\""));
	assert_true(holds(path, "\"65532:65532\""));
	assert_true(holds(path, "etc/ssl/certs/ca-certificates.crt"));
	close_scene(&scene);
}

/* An archive is made once for the same programs, and anew for others; the old one goes. */
static void test_reuse(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	char one[IMAGE_DIGEST_SIZE], two[IMAGE_DIGEST_SIZE];
	const char *first, *second, *program;
	struct stat before, after;
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	size_t index;

	open_scene(&scene);
	index = find(scene.set, "registry.k8s.io/kube-scheduler:v1.36.3");
	assert_int_equal(image_set_archive(scene.set, index, &first, one, &err), 0);
	assert_int_equal(stat(first, &before), 0);
	assert_int_equal(image_set_archive(scene.set, index, &second, two, &err), 0);
	assert_string_equal(first, second);
	assert_string_equal(one, two);
	assert_int_equal(stat(first, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	program = component_path(scene.fetch, "kubernetes", NULL, "kube-scheduler", &err);
	assert_int_equal(utimensat(AT_FDCWD, program, times, 0), 0);
	assert_int_equal(image_set_archive(scene.set, index, &second, two, &err), 0);
	assert_string_not_equal(first, second);
	assert_string_equal(one, two); /* the same bytes make the same image */
	assert_int_equal(stat(first, &after), -1);
	close_scene(&scene);
}

static void test_missing_component(void **state)
{
	struct scene scene;
	struct error err = { 0 };
	const char *path, *program;

	open_scene(&scene);
	program = component_path(scene.fetch, "coredns", NULL, "coredns", &err);
	assert_int_equal(remove(program), 0);
	assert_int_equal(image_set_archive(scene.set, find(scene.set, IMAGE_COREDNS), &path, NULL, &err), -1);
	assert_non_null(strstr(err.message, "coredns v1.14.7 is not in the component cache"));
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),  cmocka_unit_test(test_versions), cmocka_unit_test(test_decide),
		cmocka_unit_test(test_labels), cmocka_unit_test(test_reuse),    cmocka_unit_test(test_missing_component),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
