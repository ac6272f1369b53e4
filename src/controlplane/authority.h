/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "controlplane/pass.h"

/* A new self-signed authority and its key, put into data under the two keys. */
int authority_create(struct pass *pass, const char *common_name, struct secret_data *data, const char *certificate_key,
                     const char *private_key, struct error *err);
