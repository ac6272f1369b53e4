/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of one host. An IP needs no look-up; a name is resolved by getaddrinfo(3) on a thread that lives as long as the look-up,
 * and its addresses are kept for RESOLVER_KEEP_MS. Loop's thread, except where said. Private to net/.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/ip.h"
#include "io/loop.h"

enum { RESOLVER_KEEP_MS = 10 * 1000, RESOLVER_MAXIMUM_ADDRESSES = 16 };

struct resolver;

/* One look-up, embedded by who asks. done runs later, never inside resolver_ask(); addresses are borrowed during the call. */
struct resolver_query {
	void (*done)(const struct ip_address *addresses, unsigned count, const struct error *err, void *argument);
	void *argument;
	struct resolver_query *next; /* private */
};

struct resolver *resolver_new(struct loop *loop, const char *host); /* any thread */
/* The number of addresses known now (copied), or 0: ask. */
unsigned resolver_known(const struct resolver *resolver, struct ip_address addresses[RESOLVER_MAXIMUM_ADDRESSES]);
void resolver_ask(struct resolver *resolver, struct resolver_query *query);
void resolver_forget(struct resolver *resolver, struct resolver_query *query); /* done will not run */
/* Any thread but the loop's, with no query open: waits for a look-up under way (getaddrinfo cannot be stopped). */
void resolver_free(struct resolver *resolver);
