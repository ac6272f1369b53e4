/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "io/thread.h"

struct posted {
	struct posted *next;
	loop_function function;
	void *argument;
};

struct loop {
	struct event_base *base;
	struct event *wake;
	int descriptor; /* eventfd: readable when something was posted */
	pthread_t thread;
	pthread_mutex_t mutex; /* guards first, last and stopping */
	struct posted *first, **last;
	bool stopping;
};

struct loop_timer {
	struct event *event;
	loop_function function;
	void *argument;
};

struct loop_watch {
	struct loop *loop;
	struct event *event;
	unsigned events;
	int descriptor;
	loop_ready_function function;
	void *argument;
};

static struct posted *take_posted(struct loop *loop, bool *stopping)
{
	struct posted *list;

	THREAD_LOCKED(&loop->mutex);
	list = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	*stopping = loop->stopping;
	return list;
}

static void run_posted(int descriptor, short events, void *argument)
{
	struct loop *loop = argument;
	struct posted *list;
	uint64_t ignored;
	bool stopping;

	(void)!read(descriptor, &ignored, sizeof(ignored));
	list = take_posted(loop, &stopping);
	while (list != NULL) {
		struct posted *next = list->next;

		list->function(list->argument);
		free(list);
		list = next;
		if (list == NULL)
			list = take_posted(loop, &stopping); /* what they posted in turn */
	}
	if (stopping)
		(void)event_base_loopbreak(loop->base);
}

static void *run_loop(void *argument)
{
	struct loop *loop = argument;

	(void)event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static void free_loop(struct loop *loop)
{
	if (loop->wake != NULL)
		event_free(loop->wake);
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->descriptor >= 0)
		(void)close(loop->descriptor);
	pthread_mutex_destroy(&loop->mutex);
	free(loop);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (config == NULL)
		abort();
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

struct loop *loop_start(const char *name, struct error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		abort();
	loop->last = &loop->first;
	pthread_mutex_init(&loop->mutex, NULL);
	loop->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->base = new_base();
	if (loop->descriptor < 0 || loop->base == NULL) {
		error_set_errno(err, errno, "make event loop %s", name);
		free_loop(loop);
		return NULL;
	}
	loop->wake = event_new(loop->base, loop->descriptor, EV_READ | EV_PERSIST, run_posted, loop);
	if (loop->wake == NULL || event_add(loop->wake, NULL) < 0 || thread_start(&loop->thread, name, run_loop, loop, err) < 0) {
		error_wrap(err, "start event loop %s", name);
		free_loop(loop);
		return NULL;
	}
	return loop;
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;

	(void)!write(loop->descriptor, &one, sizeof(one));
}

void loop_stop(struct loop *loop)
{
	if (loop == NULL)
		return;
	pthread_mutex_lock(&loop->mutex);
	loop->stopping = true;
	pthread_mutex_unlock(&loop->mutex);
	wake(loop);
	pthread_join(loop->thread, NULL);
	free_loop(loop);
}

bool loop_is_current(const struct loop *loop)
{
	return pthread_equal(loop->thread, pthread_self());
}

void loop_post(struct loop *loop, loop_function function, void *argument)
{
	struct posted *item = calloc(1, sizeof(*item));
	bool first;

	if (item == NULL)
		abort();
	item->function = function;
	item->argument = argument;
	pthread_mutex_lock(&loop->mutex);
	first = loop->first == NULL;
	*loop->last = item;
	loop->last = &item->next;
	pthread_mutex_unlock(&loop->mutex);
	if (first)
		wake(loop);
}

struct call {
	loop_function function;
	void *argument;
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	bool finished;
};

static void run_call(void *argument)
{
	struct call *call = argument;

	call->function(call->argument);
	THREAD_LOCKED(&call->mutex);
	call->finished = true;
	pthread_cond_signal(&call->condition);
}

void loop_call(struct loop *loop, loop_function function, void *argument)
{
	struct call call = { .function = function, .argument = argument };

	if (loop_is_current(loop)) {
		function(argument);
		return;
	}
	pthread_mutex_init(&call.mutex, NULL);
	pthread_cond_init(&call.condition, NULL);
	loop_post(loop, run_call, &call);
	pthread_mutex_lock(&call.mutex);
	while (!call.finished)
		pthread_cond_wait(&call.condition, &call.mutex);
	pthread_mutex_unlock(&call.mutex);
	pthread_cond_destroy(&call.condition);
	pthread_mutex_destroy(&call.mutex);
}

static void timer_fired(int descriptor, short events, void *argument)
{
	struct loop_timer *timer = argument;

	timer->function(timer->argument);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_function function, void *argument)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		abort();
	timer->function = function;
	timer->argument = argument;
	timer->event = event_new(loop->base, -1, 0, timer_fired, timer);
	if (timer->event == NULL)
		abort();
	return timer;
}

void loop_timer_arm(struct loop_timer *timer, uint64_t milliseconds)
{
	struct timeval delay = { .tv_sec = (time_t)(milliseconds / 1000), .tv_usec = (suseconds_t)(milliseconds % 1000) * 1000 };

	if (event_add(timer->event, &delay) < 0)
		abort();
}

void loop_timer_soon(struct loop_timer *timer)
{
	event_active(timer->event, EV_TIMEOUT, 1);
}

void loop_timer_disarm(struct loop_timer *timer)
{
	(void)event_del(timer->event);
}

void loop_timer_free(struct loop_timer *timer)
{
	if (timer == NULL)
		return;
	event_free(timer->event);
	free(timer);
}

static void watch_ready(int descriptor, short events, void *argument)
{
	struct loop_watch *watch = argument;
	unsigned mask = ((events & EV_READ) ? LOOP_READ : 0u) | ((events & EV_WRITE) ? LOOP_WRITE : 0u);

	watch->function(descriptor, mask, watch->argument);
}

struct loop_watch *loop_watch_new(struct loop *loop, int descriptor, loop_ready_function function, void *argument)
{
	struct loop_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		abort();
	watch->loop = loop;
	watch->descriptor = descriptor;
	watch->function = function;
	watch->argument = argument;
	watch->event = event_new(loop->base, descriptor, EV_PERSIST, watch_ready, watch);
	if (watch->event == NULL)
		abort();
	return watch;
}

void loop_watch_set(struct loop_watch *watch, unsigned events)
{
	short mask = (short)(EV_PERSIST | ((events & LOOP_READ) ? EV_READ : 0) | ((events & LOOP_WRITE) ? EV_WRITE : 0));

	if (events == watch->events)
		return;
	(void)event_del(watch->event);
	watch->events = events;
	if (events == 0)
		return;
	if (event_assign(watch->event, watch->loop->base, watch->descriptor, mask, watch_ready, watch) < 0 ||
	    event_add(watch->event, NULL) < 0)
		abort();
}

void loop_watch_free(struct loop_watch *watch)
{
	if (watch == NULL)
		return;
	event_free(watch->event);
	free(watch);
}
