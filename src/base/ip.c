/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

static size_t byte_count(const struct ip_address *address)
{
	return address->family == 4 ? 4 : 16;
}

int ip_parse(const char *text, struct ip_address *address)
{
	memset(address, 0, sizeof(*address));
	if (text == NULL)
		return -1;
	if (inet_pton(AF_INET, text, address->bytes) == 1) {
		address->family = 4;
		return 0;
	}
	if (inet_pton(AF_INET6, text, address->bytes) == 1) {
		address->family = 6;
		return 0;
	}
	return -1;
}

void ip_format(const struct ip_address *address, char text[IP_TEXT_SIZE])
{
	if (inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->bytes, text, IP_TEXT_SIZE) == NULL)
		text[0] = '\0';
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, byte_count(a)) == 0;
}

int ip_network_parse(const char *text, struct ip_network *network)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char address[IP_TEXT_SIZE];
	struct error err;
	int64_t prefix;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(address))
		return -1;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (ip_parse(address, &network->address) < 0)
		return -1;
	if (slash[1] == '-' || (slash[1] == '0' && slash[2] != '\0'))
		return -1;
	if (string_to_integer(slash + 1, 0, network->address.family == 4 ? 32 : 128, "prefix", &prefix, &err) < 0)
		return -1;
	network->prefix = (unsigned)prefix;
	return 0;
}

void ip_network_base(const struct ip_network *network, struct ip_address *base)
{
	*base = network->address;
	for (size_t i = 0; i < byte_count(base); i++) {
		unsigned first = (unsigned)i * 8;

		if (network->prefix <= first)
			base->bytes[i] = 0;
		else if (network->prefix < first + 8)
			base->bytes[i] &= (uint8_t)(0xff << (8 - (network->prefix - first)));
	}
}

bool ip_network_contains(const struct ip_network *network, const struct ip_address *address)
{
	struct ip_network other = { *address, network->prefix };
	struct ip_address a, b;

	if (network->address.family != address->family)
		return false;
	ip_network_base(network, &a);
	ip_network_base(&other, &b);
	return ip_equal(&a, &b);
}

bool ip_network_overlaps(const struct ip_network *a, const struct ip_network *b)
{
	return ip_network_contains(a, &b->address) || ip_network_contains(b, &a->address);
}

int ip_network_host(const struct ip_network *network, uint64_t index, struct ip_address *address)
{
	uint64_t carry = index;

	ip_network_base(network, address);
	for (size_t i = byte_count(address); i-- > 0 && carry > 0;) {
		carry += address->bytes[i];
		address->bytes[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry == 0 && ip_network_contains(network, address) ? 0 : -1;
}

void ip_join_port(const char *host, uint16_t port, char *text, size_t size)
{
	if (strchr(host, ':') != NULL)
		(void)snprintf(text, size, "[%s]:%u", host, port);
	else
		(void)snprintf(text, size, "%s:%u", host, port);
}
