/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubeconfig Secrets. All files of one are made anew when its checksum is not what the tenant's CA, kubeadm configuration and data give
 * (so an edited file, a new address or a new CA is noticed); a single file also when its credentials end or do not fit.
 */
#pragma once

#include "controlplane/pass.h"

struct kubeconfig_file {
	const char *key;          /* in the Secret */
	const char *user, *group; /* CN and O of its client certificate; group may be NULL */
	const char *server;
};
/* `address` is the one hashed into the checksum: the assigned address, or the loopback address for pods of the tenant. */
int kubeconfig_plan(struct pass *pass, enum credential which, const struct kubeconfig_file *files, size_t count, const char *address,
                    struct error *err);
