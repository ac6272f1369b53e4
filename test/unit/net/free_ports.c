/* SPDX-License-Identifier: Apache-2.0 */
#include "free_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void free_ports(uint16_t *ports, size_t count)
{
	int held[FREE_PORTS_MAXIMUM];

	/* All are held until the last is known: none is given twice. */
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t length = sizeof(at);

		held[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (held[i] < 0 || bind(held[i], (struct sockaddr *)&at, sizeof(at)) != 0 ||
		    getsockname(held[i], (struct sockaddr *)&at, &length) != 0) {
			perror("no free port");
			abort();
		}
		ports[i] = ntohs(at.sin_port);
	}
	for (size_t i = 0; i < count; i++)
		(void)close(held[i]);
}
