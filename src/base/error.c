/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void format_message(struct error *err, const char *format, va_list arguments)
{
	if (vsnprintf(err->message, sizeof(err->message), format, arguments) < 0)
		err->message[0] = '\0';
}

int error_set(struct error *err, enum error_class class, const char *format, ...)
{
	va_list arguments;

	*err = (struct error){ .class = class };
	va_start(arguments, format);
	format_message(err, format, arguments);
	va_end(arguments);
	return -1;
}

static enum error_class class_of_errno(int number)
{
	switch (number) {
	case ENOENT:
		return ERROR_NOT_FOUND;
	case EEXIST:
		return ERROR_EXISTS;
	case EACCES:
	case EPERM:
		return ERROR_FORBIDDEN;
	case ETIMEDOUT:
		return ERROR_TIMEOUT;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EAGAIN:
		return ERROR_TRANSIENT;
	case ENOSPC:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return ERROR_EXHAUSTED;
	default:
		return ERROR_SYSTEM;
	}
}

int error_set_errno(struct error *err, int number, const char *format, ...)
{
	va_list arguments;
	size_t length;

	*err = (struct error){ .class = class_of_errno(number) };
	va_start(arguments, format);
	format_message(err, format, arguments);
	va_end(arguments);
	length = strlen(err->message);
	(void)snprintf(err->message + length, sizeof(err->message) - length, ": %s", strerror(number));
	return -1;
}

int error_wrap(struct error *err, const char *format, ...)
{
	char context[sizeof(err->message)];
	char cause[sizeof(err->message)];
	va_list arguments;
	size_t room, context_length;
	int length;

	va_start(arguments, format);
	length = vsnprintf(context, sizeof(context), format, arguments);
	va_end(arguments);
	if (length <= 0)
		return -1;
	memcpy(cause, err->message, sizeof(cause));
	room = sizeof(err->message) - 1 - strlen(cause);
	if (room < 3)
		return -1;
	context_length = (size_t)length < sizeof(context) ? (size_t)length : sizeof(context) - 1;
	if (context_length > room - 2)
		context_length = room - 2;
	memcpy(err->message, context, context_length);
	memcpy(err->message + context_length, ": ", 2);
	memcpy(err->message + context_length + 2, cause, strlen(cause) + 1);
	return -1;
}

void error_clear(struct error *err)
{
	*err = (struct error){ .class = ERROR_NONE };
}

const char *error_class_name(enum error_class class)
{
	static const char *const names[] = {
		[ERROR_NONE] = "none",         [ERROR_TRANSIENT] = "transient", [ERROR_TIMEOUT] = "timeout",
		[ERROR_CONFLICT] = "conflict", [ERROR_NOT_FOUND] = "not_found", [ERROR_EXISTS] = "exists",
		[ERROR_EXPIRED] = "expired",   [ERROR_PENDING] = "pending",     [ERROR_FORBIDDEN] = "forbidden",
		[ERROR_INVALID] = "invalid",   [ERROR_EXHAUSTED] = "exhausted", [ERROR_CANCELLED] = "cancelled",
		[ERROR_CORRUPT] = "corrupt",   [ERROR_SYSTEM] = "system",       [ERROR_BUG] = "bug",
	};

	return (size_t)class < sizeof(names) / sizeof(names[0]) ? names[class] : "unknown";
}

bool error_is_retriable(const struct error *err)
{
	switch (err->class) {
	case ERROR_TRANSIENT:
	case ERROR_TIMEOUT:
	case ERROR_CONFLICT:
	case ERROR_EXPIRED:
	case ERROR_PENDING:
	case ERROR_EXHAUSTED:
	case ERROR_SYSTEM:
		return true;
	default:
		return false;
	}
}
