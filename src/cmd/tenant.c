/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji tenant`: makes, shows and removes tenants. */
#include "cmd/tenant.h"

#include <stdio.h>

#include "cmd/commands.h"

static const struct {
	const char *name, *summary;
	int (*function)(int argc, char **argv);
} subcommands[] = {
	{ "create", "make a tenant and wait until it serves", cmd_tenant_create },
	{ "list", "show tenants", cmd_tenant_list },
	{ "kubeconfig", "print, write or merge a tenant's kubeconfig", cmd_tenant_kubeconfig },
	{ "delete", "remove a tenant and wait until it is gone", cmd_tenant_delete },
};

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: kamaji tenant COMMAND [OPTIONS]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_LENGTH(subcommands); i++)
		fprintf(out, "  %-11s %s\n", subcommands[i].name, subcommands[i].summary);
	fprintf(out, "\nExamples:\n"
	             "  kamaji tenant create team-a --version v1.36.3 --wait\n"
	             "  kamaji tenant kubeconfig team-a > team-a.kubeconfig\n"
	             "  kubectl kamaji tenant list -A\n\n"
	             "Exit codes: 0 done, 1 tried and failed (the reason is on stderr), 2 wrong command line.\n");
}

int cmd_tenant(int argc, char **argv)
{
	if (argc >= 2 && (string_equal(argv[1], "--help") || string_equal(argv[1], "-h") || string_equal(argv[1], "help"))) {
		print_usage(stdout);
		return EXIT_CODE_OK;
	}
	for (size_t i = 0; argc >= 2 && i < ARRAY_LENGTH(subcommands); i++) {
		if (string_equal(argv[1], subcommands[i].name))
			return subcommands[i].function(argc - 1, argv + 1);
	}
	if (argc >= 2)
		fprintf(stderr, "kamaji tenant: unknown command \"%s\"\n", argv[1]);
	print_usage(stderr);
	return EXIT_CODE_USAGE;
}

void tenant_command_free(struct tenant_command *command)
{
	cluster_access_close(&command->access);
	string_list_free(&command->positional);
	free(command->namespace_name);
	free(command->tenant);
}

static int usage_error(const struct tenant_command *command, const char *message)
{
	fprintf(stderr, "kamaji %s: %s\n", command->name, message);
	return EXIT_CODE_USAGE;
}

bool tenant_command_begin(struct tenant_command *command, const struct option_definition *definitions, int argc, char **argv, size_t wanted,
                          int *code)
{
	struct error err = { 0 };
	bool help = false;

	if (options_parse(definitions, argc, argv, &command->positional, &help, &err) < 0) {
		*code = usage_error(command, err.message);
		return false;
	}
	if (help) {
		printf("%s\n\nOptions:\n", command->usage);
		options_print(definitions, stdout);
		printf("\n%s\nExit codes: 0 done, 1 tried and failed, 2 wrong command line.\n", command->examples);
		*code = EXIT_CODE_OK;
		return false;
	}
	if (command->positional.count != wanted) {
		*code = usage_error(command, wanted ? "name one tenant, as NAME or NAMESPACE/NAME" : "unexpected argument");
		return false;
	}
	if (cluster_access_open(&command->access, &err) < 0) {
		*code = command_fail(command->name, &err);
		return false;
	}
	if (wanted &&
	    cluster_access_name(&command->access, command->positional.items[0], &command->namespace_name, &command->tenant, &err) < 0) {
		*code = usage_error(command, err.message);
		return false;
	}
	return true;
}
