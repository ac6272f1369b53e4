/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/review_print.h"

#include <stdio.h>

#include "base/log.h"
#include "cmd/options.h"

struct settings {
	struct manager_options manager;
	const char *output;
	bool flag, act;
};

static int parse(const struct review_command *command, struct settings *settings, int argc, char **argv, bool *help, bool print,
                 struct error *err)
{
	const struct option_definition definitions[] = {
		{ .name = command->flag, .type = OPTION_BOOLEAN, .target = &settings->flag, .help = command->flag_help },
		{ .name = "output",
		  .type = OPTION_CHOICE,
		  .target = &settings->output,
		  .choices = "text|json",
		  .help = "form of the answer; also -o" },
		{ .name = "o",
		  .type = OPTION_CHOICE,
		  .target = &settings->output,
		  .choices = "text|json",
		  .help = "as --output",
		  .hidden = true },
		{ .name = "datastore",
		  .type = OPTION_STRING,
		  .target = &settings->manager.data_store,
		  .help = "DataStore of tenants that name none: as the operator's flag" },
		{ .name = "kine-image",
		  .type = OPTION_STRING,
		  .target = &settings->manager.kine_image,
		  .help = "image of the kine container: as the operator's flag" },
		/* Without a name it ends the table. */
		{ .name = command->act, .type = OPTION_BOOLEAN, .target = &settings->act, .help = command->act_help },
		{ 0 },
	};

	if (print) {
		options_print(definitions, stdout);
		return 0;
	}
	return options_parse(definitions, argc, argv, NULL, help, err);
}

static void print_text(const struct review *review)
{
	const char *tenant = "";
	size_t index;
	json_t *finding;

	json_array_foreach(review->findings, index, finding) {
		const char *of = json_string_or(finding, "tenant", ""), *field = json_string_or(finding, "field", "");

		if (!string_equal(of, tenant))
			printf("%s\n", of);
		tenant = of;
		printf("  %s %s%s%s: %s%s\n", json_string_or(finding, "kind", ""), json_string_or(finding, "name", ""), *field ? " " : "",
		       field, json_string_or(finding, "change", ""),
		       json_boolean_or(finding, "restarts", false) ? "  [restarts pods]" : "");
	}
}

static size_t count_restarting(const struct review *review)
{
	const char *last = "";
	size_t count = 0, index;
	json_t *finding;

	json_array_foreach(review->findings, index, finding) {
		const char *tenant = json_string_or(finding, "tenant", "");

		if (!json_boolean_or(finding, "restarts", false) || string_equal(tenant, last))
			continue;
		last = tenant;
		count++;
	}
	return count;
}

static void print(const struct review *review, bool json)
{
	size_t tenants = json_array_size(review->tenants), findings = json_array_size(review->findings);
	size_t restarting = count_restarting(review);

	if (json) {
		JSON_CLEANUP json_t *answer = json_build("{s:O, s:O, s:I}", "tenants", review->tenants, "changes", review->findings,
		                                         "tenantsRestarting", (json_int_t)restarting);
		FREE_CLEANUP char *text = json_text(answer);

		printf("%s\n", text);
		return;
	}
	print_text(review);
	printf("%zu tenants, %zu changes, pods of %zu tenants would be replaced\n", tenants, findings, restarting);
}

int review_command_run(const struct review_command *command, int argc, char **argv)
{
	struct settings settings = { .output = "text" };
	REVIEW_CLEANUP struct review review = { 0 };
	struct error err = { 0 };
	bool help = false;

	manager_options_default(&settings.manager);
	if (parse(command, &settings, argc, argv, &help, false, &err) < 0) {
		fprintf(stderr, "kamaji %s: %s\n", command->name, err.message);
		return EXIT_CODE_USAGE;
	}
	if (help) {
		printf("%s\nOptions:\n", command->help);
		(void)parse(command, &settings, 0, NULL, NULL, true, NULL);
		return EXIT_CODE_OK;
	}
	if (settings.flag && settings.act) {
		fprintf(stderr, "kamaji %s: give --%s or --%s, not both\n", command->name, command->flag, command->act);
		return EXIT_CODE_USAGE;
	}
	if (!settings.flag && !settings.act) {
		fprintf(stderr, "kamaji %s: give --%s: it only looks, nothing is written\n", command->name, command->flag);
		return EXIT_CODE_USAGE;
	}
	log_set_level(LOG_LEVEL_ERROR);
	if (settings.act)
		return command->run_act(&settings.manager, string_equal(settings.output, "json"));
	if (review_run(&settings.manager, command->direction, &review, &err) < 0) {
		fprintf(stderr, "kamaji %s: %s\n", command->name, err.message);
		return EXIT_CODE_FAILURE;
	}
	print(&review, string_equal(settings.output, "json"));
	return json_array_size(review.findings) > 0 ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}
