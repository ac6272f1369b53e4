/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/answer_parts.h"

#include <stdlib.h>

struct answer_parts {
	struct loan loan; /* first: what comes back is the answer */
	struct buffer text;
	size_t text_used; /* bytes of it that are in parts */
	struct blob **blobs;
	size_t blob_count, most;
	struct iovec parts[]; /* of text: base NULL until the text has its place */
};

static void release(struct loan *loan)
{
	struct answer_parts *answer = (struct answer_parts *)loan;

	for (size_t i = 0; i < answer->blob_count; i++)
		blob_unref(answer->blobs[i]);
	buffer_free_secret(&answer->text);
	free(answer->blobs);
	free(answer);
}

struct answer_parts *answer_parts_new(size_t blobs, size_t text_bytes)
{
	struct answer_parts *answer = malloc(sizeof(*answer) + (2 * blobs + 1) * sizeof(answer->parts[0]));

	if (answer == NULL)
		abort();
	*answer = (struct answer_parts){ .loan = { .parts = answer->parts, .release = release }, .most = blobs };
	answer->blobs = reallocarray(NULL, blobs + 1, sizeof(struct blob *));
	if (answer->blobs == NULL)
		abort();
	(void)buffer_reserve(&answer->text, text_bytes);
	return answer;
}

struct buffer *answer_parts_text(struct answer_parts *answer)
{
	return &answer->text;
}

static void end_text(struct answer_parts *answer)
{
	size_t length = answer->text.length - answer->text_used;

	if (length == 0)
		return;
	answer->parts[answer->loan.count++] = (struct iovec){ NULL, length };
	answer->text_used += length;
}

void answer_parts_blob(struct answer_parts *answer, struct blob *blob)
{
	if (answer->blob_count == answer->most)
		abort();
	end_text(answer);
	answer->blobs[answer->blob_count++] = blob_ref(blob);
	answer->parts[answer->loan.count++] = (struct iovec){ blob->data, blob->length };
}

void answer_parts_element(struct answer_parts *answer, uint32_t number, const struct key_value *item)
{
	if (blob_bytes(item->value).length < ANSWER_PARTS_VALUE) {
		etcd_encode_element(&answer->text, number, item);
		return;
	}
	etcd_encode_before_value(&answer->text, number, item);
	answer_parts_blob(answer, item->value);
	etcd_encode_after_value(&answer->text, item);
}

void answer_parts_send(struct answer_parts *answer, struct grpc_call *call)
{
	char *place = answer->text.data;

	end_text(answer);
	for (size_t i = 0; i < answer->loan.count; i++) {
		if (answer->parts[i].iov_base != NULL)
			continue;
		answer->parts[i].iov_base = place;
		place += answer->parts[i].iov_len;
	}
	grpc_call_send_loan(call, &answer->loan);
}
