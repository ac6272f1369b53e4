/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `kamaji tenant`. argv[0] is the subcommand's own name; the result is the exit code. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "cmd/cluster_access.h"

int cmd_tenant_create(int argc, char **argv);
int cmd_tenant_list(int argc, char **argv);
int cmd_tenant_kubeconfig(int argc, char **argv);
int cmd_tenant_delete(int argc, char **argv);

/* What is the same in all of them. Zero-initialise; tenant_command_free(). */
struct tenant_command {
	const char *name; /* "tenant create" */
	const char *usage, *examples;
	struct cluster_access access;
	struct string_list positional;
	char *namespace_name, *tenant; /* when one tenant is named */
};
void tenant_command_free(struct tenant_command *command);
#define TENANT_COMMAND_CLEANUP __attribute__((cleanup(tenant_command_free)))
/*
 * Parses, checks the number of names (`wanted`: 0 none, 1 exactly one) and opens the cluster. False: *code is the exit code, everything has
 * been said.
 */
bool tenant_command_begin(struct tenant_command *command, const struct option_definition *definitions, int argc, char **argv, size_t wanted,
                          int *code);
