/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of 127.0.0.1 for a server that is told its port and cannot choose one itself. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { FREE_PORTS_MAXIMUM = 8 };

/* Different ones, free a moment ago; ends the program when there are none. Somebody could take one before the server has it: it then says so. */
void free_ports(uint16_t *ports, size_t count);
