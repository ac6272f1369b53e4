/* SPDX-License-Identifier: Apache-2.0 */
#include "io/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

#include "base/clock.h"

static void waited_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

void signals_block(void)
{
	sigset_t set;

	waited_set(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

void signals_unblock(void)
{
	sigset_t set;

	waited_set(&set);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int signals_wait(uint64_t timeout_ms)
{
	uint64_t end = timeout_ms == UINT64_MAX ? UINT64_MAX : clock_monotonic_ms() + timeout_ms;
	sigset_t set;

	waited_set(&set);
	for (;;) {
		uint64_t left = clock_until(end);
		struct timespec delay = { .tv_sec = (time_t)(left / 1000), .tv_nsec = (long)(left % 1000) * 1000000 };
		int number = left == UINT64_MAX ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &delay);

		if (number > 0)
			return number;
		if (errno == EAGAIN)
			return 0;
	}
}
