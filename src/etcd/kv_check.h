/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of form, before a request meets the state: empty keys, contradicting options, number of operations, keys written twice in one
 * transaction. NULL when all is well. (etcd server/etcdserver/api/v3rpc/key.go tells the order.)
 */
#pragma once

#include "base/arena.h"
#include "etcd/etcd_error.h"
#include "store/requests.h"

enum { KV_OPERATIONS_DEFAULT = 128 };

const struct etcd_error *kv_check_range(const struct range_request *request);
const struct etcd_error *kv_check_put(const struct put_request *request);
const struct etcd_error *kv_check_delete(const struct delete_request *request);
const struct etcd_error *kv_check_txn(const struct txn_request *request, int64_t maximum_operations, struct arena *arena);
