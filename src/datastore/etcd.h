/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The etcd driver. Isolation is etcd's own: with authentication on, a client is the user its certificate's CN names; each tenant's user has
 * one role, which may read and write "/<schema>/" up to the prefix's successor and nothing else (kamaji-behaviour 7.2, 7.3).
 */
#pragma once

#include "datastore/driver.h"

extern const struct datastore_driver datastore_driver_etcd;
