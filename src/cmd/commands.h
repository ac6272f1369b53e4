/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `kamaji`. argv[0] is the subcommand's own name; the result is the exit code (cmd/options.h). */
#pragma once

int cmd_datastore(int argc, char **argv);
int cmd_handback(int argc, char **argv);
int cmd_manager(int argc, char **argv);
int cmd_local(int argc, char **argv);
int cmd_takeover(int argc, char **argv);
int cmd_tenant(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_why(int argc, char **argv);
