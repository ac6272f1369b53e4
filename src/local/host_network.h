/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an environment adds to the host's network, all of it found again by name: a bridge, a veth pair per node, routes to the pods,
 * Services and LoadBalancer addresses by way of the nodes, an nft table with one masquerading rule, and, where something else (Docker)
 * lets the FORWARD chain drop, two accept rules with the table's name as comment. Uses the `ip`, `nft` and `iptables` programs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strings.h"
#include "local/local_address.h"
#include "local/local_names.h"

/* Makes or repairs everything but the nodes' links. Safe to repeat. */
int host_network_make(const struct local_names *names, const struct local_address_plan *plan, struct error *err);
/* A fresh veth pair: one end in the bridge, the other in the network namespace of `init`. An old pair of the same node is replaced. */
int host_network_attach(const struct local_names *names, const struct local_node_names *node, pid_t init, struct error *err);
/* The routes by way of the admin node, and to the pods of each further node of the admin cluster by way of that. nodes: how many it has. */
int host_network_route(const struct local_names *names, const struct local_address_plan *plan, unsigned nodes, struct error *err);
/* Removes a node's link: the kernel would do so some time after the namespace has ended. */
int host_network_detach(const struct local_node_names *node, struct error *err);
/* Removes everything but the nodes' links; what is absent is fine. */
int host_network_remove(const struct local_names *names, struct error *err);
/* Names what is left of the environment ("interface kj-demo", "nft table ..."). */
void host_network_leftovers(const struct local_names *names, struct string_list *found);

bool host_network_has_link(const char *link);
/* Routes of the machine, without those over `except_link` (an environment must not collide with itself; NULL: all). */
int host_network_routes(const char *except_link, struct local_route_list *ret_list, struct error *err);

/* True when `iptables -S FORWARD` text says that packets are dropped unless a rule accepts them. */
bool host_network_policy_drops(const char *rules);
/* Device of the first default route in the output of `ip -j -4 route show default`, or false. */
bool host_network_default_link(const char *json, size_t length, char link[static 16]);
