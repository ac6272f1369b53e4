/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "base/yaml.h"

static json_t *parse(const char *text)
{
	struct error err;
	json_t *value = json_parse(text, strlen(text), &err);

	assert_non_null(value);
	return value;
}

static void paths(void **state)
{
	json_t *value JSON_CLEANUP = parse("{\"spec\":{\"list\":[{\"name\":\"a\"},{\"name\":\"b\",\"port\":9007199254740993}]}}");
	json_t *fresh JSON_CLEANUP = json_object();
	char *text FREE_CLEANUP = NULL;

	assert_string_equal(json_string_at(value, "spec.list[1].name"), "b");
	assert_int_equal(json_integer_or(value, "spec.list[1].port", 0), 9007199254740993);
	assert_null(json_at(value, "spec.list[2].name"));
	assert_null(json_at(value, "spec.none.deep"));
	assert_ptr_equal(json_at(value, ""), value);
	json_put(fresh, "a.b.c", json_integer(0));
	json_put_string(fresh, "a.b.d", NULL);
	text = json_text(fresh);
	assert_string_equal(text, "{\"a\":{\"b\":{\"c\":0}}}");
}

static void subset(void **state)
{
	json_t *live JSON_CLEANUP = parse("{\"a\":{\"x\":1,\"y\":[{\"n\":1,\"d\":true}]},\"b\":2}");
	json_t *same JSON_CLEANUP = parse("{\"a\":{\"y\":[{\"n\":1}]}}");
	json_t *longer JSON_CLEANUP = parse("{\"a\":{\"y\":[{\"n\":1},{}]}}");
	json_t *other JSON_CLEANUP = parse("{\"a\":{\"x\":2}}");

	assert_true(json_is_subset(same, live));
	assert_false(json_is_subset(longer, live));
	assert_false(json_is_subset(other, live));
}

static void bad_json_is_refused(void **state)
{
	static const char *const bad[] = { "", "{", "{\"a\":1,\"a\":2}", "[1,]", "\"\xff\"", "{} x" };
	struct error err;

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_null(json_parse(bad[i], strlen(bad[i]), &err));
}

static void yaml_to_json(void **state)
{
	static const char text[] = "a: 1\nb: [x, 'true', true, null, 1.5, 0x1, 010]\nc: |\n  line1\n  line2\nd: {e: ~}\n---\n- \"q\"\n";
	struct error err;
	json_t *all JSON_CLEANUP = yaml_parse_all(text, strlen(text), &err);
	char *json FREE_CLEANUP = NULL;

	assert_non_null(all);
	json = json_text(all);
	assert_string_equal(
		json,
		"[{\"a\":1,\"b\":[\"x\",\"true\",true,null,1.5,\"0x1\",\"010\"],\"c\":\"line1\\nline2\\n\",\"d\":{\"e\":null}},[\"q\"]]");
}

static void bad_yaml_is_refused(void **state)
{
	static const char *const bad[] = {
		"a: [",
		"a: 1\na: 2",
		"? [x]\n: 1",
		"a: !!binary QQ==",
		"\"\\0a\": 1",
		"a: &x [*x]\n",
		"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d "
		"[*c,*c,*c,*c,*c,*c,*c,*c]\n"
		"e: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f]\n"
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_null(yaml_parse(bad[i], strlen(bad[i]), &err));
}

static void yaml_round_trips(void **state)
{
	static const char *const values[] = {
		"{\"a\":\"\",\"b\":\"true\",\"c\":\"1.5\",\"d\":\"x: y\",\"e\":\"- "
		"a\",\"f\":\"it's\",\"g\":\"a\\nb\\n\",\"h\":\"a\\nb\",\"i\":\"\\ttab\"}",
		"{\"a\":[],\"b\":{},\"c\":[[1,2],{\"x\":null}],\"d\":[{\"k\":\"v\",\"l\":[\"m\"]}],\"e\":false,\"f\":-1}",
		"{\"--flag\":\"--x=y\",\"t\":\"5m0s\",\"q\":\"\\\"quoted\\\"\",\"n\":\"a\\n\\n\",\"s\":\"trailing "
		"\",\"*\":\"&a\",\"u\":\"\xc3\xa9\"}",
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
		json_t *value JSON_CLEANUP = parse(values[i]);
		char *text FREE_CLEANUP = yaml_text(value, false);
		json_t *again JSON_CLEANUP = yaml_parse(text, strlen(text), &err);

		assert_non_null(again);
		assert_true(json_equal(value, again));
	}
}

/* Found by fuzzing: a text ended at its NUL, and other characters made YAML that nobody can read. */
static void yaml_escapes_what_it_cannot_hold(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} texts[] = {
		{ "\0o", 2 },           { "a\0", 2 },           { "\x7f", 1 },         { "a\xc2\x85z", 4 },
		{ "a\nb\xc2\x85z", 6 }, { "\xe2\x80\xa8x", 4 }, { "\xe2\x80\xa9", 3 }, { "\xef\xbb\xbfq", 4 },
		{ "\xef\xbf\xbe", 3 },  { "\xd2\x80h", 3 },     { "\r\n", 2 },         { "\xf0\x9f\x98\x80\t", 5 },
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		json_t *value JSON_CLEANUP = json_build("{s:[o]}", "a", json_stringn(texts[i].text, texts[i].length));
		char *text FREE_CLEANUP = yaml_text(value, false);
		json_t *again JSON_CLEANUP = yaml_parse(text, strlen(text), &err);

		assert_non_null(again);
		assert_true(json_equal(value, again));
	}
}

static void yaml_as_kubernetes_prints_it(void **state)
{
	json_t *value JSON_CLEANUP =
		parse("{\"b\":\"\",\"a\":[\"10.96.0.10\"],\"c\":{\"z\":\"0\",\"y\":[{\"name\":\"n\",\"value\":\"0s\"}]},\"d\":{}}");
	char *text FREE_CLEANUP = yaml_text(value, true);

	assert_string_equal(text, "a:\n- 10.96.0.10\nb: \"\"\nc:\n  \"y\":\n  - name: \"n\"\n    value: 0s\n  z: \"0\"\nd: {}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(subset),
		cmocka_unit_test(bad_json_is_refused),
		cmocka_unit_test(yaml_to_json),
		cmocka_unit_test(bad_yaml_is_refused),
		cmocka_unit_test(yaml_round_trips),
		cmocka_unit_test(yaml_escapes_what_it_cannot_hold),
		cmocka_unit_test(yaml_as_kubernetes_prints_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
