/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "controlplane/pass.h"

/* True when the object's controller is this tenant. */
bool is_controlled(const struct pass *pass, const json_t *object);
/*
 * Where clients reach a route: for each Gateway that accepted it and is programmed, the TLS listeners that its parentRef names (all of them
 * when it names none), as {type, value, port}. What cannot be resolved is left out. New reference, perhaps empty.
 */
json_t *access_points(const struct pass *pass, const json_t *route);
