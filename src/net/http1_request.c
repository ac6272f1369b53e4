/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http1_request.h"

#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/strings.h"

enum { MAXIMUM_FIELDS = 64 };

struct line {
	const char *at;
	size_t length;
};

size_t http1_header_length(const char *bytes, size_t length)
{
	const char *end = memmem(bytes, length, "\r\n\r\n", 4);

	return end != NULL ? (size_t)(end - bytes) + 4 : 0;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char)(digit | 0x20);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool is_token(const char *text, size_t length)
{
	static const char punctuation[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!letter && (c == '\0' || strchr(punctuation, c) == NULL))
			return false;
	}
	return length > 0;
}

static bool is_field_value(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* NUL and malformed escapes are refused; the result always fits. */
static bool decode(const char *text, size_t length, char *out)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '%') {
			int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return false;
			*out++ = (char)(high * 16 + low);
			i += 2;
		} else {
			*out++ = text[i];
		}
	}
	*out = '\0';
	return true;
}

static int parse_target(const char *target, size_t length, struct http1_request *request)
{
	const char *mark = memchr(target, '?', length);
	size_t path_length = mark != NULL ? (size_t)(mark - target) : length;
	size_t query_length = mark != NULL ? length - path_length - 1 : 0;

	if (length == 0 || target[0] != '/')
		return 400;
	if (length >= sizeof(request->path))
		return 414;
	for (size_t i = 0; i < length; i++)
		if (target[i] <= 0x20 || target[i] >= 0x7f || target[i] == '#')
			return 400;
	if (!decode(target, path_length, request->path))
		return 400;
	if (mark != NULL)
		memcpy(request->query, mark + 1, query_length);
	request->query[query_length] = '\0';
	return 0;
}

static int parse_request_line(struct line line, size_t maximum_body, struct http1_request *request)
{
	const char *space = memchr(line.at, ' ', line.length);
	const char *end = line.at + line.length, *second;
	size_t method_length;

	if (space == NULL || !is_token(line.at, (size_t)(space - line.at)))
		return 400;
	method_length = (size_t)(space - line.at);
	second = memchr(space + 1, ' ', (size_t)(end - space - 1));
	if (second == NULL)
		return 400;
	if (end - second - 1 != 8 || memcmp(second + 1, "HTTP/", 5) != 0)
		return 400;
	if (memcmp(second + 1, "HTTP/1.1", 8) == 0)
		request->keep_alive = true;
	else if (memcmp(second + 1, "HTTP/1.0", 8) != 0)
		return 505;
	if (method_length == 4 && memcmp(line.at, "HEAD", 4) == 0)
		request->head = true;
	else if (maximum_body > 0 && method_length == 4 && memcmp(line.at, "POST", 4) == 0)
		request->post = true;
	else if (method_length != 3 || memcmp(line.at, "GET", 3) != 0)
		return 405;
	return parse_target(space + 1, (size_t)(second - space - 1), request);
}

static bool name_is(struct line name, const char *wanted)
{
	return name.length == strlen(wanted) && strncasecmp(name.at, wanted, name.length) == 0;
}

struct header_state {
	size_t maximum_body;
	bool have_host, have_length;
};

/* A POST's length; elsewhere only zero is allowed. */
static int parse_content_length(struct line value, struct header_state *state, struct http1_request *request)
{
	size_t length = 0;

	if (state->have_length || value.length == 0)
		return 400;
	state->have_length = true;
	for (size_t i = 0; i < value.length; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return 400;
		length = length * 10 + (size_t)(value.at[i] - '0');
		if (length > (request->post ? state->maximum_body : 0))
			return 413;
	}
	request->body_length = length;
	return 0;
}

static int parse_field(struct line line, struct header_state *state, struct http1_request *request)
{
	const char *colon = memchr(line.at, ':', line.length);
	struct line name = { line.at, colon != NULL ? (size_t)(colon - line.at) : 0 }, value;

	if (colon == NULL || !is_token(name.at, name.length))
		return 400; /* also a folded line: it starts with a space */
	value = (struct line){ colon + 1, line.length - name.length - 1 };
	if (!is_field_value(value.at, value.length))
		return 400;
	while (value.length > 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
		value = (struct line){ value.at + 1, value.length - 1 };
	while (value.length > 0 && (value.at[value.length - 1] == ' ' || value.at[value.length - 1] == '\t'))
		value.length--;
	if (name_is(name, "transfer-encoding"))
		return 501;
	if (name_is(name, "expect"))
		return 417;
	if (name_is(name, "content-length"))
		return parse_content_length(value, state, request);
	if (name_is(name, "host")) {
		if (state->have_host)
			return 400;
		state->have_host = true;
	}
	if (name_is(name, "connection") && name_is(value, "close"))
		request->keep_alive = false;
	return 0;
}

int http1_request_parse(const char *bytes, size_t length, size_t maximum_body, struct http1_request *request)
{
	const char *at = bytes, *end = bytes + length - 2; /* before the empty line */
	struct header_state state = { .maximum_body = maximum_body };
	bool http11 = false;
	unsigned fields = 0;
	int status;

	request->head = request->post = request->keep_alive = false;
	request->body_length = 0;
	request->path[0] = request->query[0] = '\0';
	if (length > HTTP_SERVER_MAXIMUM_HEADER)
		return 431;
	for (struct line line; at < end; at = line.at + line.length + 2) {
		const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);

		line = (struct line){ at, (size_t)(stop - at) };
		if (memchr(line.at, '\n', line.length) != NULL || memchr(line.at, '\r', line.length) != NULL)
			return 400;
		if (at == bytes)
			status = parse_request_line(line, maximum_body, request);
		else
			status = ++fields > MAXIMUM_FIELDS ? 431 : parse_field(line, &state, request);
		if (status != 0)
			return status;
		if (at == bytes)
			http11 = request->keep_alive;
	}
	if (http11 && !state.have_host)
		return 400;
	return request->post && !state.have_length ? 411 : 0;
}

const char *http1_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 417, "Expectation Failed" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Status";
}

char *http_query_value(const char *query, const char *name)
{
	size_t name_length = strlen(name);

	while (*query) {
		size_t length = strcspn(query, "&");

		if (length > name_length && strncmp(query, name, name_length) == 0 && query[name_length] == '=') {
			struct buffer value BUFFER_CLEANUP = { 0 };
			size_t value_length = length - name_length - 1;
			char *out = buffer_reserve(&value, value_length);

			for (size_t i = 0; i < value_length; i++)
				if (query[name_length + 1 + i] == '+')
					out[i] = ' ';
				else
					out[i] = query[name_length + 1 + i];
			out[value_length] = '\0';
			return decode(out, value_length, out) ? buffer_take(&value) : NULL;
		}
		query += length + (query[length] == '&');
	}
	return NULL;
}
