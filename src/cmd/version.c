/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji version`: what this program is. */
#include <stdio.h>

#include "base/json.h"
#include "base/version.h"
#include "cmd/commands.h"
#include "cmd/options.h"

int cmd_version(int argc, char **argv)
{
	const char *output = "text";
	const struct option_definition definitions[] = {
		{ .name = "output",
		  .type = OPTION_CHOICE,
		  .target = &output,
		  .choices = "text|json",
		  .help = "form of the answer; also -o" },
		{ .name = "o", .type = OPTION_CHOICE, .target = &output, .choices = "text|json", .hidden = true },
		{ 0 },
	};
	struct error err = { 0 };
	bool help;

	if (options_parse(definitions, argc, argv, NULL, &help, &err) < 0) {
		fprintf(stderr, "kamaji version: %s\n", err.message);
		return EXIT_CODE_USAGE;
	}
	if (help) {
		printf("Usage: kamaji version [--output text|json]\n\nPrints the version of this program.\n\nOptions:\n");
		options_print(definitions, stdout);
		printf("\nExamples:\n  kamaji version -o json\n\nExit codes: 0 done, 2 wrong command line.\n");
		return EXIT_CODE_OK;
	}
	if (string_equal(output, "json")) {
		JSON_CLEANUP json_t *answer = json_build("{s:s}", "version", kamaji_version);
		FREE_CLEANUP char *text = json_text(answer);

		printf("%s\n", text);
	} else {
		printf("kamaji %s\n", kamaji_version);
	}
	return EXIT_CODE_OK;
}
