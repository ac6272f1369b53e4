/* SPDX-License-Identifier: Apache-2.0 */
#include "local/local_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/json.h"
#include "base/strings.h"

#define SLOT_BLOCK_BASE 0x0AC80000u /* 10.200.0.0 */

static uint32_t prefix_mask(unsigned prefix)
{
	return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

static uint32_t read_address(const uint8_t bytes[4])
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

int local_address_parse(const char *text, uint32_t *ret_address, struct error *err)
{
	struct ip_address ip;
	if (ip_parse(text, &ip) < 0 || ip.family != 4)
		return error_set(err, ERROR_INVALID, "'%s' is not an IPv4 address (expected a.b.c.d)", text);
	*ret_address = read_address(ip.bytes);
	return 0;
}

void local_address_format(uint32_t address, char text[static LOCAL_ADDRESS_TEXT_MAX])
{
	snprintf(text, LOCAL_ADDRESS_TEXT_MAX, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255u, (address >> 8) & 255u, address & 255u);
}

int local_cidr_parse(const char *text, struct local_cidr *ret_cidr, struct error *err)
{
	struct ip_network network = { .prefix = 32 };
	int result = strchr(text, '/') ? ip_network_parse(text, &network) : ip_parse(text, &network.address);
	if (result < 0 || network.address.family != 4)
		return error_set(err, ERROR_INVALID, "'%s' is not an IPv4 range (expected a.b.c.d/n)", text);
	uint32_t address = read_address(network.address.bytes);
	if (address & ~prefix_mask(network.prefix))
		return error_set(err, ERROR_INVALID, "'%s' has bits set behind its prefix of %u", text, network.prefix);
	*ret_cidr = (struct local_cidr){ .address = address, .prefix = network.prefix };
	return 0;
}

void local_cidr_format(struct local_cidr cidr, char text[static LOCAL_CIDR_TEXT_MAX])
{
	char address[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(cidr.address, address);
	snprintf(text, LOCAL_CIDR_TEXT_MAX, "%s/%u", address, cidr.prefix);
}

bool local_cidr_overlaps(struct local_cidr a, struct local_cidr b)
{
	uint32_t mask = prefix_mask(a.prefix < b.prefix ? a.prefix : b.prefix);
	return (a.address & mask) == (b.address & mask);
}

bool local_cidr_contains(struct local_cidr cidr, uint32_t address)
{
	return (address & prefix_mask(cidr.prefix)) == cidr.address;
}

struct local_cidr local_slot_block(unsigned slot)
{
	return (struct local_cidr){ .address = SLOT_BLOCK_BASE + (slot << 16), .prefix = 16 };
}

int local_address_plan_make(struct local_cidr block, struct local_address_plan *ret_plan, struct error *err)
{
	if (block.prefix != 16) {
		char text[LOCAL_CIDR_TEXT_MAX];
		local_cidr_format(block, text);
		return error_set(err, ERROR_INVALID, "the block of an environment must be a /16, not %s", text);
	}
	uint32_t base = block.address;
	*ret_plan = (struct local_address_plan){
		.block = block,
		.nodes = { base, 24 },
		.balancer = { base + 0x0100u, 24 },
		.services = { base + 0x1000u, 20 },
		.pods = { base + 0x8000u, 17 },
		.gateway = base + 1,
		.admin_node = base + 2,
		.kubernetes_service = base + 0x1000u + 1,
		.dns_service = base + 0x1000u + 10,
		.balancer_first = base + 0x0100u + 10,
		.balancer_last = base + 0x0100u + 250,
	};
	return 0;
}

uint32_t local_admin_node_address(const struct local_address_plan *plan, unsigned number)
{
	return plan->admin_node + number - 1;
}

struct local_cidr local_admin_node_pods(const struct local_address_plan *plan, unsigned number)
{
	return (struct local_cidr){ plan->pods.address + ((number - 1) << 12), 20 };
}

int local_route_list_parse(const char *json, size_t length, const char *except, struct local_route_list *ret_list, struct error *err)
{
	json_t *root = json_parse(json, length, err);
	if (!root)
		return error_wrap(err, "'ip -j route'");
	if (!json_is_array(root)) {
		json_decref(root);
		return error_set(err, ERROR_INVALID, "'ip -j route' did not print a list of routes");
	}
	size_t total = json_array_size(root);
	struct local_cidr *items = NULL;
	size_t count = 0;
	int result = -1;
	if (total > LOCAL_ROUTES_MAX) {
		error_set(err, ERROR_EXHAUSTED, "the machine has %zu routes, more than %u", total, LOCAL_ROUTES_MAX);
		goto done;
	}
	items = calloc(total ? total : 1, sizeof(*items));
	if (!items) {
		error_set(err, ERROR_EXHAUSTED, "no memory for %zu routes", total);
		goto done;
	}
	for (size_t i = 0; i < total; i++) {
		const json_t *route = json_array_get(root, i);
		const char *destination = json_string_at(route, "dst");
		if (except && string_equal(except, json_string_at(route, "dev")))
			continue;
		if (!destination || strcmp(destination, "default") == 0 || strchr(destination, ':'))
			continue;
		if (local_cidr_parse(destination, &items[count], err) < 0)
			goto done;
		count++;
	}
	*ret_list = (struct local_route_list){ .items = items, .count = count };
	items = NULL;
	result = 0;
done:
	free(items);
	json_decref(root);
	return result;
}

void local_route_list_free(struct local_route_list *list)
{
	free(list->items);
	*list = (struct local_route_list){ 0 };
}

const struct local_cidr *local_route_list_find_overlap(const struct local_route_list *list, struct local_cidr block)
{
	for (size_t i = 0; i < list->count; i++) {
		/* 0.0.0.0/0 and other ranges wider than the block are somebody's way out, not a use of these addresses. */
		if (list->items[i].prefix < 8)
			continue;
		if (local_cidr_overlaps(list->items[i], block))
			return &list->items[i];
	}
	return NULL;
}
