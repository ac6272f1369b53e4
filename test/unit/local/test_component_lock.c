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
#include "io/file.h"
#include "local/component_digest.h"
#include "local/component_lock.h"
#include "local/image_set.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char good[] =
	"format: 1\n"
	"components:\n"
	"  - name: kubernetes\n"
	"    version: v1.36.3\n"
	"    default: true\n"
	"    license: Apache-2.0\n"
	"    homepage: https://example.org\n"
	"    build: {folder: go/k, module: k8s.io/kubernetes, linker_flags: [-X a=b, -X c=d]}\n"
	"    files:\n"
	"      - name: kubectl\n"
	"        package: k8s.io/kubernetes/cmd/kubectl\n"
	"        download:\n"
	"          url: https://example.org/{version}/{architecture}/kubectl\n"
	"          sha256: {amd64: " A64 ", arm64: " B64 "}\n"
	"  - name: kubernetes\n"
	"    version: v1.37.0\n"
	"    license: Apache-2.0\n"
	"    homepage: https://example.org\n"
	"    build: {folder: go/k37, module: k8s.io/kubernetes}\n"
	"    files: [{name: kubectl, package: k8s.io/kubernetes/cmd/kubectl}]\n"
	"  - name: tool\n"
	"    version: v2.0\n"
	"    default: true\n"
	"    license: Apache-2.0\n"
	"    homepage: https://example.org\n"
	"    download: {url: \"https://example.org/t-{number}.tgz\", checksums: https://example.org/sums, sha256: unknown}\n"
	"    build: {folder: go/t, module: example.org/t, cgo: true, tags: [x, y], needs: libx-dev}\n"
	"    files:\n"
	"      - {name: one, package: example.org/t/one, member: \"t-{number}/one\"}\n"
	"      - {name: two, package: example.org/t/two, member: \"t-{number}/two\"}\n";

static struct component_lock *parse(const char *text, const char *architecture, struct error *err)
{
	return component_lock_parse(text, strlen(text), "/lock", architecture, err);
}

static void test_good(void **state)
{
	struct error err = { 0 };
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = parse(good, "arm64", &err);
	const struct component *kubernetes, *tool;
	const char *versions[4];

	assert_string_equal(err.message, "");
	assert_non_null(lock);
	assert_int_equal(lock->count, 3);
	kubernetes = component_lock_find(lock, "kubernetes", NULL, &err);
	assert_string_equal(kubernetes->version, "v1.36.3");
	assert_string_equal(kubernetes->number, "1.36.3");
	assert_string_equal(kubernetes->build.folder, "/lock/go/k");
	assert_string_equal(kubernetes->build.linker_flags, "-X a=b -X c=d");
	assert_string_equal(kubernetes->files[0].download->url, "https://example.org/v1.36.3/arm64/kubectl");
	assert_string_equal(kubernetes->files[0].download->sha256, B64);
	assert_null(kubernetes->files[0].member);
	assert_string_equal(component_lock_find(lock, "kubernetes", "v1.37.0", &err)->build.folder, "/lock/go/k37");
	assert_int_equal(component_kubernetes_versions(lock, versions, 4), 2);
	assert_string_equal(versions[1], "v1.37.0");
	tool = component_lock_find(lock, "tool", "v2.0", &err);
	assert_true(tool->build.cgo);
	assert_string_equal(tool->build.tags, "x,y");
	assert_string_equal(tool->files[1].member, "t-2.0/two");
	assert_ptr_equal(tool->files[0].download, tool->files[1].download);
	assert_string_equal(tool->files[0].download->sha256, "");
	assert_null(component_lock_find(lock, "kubernetes", "v1.1.1", &err));
	assert_non_null(strstr(err.message, "v1.36.3, v1.37.0"));
	assert_null(component_lock_find(lock, "nothing", NULL, &err));
	assert_int_equal(err.class, ERROR_NOT_FOUND);
}

/* Replaces the first `from` in the good text and expects an error that says `message`. */
static void expect_refused(const char *from, const char *to, const char *message)
{
	struct error err = { 0 };
	const char *at = strstr(good, from);
	FREE_CLEANUP char *text = NULL;
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = NULL;

	assert_non_null(at);
	text = string_printf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	lock = parse(text, "amd64", &err);
	assert_null(lock);
	if (strstr(err.message, message) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.message, message);
}

