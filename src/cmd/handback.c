/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kamaji handback`: --check tells what upstream's operator would change in an installation that ours kept, --clean takes away what it would
 * leave inside tenants for ever.
 */
#include <stdio.h>

#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/review_print.h"
#include "controllers/hand_back.h"

static void print_clean(const struct hand_back *result)
{
	size_t index;
	json_t *item;

	json_array_foreach(result->removed, index, item)
		printf("%s: EndpointSlice kamaji-kubernetes removed\n", json_string_value(item));
	json_array_foreach(result->left, index, item)
		printf("%s: not looked into: %s\n", json_string_or(item, "tenant", ""), json_string_or(item, "why", ""));
	printf("%zu tenants, removed inside %zu, %zu not looked into\n", json_array_size(result->tenants), json_array_size(result->removed),
	       json_array_size(result->left));
}

static int clean(const struct manager_options *options, bool json)
{
	HAND_BACK_CLEANUP struct hand_back result = { 0 };
	struct error err = { 0 };

	if (hand_back_clean(options, &result, &err) < 0) {
		fprintf(stderr, "kamaji handback: %s\n", err.message);
		return EXIT_CODE_FAILURE;
	}
	if (json) {
		JSON_CLEANUP json_t *answer =
			json_build("{s:O, s:O, s:O}", "tenants", result.tenants, "removed", result.removed, "left", result.left);
		FREE_CLEANUP char *text = json_text(answer);

		printf("%s\n", text);
	} else {
		print_clean(&result);
	}
	return json_array_size(result.left) > 0 ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}

int cmd_handback(int argc, char **argv)
{
	static const struct review_command command = {
		.name = "handback",
		.flag = "check",
		.flag_help = "look and tell; nothing is written",
		.help = "Usage: kamaji handback --check|--clean [OPTIONS]\n\n"
			"--check tells for every tenant of the admin cluster which object and field upstream's operator would change if it "
			"took over\n"
			"from `kamaji manager` now, and whether a pod would be replaced: templates of profile native, command lines, "
			"checksums,\n"
			"keys that are not RSA, finalizers, and EndpointSlice default/kamaji-kubernetes inside tenants that run. It knows "
			"upstream\n"
			"by its contract; upstream itself is not run.\n\n"
			"--clean takes that EndpointSlice out of every tenant: upstream would leave it there, with an address that is "
			"wrong\n"
			"once the tenant's Service gets another. It connects to the server that the tenant's admin kubeconfig names.\n\n"
			"To switch: kamaji handback --check; stop `kamaji manager`; kamaji handback --clean; start upstream's operator.\n\n"
			"Examples:\n"
			"  KUBECONFIG=admin.conf kamaji handback --check\n"
			"  kamaji handback --clean\n\n"
			"Exit codes: 0 nothing would change, or all is clean; 1 something would, or a tenant could not be looked into (it "
			"sleeps),\n"
			"or the cluster cannot be read: see stderr; 2 wrong command line.\n",
		.direction = REVIEW_HAND_BACK,
		.act = "clean",
		.act_help = "take EndpointSlice kamaji-kubernetes out of every tenant; `kamaji manager` must have been stopped",
		.run_act = clean,
	};

	return review_command_run(&command, argc, argv);
}
