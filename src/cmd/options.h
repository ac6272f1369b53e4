/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long command-line options as Go's flag packages take them: --name=value, --name value, and for booleans --name alone or
 * --name=false. A single dash is taken as well (-name=value). "--" ends the options. What is left are positional arguments, in order,
 * also between options. An unknown option is an error that names the nearest known one.
 *
 *   static const struct option_definition definitions[] = {
 *       { .name = "leader-elect", .type = OPTION_BOOLEAN, .target = &options.leader_elect, .help = "..." },
 *       { 0 },
 *   };
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/strings.h"

/* Exit codes of every subcommand. */
enum {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILURE = 1, /* it was tried and failed; the reason is on stderr */
	EXIT_CODE_USAGE = 2,   /* the command line is wrong */
};

enum option_type {
	OPTION_BOOLEAN,  /* target: bool */
	OPTION_STRING,   /* target: const char *, points into argv */
	OPTION_INTEGER,  /* target: int64_t, between minimum and maximum */
	OPTION_DURATION, /* target: uint64_t milliseconds, from Go's syntax ("30s"), between minimum and maximum */
	OPTION_CHOICE,   /* target: const char *, one of the words in choices ("a|b|c") */
	OPTION_LIST,     /* target: struct string_list, may be repeated; the caller frees it */
};

struct option_definition {
	const char *name; /* without dashes; NULL ends a table */
	enum option_type type;
	void *target;     /* its value before parsing is the default */
	const char *help; /* one line */
	const char *choices;
	int64_t minimum, maximum; /* both 0: no limits (integers then must not be negative) */
	bool hidden;              /* accepted, not listed */
};

/*
 * Parses argv[1..]; argv[0] is the command's name. Positional arguments are appended to *positional (may be NULL: any is an error).
 * --help and -h set *help and end the parse. -1: ERROR_INVALID with a text fit for the user ("unknown option --metrics-adress; did you
 * mean --metrics-bind-address?").
 */
int options_parse(const struct option_definition *definitions, int argc, char **argv, struct string_list *positional, bool *help,
                  struct error *err);
/* One line for each option that is not hidden: name, kind of value, help, default. */
void options_print(const struct option_definition *definitions, FILE *out);
