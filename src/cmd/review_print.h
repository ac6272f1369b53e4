/* SPDX-License-Identifier: Apache-2.0 */
/* What `kamaji takeover --dry-run` and `kamaji handback --check` share: options, the review, its print. */
#pragma once

#include <stdbool.h>

#include "controllers/review.h"

struct review_command {
	const char *name; /* "takeover" */
	const char *flag; /* "dry-run": must be given, since nothing else is offered */
	const char *flag_help, *help;
	enum review_direction direction;
};

/* The whole subcommand: its exit code is 0 when nothing would change, 1 when something would or nothing could be found out. */
int review_command_run(const struct review_command *command, int argc, char **argv);
