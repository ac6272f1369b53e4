/* SPDX-License-Identifier: Apache-2.0 */
/* /healthz, /readyz and /metrics. The servers run on the loop; the state they show is set from any thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct http_server;

struct manager_probes {
	struct http_server *probes, *metrics;
	atomic_bool ready;
	_Atomic(const char *) waiting_for; /* static text: why not ready */
	/* Called on the loop before the metrics are written; set before anything is served. */
	void (*_Atomic update)(void *argument);
	_Atomic(void *) update_argument;
};

/* Addresses as in manager_options; "" and "0" turn one off. */
int manager_probes_start(struct manager_probes *probes, struct loop *loop, const char *probe_address, const char *metrics_address,
                         struct error *err);
void manager_probes_set(struct manager_probes *probes, bool ready, const char *waiting_for);
void manager_probes_stop(struct manager_probes *probes);

/* "host:port" or ":port" (all addresses). *host is free()d by the caller, "" for all. */
int manager_probes_parse_address(const char *text, const char *what, char **host, uint16_t *port, struct error *err);
