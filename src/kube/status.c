/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/client.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"

enum { MAXIMUM_CAUSES_SHOWN = 6, MAXIMUM_RETRY_AFTER_SECONDS = 600, BODY_SHOWN = 200 };

static enum error_class class_of(int status, const char *reason)
{
	switch (status) {
	case 401:
	case 403:
		return ERROR_FORBIDDEN;
	case 404:
		return ERROR_NOT_FOUND;
	case 408:
	case 504:
		return ERROR_TIMEOUT;
	case 409:
		return string_equal(reason, "AlreadyExists") ? ERROR_EXISTS : ERROR_CONFLICT;
	case 410:
		return ERROR_EXPIRED;
	case 429:
		return ERROR_TRANSIENT;
	default:
		return status >= 500 ? ERROR_TRANSIENT : ERROR_INVALID;
	}
}

/* The fields that the server objects to, as far as its message does not already name them. */
static void append_causes(const json_t *status, const char *message, struct buffer *text)
{
	const json_t *causes = json_at(status, "details.causes");
	unsigned shown = 0;
	size_t index;
	json_t *cause;

	json_array_foreach(causes, index, cause) {
		const char *field = json_string_at(cause, "field");
		const char *detail = json_string_or(cause, "message", json_string_or(cause, "reason", ""));

		if (string_empty(field) || (message != NULL && strstr(message, field) != NULL))
			continue;
		if (shown++ == MAXIMUM_CAUSES_SHOWN) {
			buffer_append_string(text, "; ...");
			return;
		}
		buffer_printf(text, "; %s: %.120s", field, detail);
	}
}

static unsigned retry_after_ms(const json_t *status, const char *header)
{
	int64_t seconds = json_integer_or(status, "details.retryAfterSeconds", 0);
	struct error ignored = { 0 };

	if (header != NULL)
		(void)string_to_integer(header, 0, MAXIMUM_RETRY_AFTER_SECONDS, "Retry-After", &seconds, &ignored);
	if (seconds <= 0)
		return 0;
	return (unsigned)(seconds > MAXIMUM_RETRY_AFTER_SECONDS ? MAXIMUM_RETRY_AFTER_SECONDS : seconds) * 1000;
}

static bool is_readable_text(const char *body, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)body[i] < 0x20 && strchr("\t\r\n", body[i]) == NULL) || (unsigned char)body[i] >= 0x7f)
			return false;
	return length > 0;
}

int kube_status_error(int http_status, const char *retry_after, const char *body, size_t length, const char *what, struct error *err)
{
	struct error ignored = { 0 };
	JSON_CLEANUP json_t *status = length > 0 && body[0] == '{' ? json_parse(body, length, &ignored) : NULL;
	BUFFER_CLEANUP struct buffer text = { 0 };
	const char *reason = NULL, *message = NULL;

	if (status != NULL && string_equal(json_string_at(status, "kind"), "Status")) {
		reason = json_string_at(status, "reason");
		message = json_string_at(status, "message");
	}
	if (!string_empty(message))
		buffer_append_string(&text, message);
	else if (status == NULL && is_readable_text(body, length < BODY_SHOWN ? length : BODY_SHOWN))
		buffer_append(&text, body, length < BODY_SHOWN ? length : BODY_SHOWN);
	else
		buffer_append_string(&text, string_empty(reason) ? "no reason given" : reason);
	while (text.length > 0 && (text.data[text.length - 1] == '\n' || text.data[text.length - 1] == '\r'))
		text.data[--text.length] = '\0';
	append_causes(status, message, &text);
	(void)error_set(err, class_of(http_status, reason), "%s: HTTP %d: %s", what, http_status, text.data);
	err->status = http_status;
	err->retry_after_ms = retry_after_ms(status, retry_after);
	(void)snprintf(err->reason, sizeof(err->reason), "%s", reason != NULL ? reason : "");
	return -1;
}
