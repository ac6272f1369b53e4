/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an authority to a ready transport: resolve, connect (every address in turn), CONNECT through a proxy, TLS. Loop's thread. Private
 * to net/.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "io/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "net/transport.h"

enum { DIAL_MAXIMUM_PROXY_HEADER = 8 * 1024 };

/* Borrowed until dial_free(). */
struct dial_options {
	struct loop *loop;
	struct resolver *resolver; /* of the proxy when there is one */
	uint16_t port;
	const char *authority;         /* the target, "host:port" */
	struct tls_identity *identity; /* NULL: plain; a reference is taken */
	const char *server_name;
	const char *proxy;               /* "host:port" of the proxy, NULL: none */
	const char *proxy_authorization; /* "Basic ...", or NULL */
	unsigned timeout_ms;             /* for everything together */
};

struct dial;

/*
 * done runs once, never inside dial_start(): the transport is the receiver's, or NULL with the error. The dial still needs dial_free(),
 * which may be called inside done and ends an attempt under way.
 */
typedef void (*dial_function)(struct transport *transport, const struct error *err, void *argument);

struct dial *dial_start(const struct dial_options *options, dial_function done, void *argument);
void dial_free(struct dial *dial);
/* "resolving api.example", "connecting to 10.0.0.1:6443", "TLS handshake with ...": for time-out texts. */
void dial_describe(const struct dial *dial, char *text, size_t size);
