/* SPDX-License-Identifier: Apache-2.0 */
/* Options of an admin node of an environment "demo" in slot 5, for tests of what is rendered from them. Nothing in them is owned. */
#pragma once

#include <stdint.h>

#include "local/node_admin.h"

#define ALL_CAPABILITIES UINT64_C(0x1ffffffffff)

/* Of the number-th node, on a machine with that version of cgroups and these capabilities. */
struct node_admin_options node_fixture_options(unsigned number, int cgroup_version, uint64_t bounding);
