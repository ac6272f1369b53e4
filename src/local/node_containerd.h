/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's configuration, the same for every kind of node but for the places. */
#pragma once

#include "local/host_facts.h"

struct node_containerd_options {
	const char *socket;     /* where it listens, absolute in the node */
	const char *state;      /* runtime state; must be gone when the node has ended */
	const char *cni_folder; /* programs of pod networks */
	const char *runc;
	const char *pause_image;
	const struct host_facts *facts;
};

/* free(). */
char *node_containerd_config(const struct node_containerd_options *options);
