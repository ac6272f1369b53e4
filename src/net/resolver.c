/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/thread.h"

struct lookup {
	struct resolver *resolver; /* NULL: nobody waits any more, resolver_free() ends this */
	struct loop *loop;
	char *host;
	pthread_t thread;
	unsigned count;
	struct ip_address addresses[RESOLVER_MAXIMUM_ADDRESSES];
	struct error error;
};

struct resolver {
	struct loop *loop;
	char *host;
	bool is_address;
	unsigned count;
	struct ip_address addresses[RESOLVER_MAXIMUM_ADDRESSES];
	uint64_t known_until_ms;
	struct resolver_query *queries;
	struct lookup *lookup; /* under way, or NULL */
};

struct resolver *resolver_new(struct loop *loop, const char *host)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (resolver == NULL)
		abort();
	resolver->loop = loop;
	resolver->host = string_dup(host);
	if (ip_parse(host, &resolver->addresses[0]) == 0) {
		resolver->is_address = true;
		resolver->count = 1;
	}
	return resolver;
}

unsigned resolver_known(const struct resolver *resolver, struct ip_address addresses[RESOLVER_MAXIMUM_ADDRESSES])
{
	if (!resolver->is_address && clock_monotonic_ms() >= resolver->known_until_ms)
		return 0;
	memcpy(addresses, resolver->addresses, resolver->count * sizeof(*addresses));
	return resolver->count;
}

static void take_addresses(struct lookup *lookup, const struct addrinfo *list)
{
	for (; list != NULL && lookup->count < RESOLVER_MAXIMUM_ADDRESSES; list = list->ai_next) {
		struct ip_address *address = &lookup->addresses[lookup->count];

		if (list->ai_family == AF_INET) {
			address->family = 4;
			memcpy(address->bytes, &((const struct sockaddr_in *)(const void *)list->ai_addr)->sin_addr, 4);
			lookup->count++;
		} else if (list->ai_family == AF_INET6) {
			address->family = 6;
			memcpy(address->bytes, &((const struct sockaddr_in6 *)(const void *)list->ai_addr)->sin6_addr, 16);
			lookup->count++;
		}
	}
}

static void lookup_free(struct lookup *lookup)
{
	free(lookup->host);
	free(lookup);
}

static void lookup_done(void *argument)
{
	struct lookup *lookup = argument;
	struct resolver *resolver = lookup->resolver;
	struct resolver_query *query;

	if (resolver == NULL)
		return;
	pthread_join(lookup->thread, NULL);
	resolver->lookup = NULL;
	if (lookup->count > 0) {
		memcpy(resolver->addresses, lookup->addresses, sizeof(resolver->addresses));
		resolver->count = lookup->count;
		resolver->known_until_ms = clock_monotonic_ms() + RESOLVER_KEEP_MS;
	}
	while ((query = resolver->queries) != NULL) {
		resolver->queries = query->next;
		query->done(lookup->addresses, lookup->count, lookup->count == 0 ? &lookup->error : NULL, query->argument);
	}
	lookup_free(lookup);
}

static void *lookup_thread(void *argument)
{
	/* Without AI_ADDRCONFIG, which finds nothing at all in a network namespace that has only its loopback interface. */
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct lookup *lookup = argument;
	struct addrinfo *list = NULL;
	int result = getaddrinfo(lookup->host, NULL, &hints, &list);

	if (result == 0) {
		take_addresses(lookup, list);
		freeaddrinfo(list);
	}
	if (lookup->count == 0)
		error_set(&lookup->error, ERROR_TRANSIENT, "resolve %s: %s", lookup->host,
		          result != 0 ? gai_strerror(result) : "no address");
	loop_post(lookup->loop, lookup_done, lookup);
	return NULL;
}

/* When no thread can be had the failure still comes later, from the loop. */
static void lookup_failed(void *argument)
{
	struct lookup *lookup = argument;
	struct resolver *resolver = lookup->resolver;
	struct resolver_query *query;

	while (resolver != NULL && (query = resolver->queries) != NULL) {
		resolver->queries = query->next;
		query->done(NULL, 0, &lookup->error, query->argument);
	}
	lookup_free(lookup);
}

void resolver_ask(struct resolver *resolver, struct resolver_query *query)
{
	struct lookup *lookup;

	query->next = resolver->queries;
	resolver->queries = query;
	if (resolver->lookup != NULL)
		return;
	lookup = calloc(1, sizeof(*lookup));
	if (lookup == NULL)
		abort();
	lookup->resolver = resolver;
	lookup->loop = resolver->loop;
	lookup->host = string_dup(resolver->host);
	if (thread_start(&lookup->thread, "resolve", lookup_thread, lookup, &lookup->error) == 0)
		resolver->lookup = lookup;
	else
		loop_post(resolver->loop, lookup_failed, lookup);
}

void resolver_forget(struct resolver *resolver, struct resolver_query *query)
{
	for (struct resolver_query **place = &resolver->queries; *place != NULL; place = &(*place)->next) {
		if (*place == query) {
			*place = query->next;
			return;
		}
	}
}

static void detach_lookup(void *argument)
{
	struct resolver *resolver = argument;

	if (resolver->lookup != NULL)
		resolver->lookup->resolver = NULL;
}

static void nothing(void *argument)
{
}

void resolver_free(struct resolver *resolver)
{
	if (resolver == NULL)
		return;
	loop_call(resolver->loop, detach_lookup, resolver);
	if (resolver->lookup != NULL) {
		pthread_join(resolver->lookup->thread, NULL);
		loop_call(resolver->loop, nothing, NULL); /* lookup_done() was posted before and has run */
		lookup_free(resolver->lookup);
	}
	free(resolver->host);
	free(resolver);
}
