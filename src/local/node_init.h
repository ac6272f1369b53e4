/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of a node's init: `kamaji local node-init CONFIG`. */
#pragma once

#include "base/error.h"

/*
 * Runs in fresh namespaces as PID 1: reads the configuration, makes the node's root and network, then supervises until stopped. Refuses
 * to run anywhere else, so that nobody's machine is rearranged by a stray command.
 */
int node_init_run(const char *config_path, struct error *err);
