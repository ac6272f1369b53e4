/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop on a thread of its own (libevent underneath). Everything registered on a loop runs on its thread, so state that only the
 * loop's callbacks touch needs no lock. Other threads reach it with loop_post() or loop_call(). Callbacks must not block.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct loop_timer;
struct loop_watch;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void (*loop_function)(void *argument);
typedef void (*loop_ready_function)(int descriptor, unsigned events, void *argument);

struct loop *loop_start(const char *name, struct error *err); /* name: 15 characters at most, shown by ps -L */
void loop_stop(struct loop *loop);                            /* from another thread; runs what was posted, then joins and frees */
bool loop_is_current(const struct loop *loop);
/* Runs function(argument) on the loop soon, in order. Any thread. */
void loop_post(struct loop *loop, loop_function function, void *argument);
/* The same, and waits until it has run (runs directly when already on the loop). */
void loop_call(struct loop *loop, loop_function function, void *argument);

/* The functions below: on the loop's thread only. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_function function, void *argument); /* not armed */
void loop_timer_arm(struct loop_timer *timer, uint64_t milliseconds);                         /* one shot; again moves it */
void loop_timer_soon(struct loop_timer *timer); /* after the callbacks that are ready now, before the loop waits again */
void loop_timer_disarm(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Level-triggered; events is a mask of LOOP_READ and LOOP_WRITE and may be 0. The descriptor stays the caller's. */
struct loop_watch *loop_watch_new(struct loop *loop, int descriptor, loop_ready_function function, void *argument);
void loop_watch_set(struct loop_watch *watch, unsigned events);
void loop_watch_free(struct loop_watch *watch); /* allowed inside its own callback */
