/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/grpc_status.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/strings.h"

struct status_row {
	const char *name;
	enum error_class class;
};

static const struct status_row rows[] = {
	[GRPC_OK] = { "OK", ERROR_NONE },
	[GRPC_CANCELLED] = { "CANCELLED", ERROR_TRANSIENT },
	[GRPC_UNKNOWN] = { "UNKNOWN", ERROR_TRANSIENT },
	[GRPC_INVALID_ARGUMENT] = { "INVALID_ARGUMENT", ERROR_INVALID },
	[GRPC_DEADLINE_EXCEEDED] = { "DEADLINE_EXCEEDED", ERROR_TIMEOUT },
	[GRPC_NOT_FOUND] = { "NOT_FOUND", ERROR_NOT_FOUND },
	[GRPC_ALREADY_EXISTS] = { "ALREADY_EXISTS", ERROR_EXISTS },
	[GRPC_PERMISSION_DENIED] = { "PERMISSION_DENIED", ERROR_FORBIDDEN },
	[GRPC_RESOURCE_EXHAUSTED] = { "RESOURCE_EXHAUSTED", ERROR_EXHAUSTED },
	[GRPC_FAILED_PRECONDITION] = { "FAILED_PRECONDITION", ERROR_INVALID },
	[GRPC_ABORTED] = { "ABORTED", ERROR_TRANSIENT },
	[GRPC_OUT_OF_RANGE] = { "OUT_OF_RANGE", ERROR_INVALID },
	[GRPC_UNIMPLEMENTED] = { "UNIMPLEMENTED", ERROR_INVALID },
	[GRPC_INTERNAL] = { "INTERNAL", ERROR_TRANSIENT },
	[GRPC_UNAVAILABLE] = { "UNAVAILABLE", ERROR_TRANSIENT },
	[GRPC_DATA_LOSS] = { "DATA_LOSS", ERROR_CORRUPT },
	[GRPC_UNAUTHENTICATED] = { "UNAUTHENTICATED", ERROR_FORBIDDEN },
};

static const struct status_row *row_of(int status)
{
	return status >= 0 && (size_t)status < ARRAY_LENGTH(rows) ? &rows[status] : &rows[GRPC_UNKNOWN];
}

const char *grpc_status_name(int status)
{
	return row_of(status)->name;
}

enum error_class grpc_status_class(int status)
{
	return row_of(status)->class;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char)(digit | 0x20);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

void grpc_message_decode(const char *text, struct buffer *out)
{
	for (; *text; text++) {
		if (*text == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
			char byte = (char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));

			(void)buffer_append_char(out, byte != '\0' ? byte : '?');
			text += 2;
		} else {
			(void)buffer_append_char(out, *text);
		}
	}
}

int grpc_status_check(const struct http_headers *trailers, struct error *err)
{
	const char *status = http_headers_get(trailers, "grpc-status");
	const char *message = http_headers_get(trailers, "grpc-message");
	struct buffer decoded BUFFER_CLEANUP = { 0 };
	struct error number_error;
	int64_t code;

	if (status == NULL)
		return error_set(err, ERROR_CORRUPT, "gRPC answer without grpc-status");
	if (string_to_integer(status, 0, INT32_MAX, "grpc-status", &code, &number_error) != 0)
		return error_set(err, ERROR_CORRUPT, "gRPC answer with grpc-status \"%.20s\"", status);
	if (code == GRPC_OK)
		return 0;
	grpc_message_decode(message ? message : "", &decoded);
	error_set(err, grpc_status_class((int)code), "%s", decoded.length > 0 ? decoded.data : grpc_status_name((int)code));
	err->status = (int)code;
	(void)snprintf(err->reason, sizeof(err->reason), "%s", grpc_status_name((int)code));
	return -1;
}

void grpc_message_encode(const char *text, struct buffer *out)
{
	for (; *text; text++)
		if (*text >= 0x20 && *text <= 0x7e && *text != '%')
			(void)buffer_append_char(out, *text);
		else
			(void)buffer_printf(out, "%%%02X", (unsigned char)*text);
}

bool grpc_timeout_parse(const char *text, uint64_t *milliseconds)
{
	static const struct {
		char unit;
		uint64_t nanoseconds;
	} units[] = {
		{ 'H', 3600ull * 1000 * 1000 * 1000 },
		{ 'M', 60ull * 1000 * 1000 * 1000 },
		{ 'S', 1000ull * 1000 * 1000 },
		{ 'm', 1000 * 1000 },
		{ 'u', 1000 },
		{ 'n', 1 },
	};
	const uint64_t million = 1000 * 1000;
	uint64_t number = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 8 || text[digits] == '\0' || text[digits + 1] != '\0')
		return false;
	for (size_t i = 0; i < digits; i++)
		number = number * 10 + (uint64_t)(text[i] - '0');
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (units[i].unit != text[digits])
			continue;
		*milliseconds = units[i].nanoseconds >= million ? number * (units[i].nanoseconds / million)
		                                                : (number * units[i].nanoseconds + million - 1) / million;
		return true;
	}
	return false;
}
