/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji`: finds the subcommand and calls it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "io/signals.h"

struct command {
	const char *name, *summary;
	int (*function)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "manager", "run the operator in an admin cluster", cmd_manager },
	{ "datastore", "serve the etcd v3 API from a folder", cmd_datastore },
#ifdef KAMAJI_WITH_LOCAL
	{ "local", "an admin cluster on this machine: up, status, down, kubeconfig, doctor", cmd_local },
#endif
	{ "takeover", "tell what would change on taking over from upstream's operator: --dry-run", cmd_takeover },
	{ "handback", "tell what upstream's operator would change: --check, or clean up for it: --clean", cmd_handback },
	{ "tenant", "make, show and remove tenants: create, list, kubeconfig, delete", cmd_tenant },
	{ "why", "say why a tenant is not ready", cmd_why },
	{ "version", "print the version of this program", cmd_version },
};

static void print_usage(FILE *out)
{
	fprintf(out, "kamaji hosts the control planes of many Kubernetes clusters as pods of one admin cluster.\n\n"
	             "Usage: kamaji COMMAND [OPTIONS]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "  %-9s this text; `kamaji help COMMAND` for one command's\n\n", "help");
	fprintf(out, "Examples:\n"
	             "  kamaji manager --leader-elect=false --log-format text\n"
	             "  kamaji version --output json\n\n"
	             "Exit codes: 0 done, 1 tried and failed (the reason is on stderr), 2 wrong command line.\n");
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		if (string_equal(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	fprintf(stderr, "kamaji: unknown command \"%s\"; the commands are", name);
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		fprintf(stderr, " %s,", commands[i].name);
	fprintf(stderr, " help\n");
	return EXIT_CODE_USAGE;
}

/* `kamaji help local up` is `kamaji local up --help`. */
static int help_of(int count, char **words)
{
	static char help_option[] = "--help";
	const struct command *command = find_command(words[0]);
	char **asked FREE_CLEANUP = NULL;

	if (command == NULL)
		return unknown_command(words[0]);
	asked = calloc((size_t)count + 2, sizeof(*asked));
	if (asked == NULL)
		abort();
	memcpy(asked, words, (size_t)count * sizeof(*asked));
	asked[count] = help_option;
	return command->function(count + 1, asked);
}

int main(int argc, char **argv)
{
	signals_block();
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_CODE_USAGE;
	}
	if (string_equal(argv[1], "help") || string_equal(argv[1], "--help") || string_equal(argv[1], "-h")) {
		if (argc > 2)
			return help_of(argc - 2, argv + 2);
		print_usage(stdout);
		return EXIT_CODE_OK;
	}
	if (string_equal(argv[1], "--version"))
		return cmd_version(1, argv);

	const struct command *command = find_command(argv[1]);

	return command ? command->function(argc - 1, argv + 1) : unknown_command(argv[1]);
}
