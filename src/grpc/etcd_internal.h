/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by etcd_client.c (endpoints, errors), etcd_auth.c and etcd_kv.c. Field numbers are those of etcd's api/etcdserverpb/rpc.proto. */
#pragma once

#include "grpc/etcd_client.h"
#include "grpc/protobuf.h"

/* The reply goes to *reply (appended), which may be NULL when only success counts. message may be empty. */
int etcd_call(struct etcd_client *client, const char *method, const struct buffer *message, struct buffer *reply, struct cancel *cancel,
              struct error *err);
/* -1 and ERROR_CORRUPT when the reader stopped early. */
int etcd_reply_check(const struct protobuf_reader *reader, const char *method, struct error *err);
/* A key or a range end; ETCD_ALL_KEYS and the empty first key are written as one zero byte. */
void etcd_put_key(struct buffer *message, uint32_t number, const char *key, bool first_of_all);
/* The class that an error text of etcd asks for, or the one it has. Exposed for tests. */
enum error_class etcd_error_class(const char *message, enum error_class class);