static void test_bad(void **state)
{
	expect_refused("format: 1", "format: 2", "format");
	expect_refused("format: 1", "format: 1\nextra: 1", "unknown member \"extra\"");
	expect_refused("    version: v1.36.3\n", "", "components[0] (kubernetes): version: missing");
	expect_refused("version: v1.36.3", "version: ../x", "version: must be a plain file name");
	expect_refused("version: v1.36.3", "version: v1.37.0", "v1.37.0 is listed twice");
	expect_refused("name: kubectl", "name: a/b", "files[0].");
	expect_refused("name: kubectl", "nam: kubectl", "unknown member \"nam\"");
	expect_refused(A64, "abc", "files[0].download.sha256: must be 64");
	expect_refused("amd64: " A64, "riscv64: " A64, "missing for amd64");
	expect_refused("https://example.org/{version}/{architecture}", "http://example.org",
	               "files[0].download.url: must begin with https://");
	expect_refused("{architecture}/kubectl", "{arch}/kubectl", "placeholders are");
	expect_refused("checksums: https://example.org/sums, ", "", "checksums: missing");
	expect_refused("folder: go/t", "folder: ../t", "build.folder");
	expect_refused("folder: go/t, ", "", "components[2] (tool): build.folder: missing");
	expect_refused("cgo: true", "cgo: maybe", "cgo: must be true or false");
	expect_refused("tags: [x, y]", "tags: [x, 5]", "build.tags");
	expect_refused("    default: true\n", "", "exactly one of its versions");
	expect_refused("name: two", "name: one", "one is listed twice");
	expect_refused(", member: \"t-{number}/one\"}\n", "}\n", "give each a member");
}

/* Neither member nor own download: two files cannot both be the same download. */
static void test_ambiguous(void **state)
{
	struct error err = { 0 };
	FREE_CLEANUP char *text = string_printf(
		"format: 1\ncomponents:\n  - name: t\n    version: v1\n    default: true\n    license: x\n    homepage: https://e\n"
		"    download: {url: https://e/t, sha256: " A64 "}\n    build: {folder: f, module: m}\n"
		"    files: [{name: one, package: p}, {name: two, package: p}]\n");
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = parse(text, "amd64", &err);

	assert_null(lock);
	assert_non_null(strstr(err.message, "give each a member"));
}

static void test_not_yaml(void **state)
{
	static const char *const texts[] = { "", "[", "a: b: c", "- 1", "\xff\xfe", "format: 1\ncomponents: []\n" };

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct error err = { 0 };

		assert_null(parse(texts[i], "amd64", &err));
		assert_true(err.message[0] != '\0');
	}
}

/* The lock file of the tree itself, both architectures, and that the image names in image_set.h follow it. */
static void test_own_lock(void **state)
{
	const char *root = getenv("KAMAJI_SOURCE_ROOT");
	FREE_CLEANUP char *folder = string_printf("%s/components", root != NULL ? root : ".");
	FREE_CLEANUP char *path = string_printf("%s/components.lock", folder);
	BUFFER_CLEANUP struct buffer text = { 0 };
	static const char *const architectures[] = { "amd64", "arm64" };
	struct error err = { 0 };

	assert_int_equal(file_read(path, COMPONENT_LOCK_BYTES_MAX, &text, &err), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(architectures); i++) {
		COMPONENT_LOCK_CLEANUP struct component_lock *lock =
			component_lock_parse(text.data, text.length, folder, architectures[i], &err);

		assert_string_equal(err.message, "");
		for (size_t j = 0; j < lock->count; j++) {
			FREE_CLEANUP char *sum = string_printf("%s/go.sum", lock->components[j].build.folder);

			assert_true(file_exists(sum));
		}
		assert_true(string_has_suffix(IMAGE_COREDNS, component_lock_find(lock, "coredns", NULL, &err)->version));
		assert_true(string_has_suffix(IMAGE_LOCAL_PATH, component_lock_find(lock, "local-path-provisioner", NULL, &err)->version));
		assert_int_equal(component_lock_find(lock, "kubernetes", NULL, &err)->file_count, 7);
		assert_false(component_lock_find(lock, "kubernetes", "v1.35.0", &err)->is_default); /* for the proof of an upgrade */
	}
}

static void test_digest_find(void **state)
{
	char sha256[COMPONENT_SHA256_SIZE];
	struct error err = { 0 };
	static const char list[] =
		"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" A64 "  ./x/runc.amd64\r\n" B64 " *runc.arm64\nrest\n";

	assert_int_equal(component_digest_find(list, strlen(list), "runc.amd64", sha256, &err), 0);
	assert_string_equal(sha256, A64);
	assert_int_equal(component_digest_find(list, strlen(list), "runc.arm64", sha256, &err), 0);
	assert_string_equal(sha256, B64);
	assert_int_equal(component_digest_find(list, strlen(list), "runc", sha256, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_int_equal(component_digest_find(A64 "\n", 65, "anything", sha256, &err), 0);
	assert_string_equal(sha256, A64);
	assert_int_equal(component_digest_find(A64 "  f\n" B64 "  f\n", 136, "f", sha256, &err), -1);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_int_equal(component_digest_find("", 0, "f", sha256, &err), -1);
	component_digest_bytes("abc", 3, sha256);
	assert_string_equal(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),     cmocka_unit_test(test_bad),      cmocka_unit_test(test_ambiguous),
		cmocka_unit_test(test_not_yaml), cmocka_unit_test(test_own_lock), cmocka_unit_test(test_digest_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
