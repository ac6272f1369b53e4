/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji handback --check`: what upstream's operator would change in an installation that ours kept. */
#include "cmd/commands.h"
#include "cmd/review_print.h"

int cmd_handback(int argc, char **argv)
{
	static const struct review_command command = {
		.name = "handback",
		.flag = "check",
		.flag_help = "look and tell; required, since the switch itself is starting upstream's operator",
		.help = "Usage: kamaji handback --check [OPTIONS]\n\n"
			"Tells for every tenant of the admin cluster which object and field upstream's operator would change if it took "
			"over\n"
			"from `kamaji manager` now, and whether a pod would be replaced: templates of profile native, command lines, "
			"checksums,\n"
			"keys that are not RSA, finalizers. Reads only. It knows upstream by its contract; upstream itself is not run.\n\n"
			"Exit codes: 0 nothing would change, 1 something would (or the cluster cannot be read: see stderr), 2 wrong "
			"command line.\n",
		.direction = REVIEW_HAND_BACK,
	};

	return review_command_run(&command, argc, argv);
}
