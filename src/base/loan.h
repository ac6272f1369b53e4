/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are sent from where they lie. Who sends takes the parts from the front as they leave, changing them, and calls release() exactly once, on
 * the thread that sends: when the last byte has left or when none will any more. The owner keeps the loan, usually at the start of a struct of its own.
 */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

struct loan {
	struct iovec *parts;
	size_t count;
	void (*release)(struct loan *loan);
};

static inline size_t loan_length(const struct loan *loan)
{
	size_t length = 0;

	for (size_t i = 0; i < loan->count; i++)
		length += loan->parts[i].iov_len;
	return length;
}
