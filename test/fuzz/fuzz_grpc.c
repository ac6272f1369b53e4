/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC frames, protocol buffers (written back they must read the same), and percent-decoding. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "grpc/grpc_client.h"
#include "grpc/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 4, LIMIT = 64 * 1024 };

/* Varints and bytes fields are written again; the copy must give the same fields, default values left out. */
static void walk(const uint8_t *bytes, size_t length, int depth)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length), again;
	struct buffer copy BUFFER_CLEANUP = { 0 };
	struct protobuf_field field, same;

	while (protobuf_next(&reader, &field)) {
		buffer_clear(&copy);
		if (field.wire == PROTOBUF_VARINT)
			protobuf_put_unsigned(&copy, field.number, field.value);
		else if (field.wire == PROTOBUF_BYTES)
			protobuf_put_bytes(&copy, field.number, field.bytes, field.length);
		if (copy.length > 0) {
			again = protobuf_reader_of(copy.data, copy.length);
			if (!protobuf_next(&again, &same) || same.number != field.number || same.value != field.value ||
			    same.length != field.length || protobuf_next(&again, &same) || again.corrupt)
				abort();
		}
		if (field.wire == PROTOBUF_BYTES) {
			free(protobuf_field_string(&field));
			if (depth > 0)
				walk(field.bytes, field.length, depth - 1);
		}
	}
	if (reader.at != reader.end)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer decoded BUFFER_CLEANUP = { 0 };
	const uint8_t *message;
	size_t length;
	struct error err;
	char *text;

	if (grpc_frame_parse(data, size, LIMIT, &message, &length, &err) == 0) {
		if (length > LIMIT || message + length != data + size)
			abort();
		walk(message, length, DEPTH);
	}
	walk(data, size, DEPTH);
	text = string_ndup((const char *)data, size);
	grpc_message_decode(text, &decoded);
	if (decoded.length > strlen(text))
		abort();
	free(text);
	return 0;
}
