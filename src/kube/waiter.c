/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/waiter.h"

#include <stdlib.h>

#include "io/thread.h"

static void wake(void *argument)
{
	struct kube_waiter_target *target = argument;

	pthread_mutex_lock(target->mutex);
	pthread_cond_broadcast(target->condition);
	pthread_mutex_unlock(target->mutex);
}

struct kube_waiter kube_waiter_begin(struct cancel *cancel, pthread_mutex_t *mutex, pthread_cond_t *condition)
{
	struct kube_waiter waiter = { .cancel = cancel, .target = malloc(sizeof(*waiter.target)) };

	if (waiter.target == NULL)
		abort();
	*waiter.target = (struct kube_waiter_target){ .mutex = mutex, .condition = condition };
	if (cancel != NULL)
		waiter.callback = cancel_register(cancel, wake, waiter.target);
	return waiter;
}

void kube_waiter_end(struct kube_waiter *waiter)
{
	if (waiter->callback != NULL)
		cancel_unregister(waiter->cancel, waiter->callback);
	free(waiter->target);
}

int kube_waiter_wait(struct kube_waiter *waiter, uint64_t deadline_ms, struct error *err)
{
	uint64_t limit = waiter->cancel != NULL ? cancel_deadline(waiter->cancel) : UINT64_MAX;

	if (cancel_check(waiter->cancel, err) != 0)
		return -1;
	(void)thread_condition_wait(waiter->target->condition, waiter->target->mutex, deadline_ms < limit ? deadline_ms : limit);
	return 0;
}
