/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the parts of reading a configuration. */
#pragma once

#include "kube/config.h"

/* Splits the URL into the fields of the config. */
int kube_config_set_server(struct kube_config *config, const char *url, struct error *err);
