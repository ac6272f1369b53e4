/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `kamaji local` share. Each function is one subcommand: argv[0] is its name, the result an exit code. */
#pragma once

#include "base/error.h"
#include "cmd/options.h"

int cmd_local_up(int argc, char **argv);
int cmd_local_down(int argc, char **argv);
int cmd_local_status(int argc, char **argv);
int cmd_local_kubeconfig(int argc, char **argv);
int cmd_local_worker(int argc, char **argv);
int cmd_local_doctor(int argc, char **argv);
int cmd_local_image(int argc, char **argv);
int cmd_local_balancer(int argc, char **argv);

/* "kamaji local: MESSAGE" on stderr; EXIT_CODE_USAGE for errors of the command line, else EXIT_CODE_FAILURE. */
int local_fail(const char *command, const struct error *err);
/*
 * Parses; prints help when asked. True: go on. False: *exit_code is the result. `about` is the text above the options, `examples` the one
 * below.
 */
bool local_parse(const struct option_definition *definitions, int argc, char **argv, struct string_list *positional, const char *about,
                 const char *examples, int *exit_code);
/* The value of --output. */
#define LOCAL_OUTPUT_CHOICES "table|json"
