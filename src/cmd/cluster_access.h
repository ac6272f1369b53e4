/* SPDX-License-Identifier: Apache-2.0 */
/* The admin cluster for commands that a person runs: options as kubectl has them, one client, colours where they can be seen. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "cmd/options.h"
#include "io/cancel.h"
#include "kube/client.h"

struct cluster_access {
	const char *kubeconfig, *context, *namespace_name, *output; /* options; NULL or "": not given */
	struct loop *loop;
	struct kube_client *client;
	char *default_namespace; /* of the kubeconfig's context */
};

/* Rows of an option table; `access` as it is named there. */
#define CLUSTER_ACCESS_OPTIONS(access) \
	{ .name = "kubeconfig", \
	  .type = OPTION_STRING, \
	  .target = &(access).kubeconfig, \
	  .help = "file that says where the admin cluster is" }, \
		{ .name = "context", .type = OPTION_STRING, .target = &(access).context, .help = "context of the kubeconfig" }, \
		{ .name = "namespace", \
		  .type = OPTION_STRING, \
		  .target = &(access).namespace_name, \
		  .help = "of the tenant; also -n, or written NAMESPACE/NAME" }, \
	{ \
		.name = "n", .type = OPTION_STRING, .target = &(access).namespace_name, .hidden = true \
	}
#define CLUSTER_ACCESS_OUTPUT(access) \
	{ .name = "output", .type = OPTION_CHOICE, .target = &(access).output, .choices = "text|json", .help = "also -o" }, \
	{ \
		.name = "o", .type = OPTION_CHOICE, .target = &(access).output, .choices = "text|json", .hidden = true \
	}

int cluster_access_open(struct cluster_access *access, struct error *err);
void cluster_access_close(struct cluster_access *access);
#define CLUSTER_ACCESS_CLEANUP __attribute__((cleanup(cluster_access_close)))
/* "NAME" or "NAMESPACE/NAME"; both are free()d by the caller. ERROR_INVALID when neither. After cluster_access_open(). */
int cluster_access_name(const struct cluster_access *access, const char *text, char **namespace_name, char **name, struct error *err);
bool cluster_access_wants_json(const struct cluster_access *access);

/* Prints "kamaji COMMAND: message" to stderr; the exit code for the error's class. */
int command_fail(const char *command, const struct error *err);

enum text_style { STYLE_PLAIN, STYLE_GOOD, STYLE_BAD, STYLE_DIM };
/* The escape sequence that begins or (STYLE_PLAIN) ends a style on stdout; "" where that is no terminal or NO_COLOR is set. */
const char *text_style(enum text_style style);
