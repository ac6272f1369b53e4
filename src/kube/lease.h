/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election on a Lease, compatible with client-go's: candidates of both kinds respect each other. The record of another holder
 * expires leaseDurationSeconds after WE last saw it change, by our own monotonic clock; clocks of other machines are never compared.
 *
 * One thread with a client (connection) of its own, so that a busy admin connection cannot cost the lease. The lease is lost when it could
 * not be renewed for `renew_deadline_ms`, or when another holder is seen: on_lost is called once and the election ends; the process must
 * then stop working at once (exit), because another one takes over after lease_duration.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "kube/client.h"

struct lease_election;

struct lease_election_options {
	struct kube_client *client; /* should be this election's own; a reference is taken */
	const char *namespace, *name;
	const char *identity;       /* unique: host name + "_" + uuid, see lease_identity_new() */
	unsigned lease_duration_ms; /* 0: 15000 */
	unsigned renew_deadline_ms; /* 0: 10000 */
	unsigned retry_period_ms;   /* 0: 2000, with jitter up to 20 % as client-go */
	/* On the election's thread; any may be NULL. */
	void (*on_acquired)(void *argument);
	void (*on_lost)(void *argument, const struct error *why);
	void (*on_leader)(const char *identity, void *argument); /* every change of leader that is seen, ours too */
	void *argument;
};

struct lease_election *lease_election_start(const struct lease_election_options *options, struct error *err);
/*
 * Ends the election and frees it. When leading and `give_up`, the Lease is given up at once (holderIdentity "", leaseDurationSeconds 1), so
 * the next one need not wait; stop the work first. on_lost is not called. Waits at most about 5 s.
 */
void lease_election_stop(struct lease_election *election, bool give_up);
bool lease_election_is_leader(const struct lease_election *election);

/* "HOSTNAME_UUID" (free()). */
char *lease_identity_new(void);
