/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji local`: an admin cluster on this machine. Finds the subcommand and calls it. */
#include "cmd/local.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmd/commands.h"
#include "cmd/local_components.h"
#include "local/api_ready.h"
#include "local/node_init.h"

struct local_command {
	const char *name, *summary; /* summary NULL: not for people */
	int (*function)(int argc, char **argv);
};

static int cmd_local_node_init(int argc, char **argv)
{
	struct error err;
	if (argc != 2) {
		fprintf(stderr, "usage: kamaji local node-init CONFIGURATION\n");
		return EXIT_CODE_USAGE;
	}
	return node_init_run(argv[1], &err) < 0 ? local_fail("node-init", &err) : EXIT_CODE_OK;
}

/* Asked many times a second while an API server starts: says nothing, the exit code is the answer. */
static int cmd_local_ready(int argc, char **argv)
{
	const char *kubeconfig = NULL;
	const struct option_definition definitions[] = {
		{ .name = "kubeconfig", .type = OPTION_STRING, .target = &kubeconfig, .help = "of the server that is asked" },
		{ 0 },
	};
	struct error err;
	int code;
	if (!local_parse(definitions, argc, argv, NULL, "Usage: kamaji local ready --kubeconfig FILE",
	                 "Exit code 0 when the API server is ready; the readiness probe of a node's init.\n", &code))
		return code;
	return api_ready_ask(kubeconfig, &err) < 0 ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}

static const struct local_command commands[] = {
	{ "up", "start the environment, or repair it; does nothing that is done already", cmd_local_up },
	{ "worker", "give a tenant a worker node, or take one away", cmd_local_worker },
	{ "status", "show nodes, processes, tenants, images and memory", cmd_local_status },
	{ "kubeconfig", "print the kubeconfig of the admin cluster or of a tenant", cmd_local_kubeconfig },
	{ "down", "stop the environment; data stays for the next up unless --purge", cmd_local_down },
	{ "doctor", "tell what this machine lacks and how to mend it", cmd_local_doctor },
	{ "components", "fetch and list the upstream programs", cmd_local_components },
	{ "image", "write the operator's image to a file, for a cluster of yours", cmd_local_image },
	{ "node-init", NULL, cmd_local_node_init },
	{ "balancer", NULL, cmd_local_balancer },
	{ "ready", NULL, cmd_local_ready },
};

static void print_usage(FILE *out)
{
	fprintf(out, "kamaji local runs a real admin cluster on this machine, in Linux namespaces, and Kamaji in it.\n"
	             "It is for testing and learning, not for production.\n\n"
	             "Usage: kamaji local COMMAND [OPTIONS]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (commands[i].summary)
			fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n`kamaji local COMMAND --help` tells more.\n\n"
	             "Examples:\n"
	             "  kamaji local up --sample-tenant\n"
	             "  kamaji local status\n"
	             "  kubectl --kubeconfig $(kamaji local kubeconfig --path) get nodes\n"
	             "  kamaji local down\n\n"
	             "Exit codes: 0 done, 1 tried and failed (the reason is on stderr), 2 wrong command line.\n");
}

int local_fail(const char *command, const struct error *err)
{
	fprintf(stderr, "kamaji local %s: %s\n", command, err->message);
	return EXIT_CODE_FAILURE;
}

bool local_parse(const struct option_definition *definitions, int argc, char **argv, struct string_list *positional, const char *about,
                 const char *examples, int *exit_code)
{
	struct error err;
	bool help = false;
	if (options_parse(definitions, argc, argv, positional, &help, &err) < 0) {
		fprintf(stderr, "kamaji local %s: %s\n`kamaji local %s --help` lists the options.\n", argv[0], err.message, argv[0]);
		*exit_code = EXIT_CODE_USAGE;
		return false;
	}
	if (!help)
		return true;
	printf("%s\n\nOptions:\n", about);
	options_print(definitions, stdout);
	printf("\n%s", examples);
	*exit_code = EXIT_CODE_OK;
	return false;
}

int cmd_local(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_CODE_USAGE;
	}
	if (string_equal(argv[1], "help") || string_equal(argv[1], "--help") || string_equal(argv[1], "-h")) {
		print_usage(stdout);
		return EXIT_CODE_OK;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (string_equal(commands[i].name, argv[1]))
			return commands[i].function(argc - 1, argv + 1);
	fprintf(stderr, "kamaji local: unknown command \"%s\"; `kamaji local --help` lists them\n", argv[1]);
	return EXIT_CODE_USAGE;
}
