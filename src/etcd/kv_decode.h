/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV requests from their wire form (field numbers of etcd's rpc.proto) into the store's shapes. Bytes borrow from the message, arrays live in
 * the arena. Counts and nesting are capped while parsing. Each returns false for a malformed message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "store/requests.h"

enum { KV_NESTING_MAXIMUM = 16, KV_OPERATIONS_PARSED_MAXIMUM = 100000 };

bool kv_decode_range(const char *bytes, size_t length, struct range_request *request);
bool kv_decode_put(const char *bytes, size_t length, struct put_request *request);
bool kv_decode_delete(const char *bytes, size_t length, struct delete_request *request);
bool kv_decode_txn(const char *bytes, size_t length, struct arena *arena, struct txn_request *request);
bool kv_decode_compact(const char *bytes, size_t length, int64_t *revision, bool *physical);
