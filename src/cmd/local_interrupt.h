/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C for commands that take long: SIGINT and SIGTERM become a cancellation, and the command says itself what is left to do. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "io/cancel.h"

struct local_interrupt {
	struct cancel *cancel;
	atomic_bool over, came;
	pthread_t thread;
};

/* Starts watching; `cancel` is borrowed and triggered by the first signal. Signals are blocked already, as main() does. */
int local_interrupt_begin(struct local_interrupt *interrupt, struct cancel *cancel, struct error *err);
/* Ends watching, within 200 ms. True when a signal came. Once after every begin that succeeded. */
bool local_interrupt_end(struct local_interrupt *interrupt);
