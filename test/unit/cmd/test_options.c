/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/options.h"

struct values {
	bool elect;
	const char *address, *format;
	int64_t workers;
	uint64_t timeout;
	struct string_list names;
};

struct outcome {
	struct values values;
	struct string_list positional;
	bool help;
	int status;
	struct error err;
};

static void run(struct outcome *outcome, const char *const *arguments)
{
	struct values *values = &outcome->values;
	const struct option_definition definitions[] = {
		{ .name = "leader-elect", .type = OPTION_BOOLEAN, .target = &values->elect, .help = "" },
		{ .name = "metrics-bind-address", .type = OPTION_STRING, .target = &values->address, .help = "" },
		{ .name = "workers", .type = OPTION_INTEGER, .target = &values->workers, .minimum = 1, .maximum = 64, .help = "" },
		{ .name = "timeout",
		  .type = OPTION_DURATION,
		  .target = &values->timeout,
		  .minimum = 1000,
		  .maximum = INT64_MAX,
		  .help = "" },
		{ .name = "log-format", .type = OPTION_CHOICE, .target = &values->format, .choices = "json|text", .help = "" },
		{ .name = "f", .type = OPTION_CHOICE, .target = &values->format, .choices = "json|text", .hidden = true },
		{ .name = "name", .type = OPTION_LIST, .target = &values->names, .help = "" },
		{ 0 },
	};
	char *argv[16] = { (char *)(uintptr_t)"test" };
	int argc = 1;

	memset(outcome, 0, sizeof(*outcome));
	values->elect = true;
	values->format = "json";
	for (; arguments[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
	outcome->status = options_parse(definitions, argc, argv, &outcome->positional, &outcome->help, &outcome->err);
}

static void end(struct outcome *outcome)
{
	string_list_free(&outcome->positional);
	string_list_free(&outcome->values.names);
}
#define RUN(outcome, ...) run(&(outcome), (const char *const[]){ __VA_ARGS__, NULL })

static void test_every_form(void **state)
{
	struct outcome outcome;

	RUN(outcome, "--metrics-bind-address=:1", "--workers", "7", "-timeout=1m30s", "--leader-elect=false", "up", "--log-format", "text",
	    "--name=a", "--name", "b", "--", "--down");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.values.address, ":1");
	assert_int_equal(outcome.values.workers, 7);
	assert_int_equal(outcome.values.timeout, 90000);
	assert_false(outcome.values.elect);
	assert_string_equal(outcome.values.format, "text");
	assert_int_equal(outcome.values.names.count, 2);
	assert_int_equal(outcome.positional.count, 2);
	assert_string_equal(outcome.positional.items[1], "--down");
	end(&outcome);
}

static void test_boolean_takes_no_next_argument(void **state)
{
	struct outcome outcome;

	RUN(outcome, "--leader-elect", "false");
	assert_int_equal(outcome.status, 0);
	assert_true(outcome.values.elect);
	assert_int_equal(outcome.positional.count, 1);
	end(&outcome);
}

static void test_help_ends_the_parse(void **state)
{
	struct outcome outcome;

	RUN(outcome, "-h", "--nonsense");
	assert_int_equal(outcome.status, 0);
	assert_true(outcome.help);
	end(&outcome);
}

static void refuse(const char *const *arguments, const char *part)
{
	struct outcome outcome;

	run(&outcome, arguments);
	assert_int_equal(outcome.status, -1);
	assert_int_equal(outcome.err.class, ERROR_INVALID);
	if (!strstr(outcome.err.message, part))
		fail_msg("\"%s\" lacks \"%s\"", outcome.err.message, part);
	end(&outcome);
}
#define REFUSE(part, ...) refuse((const char *const[]){ __VA_ARGS__, NULL }, part)

static void test_refusals_name_the_option(void **state)
{
	REFUSE("did you mean --metrics-bind-address?", "--metrics-bind-adress=:1");
	REFUSE("did you mean --workers?", "--worker=3");
	REFUSE("--help lists", "--entirely-different");
	REFUSE("--workers needs a value", "--workers");
	REFUSE("--workers", "--workers=0");
	REFUSE("--workers", "--workers=many");
	REFUSE("at least 1s", "--timeout=10ms");
	REFUSE("--timeout", "--timeout=7d");
	REFUSE("json|text", "--log-format=xml");
	REFUSE("-f: \"xml\" is none of", "-f", "xml");
	REFUSE("-f needs a value", "-f");
	REFUSE("unknown option -z; --help lists", "-z");
	REFUSE("neither true nor false", "--leader-elect=maybe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_form),
		cmocka_unit_test(test_boolean_takes_no_next_argument),
		cmocka_unit_test(test_help_ends_the_parse),
		cmocka_unit_test(test_refusals_name_the_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
