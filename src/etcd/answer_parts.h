/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long answer whose values are sent from where they lie: what is small is encoded into one text, values come between as references to their blobs.
 * On the loop, as all blobs. A value stays alive until its last byte has left; there is no copy of it to wait beside it.
 */
#pragma once

#include "etcd/etcd_encode.h"
#include "grpc/grpc_server.h"

enum {
	ANSWER_PARTS_WORTH = 16 * 1024, /* bytes of an answer: shorter ones are encoded whole */
	ANSWER_PARTS_VALUE = 512,       /* bytes of a value: shorter ones are copied into the text */
};

struct answer_parts;

/* Room for at most so many blobs; text_bytes is a guess. Never NULL. */
struct answer_parts *answer_parts_new(size_t blobs, size_t text_bytes);
struct buffer *answer_parts_text(struct answer_parts *answer); /* appended to at the end of what is there */
void answer_parts_blob(struct answer_parts *answer, struct blob *blob);
/* As etcd_encode_element(). One blob at most. */
void answer_parts_element(struct answer_parts *answer, uint32_t number, const struct key_value *item);
/* One message of the call; frees the answer when it has left. */
void answer_parts_send(struct answer_parts *answer, struct grpc_call *call);
