/* SPDX-License-Identifier: Apache-2.0 */
/* Says what a value is in place of the value: what differs by nature must not stand in golden files. */
#pragma once

#include "base/json.h"

/* Describes a Secret's data, checksums, hashes and times, in place. */
void describe_object(json_t *object);
