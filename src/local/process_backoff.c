/* SPDX-License-Identifier: Apache-2.0 */
#include "local/process_backoff.h"

uint32_t process_backoff_next(struct process_backoff *backoff, uint64_t ready_ms, uint64_t ended_ms)
{
	uint64_t ran = ready_ms != 0 && ended_ms > ready_ms ? ended_ms - ready_ms : 0;
	uint32_t most = ran >= PROCESS_BACKOFF_SETTLED_MS ? PROCESS_BACKOFF_SETTLED_MAX_MS : PROCESS_BACKOFF_MAX_MS;

	if (backoff->delay_ms == 0 || ran >= PROCESS_BACKOFF_HEALTHY_MS)
		backoff->delay_ms = PROCESS_BACKOFF_FIRST_MS;
	else if (backoff->delay_ms < most / 2)
		backoff->delay_ms *= 2;
	else
		backoff->delay_ms = most;
	return backoff->delay_ms;
}
