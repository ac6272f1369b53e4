/* SPDX-License-Identifier: Apache-2.0 */
/* Signals as data: blocked in every thread from the start, read by one waiter. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* Call first in main(), before any thread: blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD as asked and ignores SIGPIPE. */
void signals_block(void);
/* For commands that nothing has to be tidied up after: the signals end the process again. */
void signals_unblock(void);
/* Waits for SIGTERM, SIGINT, SIGHUP or SIGUSR1; returns its number, or 0 after timeout_ms (UINT64_MAX: never). */
int signals_wait(uint64_t timeout_ms);
