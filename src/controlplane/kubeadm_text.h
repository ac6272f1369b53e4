/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "pki/digest.h"

/* Upstream's checksum of a tenant's kubeadm configuration for this API endpoint: one of the four parts of a kubeconfig checksum. */
void kubeadm_config_checksum(const char *address, uint16_t port, char hex[DIGEST_HEX_SIZE]);
