/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error object. A fallible function returns 0, or -1 with *err filled; its last argument is `struct error *err`,
 * which lives in the caller's frame and is never NULL. The lowest function sets code class and cause, callers put their
 * context in front with error_wrap(); whoever stops the climb logs it, once. Retry policy is a function of the class only.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum error_class {
	ERROR_NONE = 0,
	ERROR_TRANSIENT, /* network, 429, 5xx, busy: retry with back-off */
	ERROR_TIMEOUT,   /* a deadline passed: retry with back-off */
	ERROR_CONFLICT,  /* optimistic lock lost: read again and retry soon */
	ERROR_NOT_FOUND,
	ERROR_EXISTS,    /* already there */
	ERROR_EXPIRED,   /* 410 Gone: list again */
	ERROR_PENDING,   /* not an error: waits for something outside (an address, a store); looked at again when told or after a while */
	ERROR_FORBIDDEN, /* 401, 403: retry slowly */
	ERROR_INVALID,   /* the input is wrong: only a change of input helps */
	ERROR_EXHAUSTED, /* a named limit was hit */
	ERROR_CANCELLED, /* the caller gave up */
	ERROR_CORRUPT,   /* bytes that cannot be what they claim */
	ERROR_SYSTEM,    /* an operating-system call failed */
	ERROR_BUG,       /* this program is wrong */
};

struct error {
	enum error_class class;
	int status;              /* HTTP or gRPC status when one caused this, else 0 */
	unsigned retry_after_ms; /* what the server asked for (Retry-After), else 0 */
	char reason[48];         /* Kubernetes Status.reason, or "" */
	char message[600];       /* outermost context first; overflow cuts the outer text, never the cause */
};

/* Sets class and message. Always returns -1, so that `return error_set(...)` reads well. */
int error_set(struct error *err, enum error_class class, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Like error_set with ERROR_SYSTEM and ": strerror(number)" added; ENOENT gives NOT_FOUND, EEXIST EXISTS, EACCES and EPERM
 * FORBIDDEN, ETIMEDOUT TIMEOUT. */
int error_set_errno(struct error *err, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "context: " in front of the message; class and status stay. Always returns -1. */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_clear(struct error *err);
/* Lower-case word for logs and metrics ("transient", "not_found"). */
const char *error_class_name(enum error_class class);
/* True for classes where the same call may succeed later without any change of input. */
bool error_is_retriable(const struct error *err);
