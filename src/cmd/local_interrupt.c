/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/local_interrupt.h"

#include <signal.h>

#include "io/signals.h"
#include "io/thread.h"

enum { POLL_MS = 200 };

static void *watch(void *argument)
{
	struct local_interrupt *interrupt = argument;
	while (!atomic_load(&interrupt->over)) {
		int number = signals_wait(POLL_MS);
		if (number != SIGINT && number != SIGTERM)
			continue;
		atomic_store(&interrupt->came, true);
		cancel_trigger(interrupt->cancel);
	}
	return NULL;
}

int local_interrupt_begin(struct local_interrupt *interrupt, struct cancel *cancel, struct error *err)
{
	*interrupt = (struct local_interrupt){ .cancel = cancel };
	return thread_start(&interrupt->thread, "signals", watch, interrupt, err);
}

bool local_interrupt_end(struct local_interrupt *interrupt)
{
	atomic_store(&interrupt->over, true);
	(void)pthread_join(interrupt->thread, NULL);
	return atomic_load(&interrupt->came);
}
