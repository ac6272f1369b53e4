/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system of a node, made inside its new mount namespace: a small tmpfs as root with the host's folders bound into it
 * read-only, /var and whatever the configuration binds in the node's own folder, and /run, /tmp, /dev/shm, /proc of its own. Nothing is
 * made on the host, and everything goes with the namespace. /sys and /dev are the host's (cgroups, devices).
 *
 * All of this runs in the init of the node, single-threaded, before anything else.
 */
#pragma once

#include "base/error.h"
#include "local/node_config.h"

/* Makes the root and enters it. Sockets of the node's processes go to /run/kamaji. */
int node_root_enter(const struct node_config *config, struct error *err);

/* Names eth0, sets address, route, forwarding and host name. Waits for nothing: the interface is there before init is told to go. */
int node_network_enter(const struct node_config *config, struct error *err);
