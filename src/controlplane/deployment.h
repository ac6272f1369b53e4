/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "controlplane/pass.h"

/* MD5 of spec.controlPlane.deployment.extraArgs.apiServer as upstream records it, or NULL when extraArgs is not given. */
const char *api_server_arguments_digest(struct pass *pass);
