/* SPDX-License-Identifier: Apache-2.0 */
#include "local/process_backoff.h"

uint32_t process_backoff_next(struct process_backoff *backoff, uint64_t started_ms, uint64_t ended_ms)
{
	uint64_t ran = ended_ms > started_ms ? ended_ms - started_ms : 0;
	if (backoff->delay_ms == 0 || ran >= PROCESS_BACKOFF_HEALTHY_MS)
		backoff->delay_ms = PROCESS_BACKOFF_FIRST_MS;
	else if (backoff->delay_ms < PROCESS_BACKOFF_MAX_MS / 2)
		backoff->delay_ms *= 2;
	else
		backoff->delay_ms = PROCESS_BACKOFF_MAX_MS;
	return backoff->delay_ms;
}
