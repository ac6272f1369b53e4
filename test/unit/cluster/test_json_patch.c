/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strings.h"
#include "cluster/json_patch.h"

static json_t *parse(const char *text)
{
	struct error err;
	json_t *value = json_parse(text, strlen(text), &err);

	assert_non_null(value);
	return value;
}

/* Examples of RFC 6902 appendix A and of what users write. expected NULL: the patch is refused and the document stays. */
static void check(const char *document, const char *patch, const char *expected)
{
	json_t *value = parse(document);
	JSON_CLEANUP json_t *operations = parse(patch);
	JSON_CLEANUP json_t *wanted = parse(expected ? expected : document);
	struct error err = { 0 };
	int status = json_patch_apply(&value, operations, &err);

	assert_int_equal(status, expected ? 0 : -1);
	assert_true(json_equal(value, wanted));
	if (!expected)
		assert_int_equal(err.class, ERROR_INVALID);
	json_decref(value);
}

static void test_operations(void **state)
{
	check("{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]", "{\"baz\":\"qux\",\"foo\":\"bar\"}");
	check("{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
	      "{\"foo\":[\"bar\",\"qux\",\"baz\"]}");
	check("{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":1}]", "{\"foo\":[\"bar\",1]}");
	check("{\"baz\":1,\"foo\":2}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":2}");
	check("{\"foo\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", "{\"foo\":[1,3]}");
	check("{\"foo\":[1,2]}", "[{\"op\":\"replace\",\"path\":\"/foo/0\",\"value\":9}]", "{\"foo\":[9,2]}");
	check("{\"a\":{\"b\":1},\"c\":{}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/c/d\"}]", "{\"a\":{},\"c\":{\"d\":1}}");
	check("{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"}]", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}");
	check("{\"a/b\":1,\"m~n\":2}", "[{\"op\":\"test\",\"path\":\"/a~1b\",\"value\":1},{\"op\":\"remove\",\"path\":\"/m~0n\"}]",
	      "{\"a/b\":1}");
	check("{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":2}}]", "{\"b\":2}");
	check("{\"a\":1}", "[]", "{\"a\":1}");
}

/* The documented patch of a driver that is not set. */
static void test_replace_adds_what_is_absent(void **state)
{
	check("{}", "[{\"op\":\"replace\",\"path\":\"/cgroupDriver\",\"value\":\"cgroupfs\"}]", "{\"cgroupDriver\":\"cgroupfs\"}");
}

/* So does one that takes away what only some versions write. */
static void test_remove_of_what_is_absent(void **state)
{
	check("{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", "{\"a\":1}");
	check("{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b/c\"}]", "{\"a\":1}");
}

static void test_refusals(void **state)
{
	check("{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"b\"}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/x/y\",\"value\":1}]", NULL);
	check("{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]", NULL);
	check("{\"a\":[1]}", "[{\"op\":\"replace\",\"path\":\"/a/01\",\"value\":1}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL);
	check("{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"frobnicate\",\"path\":\"/a\"}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2},{\"op\":\"move\",\"from\":\"/c\",\"path\":\"/d\"}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"copy\",\"path\":\"/b\"}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"add\"}]", NULL);
	check("{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_replace_adds_what_is_absent),
		cmocka_unit_test(test_remove_of_what_is_absent),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
