/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a process that died is started again: after 200 ms, then twice as long each time. A process that was ready for a second or more
 * (PROCESS_BACKOFF_SETTLED_MS) is one that works and was ended by something else: it waits 2 s at most, since everybody waits for it. One
 * that dies before, again and again (a broken configuration, a port in use), costs a start each time for nothing: up to 10 s. Ready
 * for 30 s counts as healthy and starts from the beginning. Pure; times are monotonic milliseconds.
 */
#pragma once

#include <stdint.h>

enum {
	PROCESS_BACKOFF_FIRST_MS = 200,
	PROCESS_BACKOFF_SETTLED_MAX_MS = 2000,
	PROCESS_BACKOFF_MAX_MS = 10000,
	PROCESS_BACKOFF_SETTLED_MS = 1000,
	PROCESS_BACKOFF_HEALTHY_MS = 30000
};

struct process_backoff {
	uint32_t delay_ms; /* last delay; 0 = none yet */
};

/* Delay before the next start of a process that was ready from ready_ms (0: never) until it died at ended_ms. */
uint32_t process_backoff_next(struct process_backoff *backoff, uint64_t ready_ms, uint64_t ended_ms);
