/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a process that died is started again: after 200 ms, then twice as long each time up to 10 s. A run of 30 s counts as healthy and
 * starts from the beginning. Pure; times are monotonic milliseconds.
 */
#pragma once

#include <stdint.h>

enum { PROCESS_BACKOFF_FIRST_MS = 200, PROCESS_BACKOFF_MAX_MS = 10000, PROCESS_BACKOFF_HEALTHY_MS = 30000 };

struct process_backoff {
	uint32_t delay_ms; /* last delay; 0 = none yet */
};

/* Delay before the next start of a process that ran from started_ms to ended_ms. */
uint32_t process_backoff_next(struct process_backoff *backoff, uint64_t started_ms, uint64_t ended_ms);
