/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that an environment has on the machine. All of them follow from the environment's name alone, so that `down` finds what an
 * interrupted `up` left behind even when the state file was lost, and two environments never share one.
 */
#pragma once

#include "base/error.h"

enum {
	LOCAL_NAME_MAX = 40,     /* longest environment name; node names add "-" and the node's own name and must stay a DNS label */
	LOCAL_NODE_NAME_MAX = 20 /* "admin", "admin-2", "worker-12" */
};

struct local_names {
	char name[LOCAL_NAME_MAX + 1];
	char bridge[16];                    /* "kj-NAME", shortened with a hash when longer than an interface name may be */
	char firewall[LOCAL_NAME_MAX + 16]; /* nft table "kamaji-local-NAME" */
	char cgroup[LOCAL_NAME_MAX + 8];    /* "kamaji-NAME", below the root of every controller */
};

struct local_node_names {
	char hostname[LOCAL_NAME_MAX + LOCAL_NODE_NAME_MAX + 2]; /* "NAME-NODE", also the name of the Node object */
	char host_link[16];                                      /* the host's end of the veth pair, a port of the bridge */
	char node_link[16];                                      /* the other end while it still is in the host's namespace */
};

/* The name must be a DNS label of at most LOCAL_NAME_MAX characters. */
int local_names_make(const char *name, struct local_names *ret_names, struct error *err);
/* A node's own name: "admin" for the first of the admin cluster, "admin-2" and so on for the further ones. free(). */
char *local_admin_node_id(unsigned number);
int local_node_names_make(const char *name, const char *node, struct local_node_names *ret_names, struct error *err);
