/* SPDX-License-Identifier: Apache-2.0 */
/* What `kamaji takeover --dry-run` and `kamaji handback --check` share: options, the review, its print. */
#pragma once

#include <stdbool.h>

#include "controllers/review.h"

struct review_command {
	const char *name; /* "takeover" */
	const char *flag; /* "dry-run": must be given, so that nobody takes looking for doing */
	const char *flag_help, *help;
	enum review_direction direction;
	const char *act, *act_help;                                       /* another flag, that does something; NULL: there is none */
	int (*run_act)(const struct manager_options *options, bool json); /* returns the exit code */
};

/* The whole subcommand: its exit code is 0 when nothing would change, 1 when something would or nothing could be found out. */
int review_command_run(const struct review_command *command, int argc, char **argv);
