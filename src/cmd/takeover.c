/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji takeover --dry-run`: what the operator would change in an installation that upstream's operator kept so far. */
#include "cmd/commands.h"
#include "cmd/review_print.h"

int cmd_takeover(int argc, char **argv)
{
	static const struct review_command command = {
		.name = "takeover",
		.flag = "dry-run",
		.flag_help = "look and tell; required, since the switch itself is starting `kamaji manager`",
		.help = "Usage: kamaji takeover --dry-run [OPTIONS]\n\n"
			"Tells for every tenant of the admin cluster which object and field `kamaji manager` would change if it took over "
			"now\n"
			"from upstream's operator, and whether a pod would be replaced. Reads only. The admin cluster is the one of\n"
			"$KUBECONFIG, else the one this pod runs in, else of ~/.kube/config.\n\n"
			"To switch: stop upstream's operator, remove or replace its webhook configurations, start `kamaji manager` with "
			"the\n"
			"same flags. Both hold the same Lease, so only one ever writes.\n\n"
			"Examples:\n"
			"  KUBECONFIG=admin.conf kamaji takeover --dry-run\n"
			"  kamaji takeover --dry-run -o json\n\n"
			"Exit codes: 0 nothing would change, 1 something would (or the cluster cannot be read: see stderr), 2 wrong "
			"command line.\n",
		.direction = REVIEW_TAKE_OVER,
	};

	return review_command_run(&command, argc, argv);
}
