/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/local.h"
#include "local/doctor.h"
#include "local/environment.h"

static const char about[] =
	"Usage: kamaji local doctor [OPTIONS]\n\n"
	"Looks at everything that `kamaji local up` needs and says what is missing and how to mend it. Changes nothing.";
static const char examples[] = "Examples:\n"
			       "  sudo kamaji local doctor\n"
			       "  kamaji local doctor --leftovers      only what earlier runs have left behind\n"
			       "  kamaji local doctor -o json\n\n"
			       "Exit codes: 0 `up` can work (warnings are allowed), 1 at least one problem, 2 wrong command line.\n";

static void print_table(const struct doctor_report *report)
{
	static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
	bool coloured = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	for (size_t i = 0; i < report->count; i++) {
		const struct doctor_check *check = &report->checks[i];
		printf("%s%-8s%s %-13s %s\n", coloured ? colours[check->state] : "", doctor_state_name(check->state),
		       coloured ? "\033[0m" : "", check->name, check->finding);
		if (check->remedy[0])
			printf("%22s -> %s\n", "", check->remedy);
	}
}

int cmd_local_doctor(int argc, char **argv)
{
	const char *root = LOCAL_STATE_ROOT, *output = "table";
	bool leftovers = false;
	const struct option_definition definitions[] = {
		{ .name = "state-dir", .type = OPTION_STRING, .target = &root, .help = "folder that holds environments" },
		{ .name = "leftovers",
		  .type = OPTION_BOOLEAN,
		  .target = &leftovers,
		  .help = "look only for what environments that are down have left" },
		{ .name = "output", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .help = "format; also -o" },
		{ .name = "o", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .hidden = true },
		{ 0 },
	};
	int code;
	if (!local_parse(definitions, argc, argv, NULL, about, examples, &code))
		return code;
	struct doctor_report *report = calloc(1, sizeof(*report));
	if (!report)
		return EXIT_CODE_FAILURE;
	if (leftovers)
		doctor_run_leftovers(report, root);
	else
		doctor_run(report, root);
	if (string_equal(output, "json")) {
		JSON_CLEANUP json_t *json = doctor_to_json(report);
		FREE_CLEANUP char *text = json_text(json);
		printf("%s\n", text);
	} else {
		print_table(report);
	}
	code = doctor_worst(report) == DOCTOR_PROBLEM ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
	free(report);
	return code;
}
