/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * IPv4 address planning of a local environment.
 *
 * An environment owns one /16 *block*. The block is cut the same way everywhere, so that one check ("does this block
 * overlap a route of the machine?") covers nodes, pods, Services and LoadBalancer addresses, and one route and one
 * firewall rule cover all traffic of the environment:
 *
 *   a.b.0.0/24     nodes        .1 bridge on the host, .2 admin node, .3 to .9 further nodes of the admin cluster, .10 and up workers
 *   a.b.1.0/24     LoadBalancer .10 to .250
 *   a.b.16.0/20    Services     first address "kubernetes", tenth the cluster DNS
 *   a.b.128.0/17   pods         one /20 for each node of the admin cluster, the admin node has the first
 *
 * Addresses are in host byte order. Nothing here touches the machine.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Text of an IPv4 address ("255.255.255.255") or of a range ("255.255.255.255/32") with its end. */
#define LOCAL_ADDRESS_TEXT_MAX 16
#define LOCAL_CIDR_TEXT_MAX 20

/* Blocks are looked for in 10.200.0.0/16 to 10.247.0.0/16; slot 0 is the first. */
#define LOCAL_SLOT_COUNT 48u

/* Nodes of the admin cluster, as many as there are /20 in the pods' range. Number 1 is the admin node. */
#define LOCAL_ADMIN_NODES_MAX 8u

/* Most routes that are read from one machine; more is answered with an error, never cut silently. */
#define LOCAL_ROUTES_MAX 4096u

struct local_cidr {
	uint32_t address; /* host bits are zero */
	unsigned prefix;  /* 0 to 32 */
};

struct local_address_plan {
	struct local_cidr block;
	struct local_cidr nodes;
	struct local_cidr balancer;
	struct local_cidr services;
	struct local_cidr pods;
	uint32_t gateway; /* the bridge, on the host */
	uint32_t admin_node;
	uint32_t kubernetes_service;
	uint32_t dns_service;
	uint32_t balancer_first;
	uint32_t balancer_last;
};

struct local_route_list {
	struct local_cidr *items; /* owned; local_route_list_free */
	size_t count;
};

int local_address_parse(const char *text, uint32_t *ret_address, struct error *err);
void local_address_format(uint32_t address, char text[static LOCAL_ADDRESS_TEXT_MAX]);

/* Accepts "a.b.c.d/n" and, as `ip` prints host routes, a bare address (a /32). Host bits must be zero. */
int local_cidr_parse(const char *text, struct local_cidr *ret_cidr, struct error *err);
void local_cidr_format(struct local_cidr cidr, char text[static LOCAL_CIDR_TEXT_MAX]);
bool local_cidr_overlaps(struct local_cidr a, struct local_cidr b);
bool local_cidr_contains(struct local_cidr cidr, uint32_t address);

/* The block that belongs to a slot. `slot` must be below LOCAL_SLOT_COUNT. */
struct local_cidr local_slot_block(unsigned slot);

/* Cuts a block. Fails unless it is a /16. */
int local_address_plan_make(struct local_cidr block, struct local_address_plan *ret_plan, struct error *err);

/* Address of a node of the admin cluster and the range of its pods. number: 1 to LOCAL_ADMIN_NODES_MAX. */
uint32_t local_admin_node_address(const struct local_address_plan *plan, unsigned number);
struct local_cidr local_admin_node_pods(const struct local_address_plan *plan, unsigned number);

/*
 * Reads the output of `ip -j -4 route show table all`. Default and IPv6 routes are left out, and those over the device `except` (NULL:
 * none): an environment that is up must not be compared with itself.
 */
int local_route_list_parse(const char *json, size_t length, const char *except, struct local_route_list *ret_list, struct error *err);
void local_route_list_free(struct local_route_list *list);

/* The first route that overlaps the block, or NULL. Ranges wider than a /8 do not count. */
const struct local_cidr *local_route_list_find_overlap(const struct local_route_list *list, struct local_cidr block);
