/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the method KV.RangeStream (kube-apiserver 1.37 asks for it; etcd has it since 3.7). */
#pragma once

#include <stddef.h>

struct grpc_call;

void range_stream_serve(struct grpc_call *call, const char *bytes, size_t length, void *argument);
void range_stream_drained(struct grpc_call *call, void *argument);
void range_stream_ended(struct grpc_call *call, void *argument);
