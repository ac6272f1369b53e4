/* SPDX-License-Identifier: Apache-2.0 */
#include "local/balancer_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "local/local_address.h"

static bool in_range(const struct balancer_range *range, uint32_t address)
{
	return address >= range->first && address <= range->last;
}

static int compare_age(const void *a, const void *b)
{
	const struct balancer_service *one = *(struct balancer_service *const *)a, *two = *(struct balancer_service *const *)b;
	if (one->created != two->created)
		return one->created < two->created ? -1 : 1;
	return strcmp(one->key, two->key);
}

static bool take(bool *taken, const struct balancer_range *range, struct balancer_service *service, uint32_t address)
{
	if (!address || !in_range(range, address) || taken[address - range->first])
		return false;
	taken[address - range->first] = true;
	service->address = address;
	return true;
}

static void take_free(bool *taken, struct balancer_range *range, struct balancer_service *service)
{
	uint32_t size = range->last - range->first + 1;
	uint32_t start = in_range(range, range->next) ? range->next - range->first : 0;
	for (uint32_t i = 0; i < size; i++) {
		uint32_t offset = (start + i) % size;
		if (take(taken, range, service, range->first + offset)) {
			range->next = range->first + (offset + 1) % size;
			return;
		}
	}
}

void balancer_plan(struct balancer_range *range, struct balancer_service *services, size_t count)
{
	uint32_t size = range->last - range->first + 1;
	bool *taken = calloc(size, sizeof(*taken));
	struct balancer_service **order = calloc(count + 1, sizeof(struct balancer_service *));
	if (!taken || !order)
		abort(); /* small and bounded: the memory of the machine is gone */
	for (size_t i = 0; i < count; i++) {
		services[i].address = 0;
		order[i] = &services[i];
	}
	qsort(order, count, sizeof(struct balancer_service *), compare_age);
	for (size_t i = 0; i < count; i++)
		if (order[i]->wanted)
			(void)take(taken, range, order[i], order[i]->current);
	for (size_t i = 0; i < count; i++)
		if (order[i]->wanted && !order[i]->address)
			(void)take(taken, range, order[i], order[i]->requested);
	for (size_t i = 0; i < count; i++)
		if (order[i]->wanted && !order[i]->address)
			take_free(taken, range, order[i]);
	free(taken);
	free(order);
}

static uint32_t read_address(const struct balancer_range *range, const char *text)
{
	struct error err;
	uint32_t address;
	if (!text || local_address_parse(text, &address, &err) < 0 || !in_range(range, address))
		return 0;
	return address;
}

struct balancer_service balancer_service_read(const json_t *service, const char *key, const struct balancer_range *range)
{
	struct balancer_service result = { .key = key };
	const char *created = json_string_at(service, "metadata.creationTimestamp");
	if (created && clock_parse_rfc3339(created, &result.created) < 0)
		result.created = 0;
	result.wanted = string_equal(json_string_at(service, "spec.type"), "LoadBalancer") && !json_at(service, "spec.loadBalancerClass") &&
	                !json_at(service, "metadata.deletionTimestamp");
	result.current = read_address(range, json_string_at(service, "status.loadBalancer.ingress[0].ip"));
	result.requested = read_address(range, json_string_at(service, "spec.loadBalancerIP"));
	return result;
}

json_t *balancer_status_patch(uint32_t address)
{
	char text[LOCAL_ADDRESS_TEXT_MAX];
	if (!address)
		return json_build("{s:{s:{s:n}}}", "status", "loadBalancer", "ingress");
	local_address_format(address, text);
	return json_build("{s:{s:{s:[{s:s, s:s}]}}}", "status", "loadBalancer", "ingress", "ip", text, "ipMode", "VIP");
}
