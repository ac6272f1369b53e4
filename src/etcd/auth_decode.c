/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/auth_decode.h"

#include <string.h>

#include "grpc/protobuf.h"

bool auth_request_decode(const char *bytes, size_t length, struct auth_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct auth_request){ 0 };
	while (protobuf_next(&reader, &field)) {
		if (field.number > AUTH_REQUEST_FIELDS)
			continue;
		if (field.wire != PROTOBUF_BYTES)
			return false;
		request->fields[field.number] = (struct bytes){ field.length > 0 ? (const char *)field.bytes : "", field.length };
	}
	return !reader.corrupt;
}

/* Length of the UTF-8 sequence at `at`, 0 when it is none (RFC 3629: shortest form, no surrogates, up to U+10FFFF). */
static size_t sequence_length(const unsigned char *at, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t minimum;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (size_t length = 1; length <= 4 && length <= left; length++) {
		uint32_t value = at[0] & (unsigned char)~forms[length - 1].mask;

		if ((at[0] & forms[length - 1].mask) != forms[length - 1].lead)
			continue;
		for (size_t i = 1; i < length; i++) {
			if ((at[i] & 0xc0) != 0x80)
				return 0;
			value = value << 6 | (at[i] & 0x3f);
		}
		return value < forms[length - 1].minimum || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? 0 : length;
	}
	return 0;
}

const char *auth_request_text(const struct auth_request *request, unsigned number, struct arena *arena)
{
	struct bytes text = auth_request_bytes(request, number);

	for (size_t place = 0; place < text.length;) {
		size_t length = sequence_length((const unsigned char *)text.data + place, text.length - place);

		if (length == 0 || text.data[place] == '\0')
			return NULL;
		place += length;
	}
	return arena_strndup(arena, text.data, text.length);
}

struct bytes auth_request_bytes(const struct auth_request *request, unsigned number)
{
	return request->fields[number].data != NULL ? request->fields[number] : (struct bytes){ "", 0 };
}

bool auth_request_no_password(const struct auth_request *request, bool *good)
{
	struct bytes options = auth_request_bytes(request, 3);
	struct protobuf_reader reader = protobuf_reader_of(options.data, options.length);
	struct protobuf_field field;
	bool no_password = false;

	while (protobuf_next(&reader, &field))
		if (field.number == 1 && field.wire == PROTOBUF_VARINT)
			no_password = field.value != 0;
	*good = !reader.corrupt;
	return no_password;
}
