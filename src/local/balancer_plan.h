/* SPDX-License-Identifier: Apache-2.0 */
/* Which LoadBalancer Service has which address of a range. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

enum { BALANCER_RANGE_MAX = 65536 };

struct balancer_service {
	const char *key;    /* "namespace/name" */
	int64_t created;    /* seconds since the epoch: of two Services with one address the older keeps it */
	bool wanted;        /* type LoadBalancer, of no other implementation's class, not being deleted */
	uint32_t current;   /* address in its status that lies in the range; 0 = none */
	uint32_t requested; /* spec.loadBalancerIP when it lies in the range; 0 = none */
	uint32_t address;   /* result; 0 = none: not wanted, or nothing free */
};

struct balancer_range {
	uint32_t first, last;
	uint32_t next; /* where the search for a free address begins: a released one is not given out again at once. 0 at first */
};

/* Fills `address` of every service. Current addresses are kept, then requests are met, then the others get free ones in order. */
void balancer_plan(struct balancer_range *range, struct balancer_service *services, size_t count);
/* Reads a Service object. key is borrowed from the caller. */
struct balancer_service balancer_service_read(const json_t *service, const char *key, const struct balancer_range *range);
/* The merge patch for a Service's status; address 0 clears it. New reference. */
json_t *balancer_status_patch(uint32_t address);
