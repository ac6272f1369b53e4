/* SPDX-License-Identifier: Apache-2.0 */
/* What a change asks for, over all its branches: permissions, growth, writes. */
#pragma once

#include "etcd/auth_store.h"

/*
 * Every key compared must be readable, every key read, written or deleted in either branch permitted; a put with a lease also needs write
 * permission for all keys attached to that lease already (etcd's rule, so that nobody ends another's keys).
 */
const struct etcd_error *kv_auth_check(const struct auth_store *auth, const char *user, const struct operation *operation,
                                       struct space *space);
bool kv_grows(const struct operation *operation);  /* a put somewhere */
bool kv_writes(const struct operation *operation); /* a put or delete somewhere */
