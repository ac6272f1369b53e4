/* SPDX-License-Identifier: Apache-2.0 */
/* One question to an API server, for the readiness probe of a node's init: a few milliseconds of CPU where kubectl takes a hundred. */
#pragma once

#include "base/error.h"

enum { API_READY_TIMEOUT_MS = 5000 };

/* 0 when /readyz of the server that the kubeconfig names answers ok. */
int api_ready_ask(const char *kubeconfig, struct error *err);
