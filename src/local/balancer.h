/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives LoadBalancer Services of a local environment their addresses. It is no load balancer: the host routes the whole range to the admin
 * node, where kube-proxy serves these addresses like any other of a Service. Every Service that gets one is told so in an Event. Runs as a
 * process of the node. State is in the Services' status alone, so a restart finds every address again.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct balancer_options {
	const char *kubeconfig;
	uint32_t first, last; /* addresses, host byte order */
};

/* Runs until SIGTERM or SIGINT. */
int balancer_run(const struct balancer_options *options, struct error *err);
