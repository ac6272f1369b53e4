/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses and CIDRs, both families. Text is what Go's net package accepts and prints. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { IP_TEXT_SIZE = 48 };

struct ip_address {
	int family;        /* 4 or 6 */
	uint8_t bytes[16]; /* network order; the first 4 for family 4 */
};

struct ip_network {
	struct ip_address address; /* as written, host bits kept */
	unsigned prefix;
};

int ip_parse(const char *text, struct ip_address *address); /* 0 or -1 */
void ip_format(const struct ip_address *address, char text[IP_TEXT_SIZE]);
bool ip_equal(const struct ip_address *a, const struct ip_address *b);
int ip_network_parse(const char *text, struct ip_network *network);              /* 0 or -1; "10.0.0.1/16" keeps 10.0.0.1 */
void ip_network_base(const struct ip_network *network, struct ip_address *base); /* host bits cleared */
bool ip_network_contains(const struct ip_network *network, const struct ip_address *address);
bool ip_network_overlaps(const struct ip_network *a, const struct ip_network *b);
/* base + index: index 1 is the API server's Service address, 10 the cluster DNS. -1 when outside the network. */
int ip_network_host(const struct ip_network *network, uint64_t index, struct ip_address *address);
/* "address:port", IPv6 in brackets. */
void ip_join_port(const char *host, uint16_t port, char *text, size_t size);
