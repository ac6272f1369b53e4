/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in their wire form (field numbers of etcd's rpc.proto and kv.proto), appended to a buffer. */
#pragma once

#include "base/buffer.h"
#include "store/requests.h"
#include "store/space_event.h"

struct etcd_header {
	uint64_t cluster_id, member_id; /* 0 in the answers inside a transaction's */
	int64_t revision;
	uint64_t raft_term;
};

void etcd_encode_header(struct buffer *out, const struct etcd_header *header); /* as field 1 of the answer */
size_t etcd_key_value_size(const struct key_value *item);
void etcd_encode_key_value(struct buffer *out, const struct key_value *item); /* bare */
/* As field `number` of the answer. */
void etcd_encode_element(struct buffer *out, uint32_t number, const struct key_value *item);
/* The same without the value's bytes, which come between. */
void etcd_encode_before_value(struct buffer *out, uint32_t number, const struct key_value *item);
void etcd_encode_after_value(struct buffer *out, const struct key_value *item);
void etcd_encode_range(struct buffer *out, const struct etcd_header *header, const struct range_result *result);
void etcd_encode_range_end(struct buffer *out, const struct range_result *result); /* what follows the last element */
void etcd_encode_put(struct buffer *out, const struct etcd_header *header, const struct operation_result *result);
void etcd_encode_delete(struct buffer *out, const struct etcd_header *header, const struct operation_result *result);
void etcd_encode_txn(struct buffer *out, const struct etcd_header *header, const struct operation_result *result);
/* As an element of WatchResponse.events, tag included; kept in the event, so that it is made once. Borrowed. */
struct blob *etcd_encode_event(struct space_event *event, bool previous);
