/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets as this room wants them: non-blocking, close-on-exec, no Nagle, a limit on unacknowledged bytes. Private to net/. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/ip.h"

/* A peer that acknowledges nothing for so long is gone (TCP_USER_TIMEOUT, tcp(7)). */
enum { SOCKET_UNACKNOWLEDGED_MS = 30 * 1000, SOCKET_BACKLOG = 4096 };

/*
 * Bytes that wait in the kernel for the network. More would only grow old there: a small answer queued behind a large one on the same
 * connection could no longer overtake it.
 */
enum { SOCKET_UNSENT = 128 * 1024 };

/* Starts a connect(); the descriptor is writable when it is decided. Returns it, or -1. */
int socket_connect(const struct ip_address *address, uint16_t port, struct error *err);
/* After writability: 0 when connected. `where` is "address:port". */
int socket_connect_result(int descriptor, const char *where, struct error *err);
/*
 * A listening unix socket, or -1. One that nobody listens on any more is replaced; ERROR_EXISTS when somebody does. Access is a matter of
 * the folder and the umask.
 */
int socket_listen_unix(const char *path, struct error *err);
/* A listening descriptor, or -1. address is an IP. */
int socket_listen(const char *address, uint16_t port, struct error *err);
uint16_t socket_local_port(int descriptor);
/* For a descriptor from accept4(). */
void socket_tune(int descriptor);
/* For one of an HTTP/2 server: also SOCKET_UNSENT. */
void socket_tune_accepted(int descriptor);
