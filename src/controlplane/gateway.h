/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "controlplane/pass.h"

/* True when the object's controller is this tenant. */
bool is_controlled(const struct pass *pass, const json_t *object);
