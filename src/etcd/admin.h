/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What takes too long for the loop: password hashes, snapshots, hashes of the whole store. Work runs on pools of its own (one for logins, so that
 * a snapshot never delays them) and comes back to the loop, where the call may have ended in the meantime.
 */
#pragma once

#include <stdbool.h>

#include "grpc/grpc_server.h"
#include "io/loop.h"

struct admin;
struct admin_job;

enum { ADMIN_JOBS_MAXIMUM = 1000 /* of one kind; more is refused as too many requests */ };
enum admin_kind { ADMIN_LOGIN, ADMIN_DATA, ADMIN_KINDS };

struct admin *admin_new(struct loop *loop);
/* Any thread but the loop's, when no call is left. Waits for what runs. NULL is fine. */
void admin_free(struct admin *admin);

struct admin_work {
	enum admin_kind kind;
	void (*work)(void *argument);                         /* on a pool thread */
	void (*done)(void *argument, struct grpc_call *call); /* on the loop; call NULL: it has ended, only free what the argument holds */
	void *argument;
};
/* On the loop. False when too much is queued: nothing was taken. The call's data is not touched. */
bool admin_run(struct admin *admin, struct grpc_call *call, const struct admin_work *work);
/* On the loop, from the method's `ended`: work for the call still runs, but `done` comes without it. */
void admin_call_ended(struct admin *admin, const struct grpc_call *call);
