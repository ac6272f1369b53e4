/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/thread.h"
#include "kube/lease_machine.h"

enum { RELEASE_TIMEOUT_MS = 3000 };

struct lease_election {
	struct lease_election_options options; /* texts are owned */
	struct kube_client *client;
	char *namespace, *name, *identity;
	struct lease_machine machine; /* the thread's alone while it runs */
	struct cancel *cancel;
	pthread_t thread;
	atomic_bool leading;
};

char *lease_identity_new(void)
{
	char host[256] = "", uuid[37];

	(void)gethostname(host, sizeof(host) - 1);
	random_uuid(uuid);
	return string_printf("%s_%s", host[0] != '\0' ? host : "localhost", uuid);
}

bool lease_election_is_leader(const struct lease_election *election)
{
	return atomic_load(&election->leading);
}

static void observe(struct lease_election *election, json_t *lease)
{
	const char *holder;

	if (!lease_machine_observe(&election->machine, lease, clock_monotonic_ms()))
		return;
	holder = lease_machine_holder(&election->machine);
	if (holder[0] != '\0' && election->options.on_leader != NULL)
		election->options.on_leader(holder, election->options.argument);
}

/* Writes our claim over what was last observed. */
static int claim(struct lease_election *election, enum lease_action action, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *wanted = lease_machine_claim(&election->machine, clock_wall_micros());
	JSON_CLEANUP json_t *stored = NULL;

	if (action == LEASE_CREATE)
		stored = kube_client_create(election->client, &kube_resource_lease, wanted, NULL, cancel, err);
	else
		stored = kube_client_replace(election->client, &kube_resource_lease, wanted, NULL, cancel, err);
	if (stored == NULL)
		return -1;
	election->machine.leading = true;
	observe(election, stored);
	return 0;
}

/*
 * One attempt. 0: we hold the lease, renewed. -1: ERROR_PENDING when another holds it, else what went wrong. A leader writes without
 * reading first; the resourceVersion tells when somebody else has written.
 */
static int attempt(struct lease_election *election, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *live = NULL;
	enum lease_action action;

	if (election->machine.leading && claim(election, LEASE_UPDATE, cancel, err) == 0)
		return 0;
	if (election->machine.leading && err->class != ERROR_CONFLICT && err->class != ERROR_NOT_FOUND)
		return -1;
	live = kube_client_get(election->client, &kube_resource_lease, election->namespace, election->name, cancel, err);
	if (live == NULL && err->class != ERROR_NOT_FOUND)
		return -1;
	observe(election, live);
	action = lease_machine_decide(&election->machine, clock_monotonic_ms());
	if (action == LEASE_WAIT)
		return error_set(err, ERROR_PENDING, "lease %s/%s is held by %s", election->namespace, election->name,
		                 lease_machine_holder(&election->machine));
	return claim(election, action, cancel, err);
}

static int attempt_within(struct lease_election *election, uint64_t deadline_ms, struct error *err)
{
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(election->cancel, deadline_ms);

	return attempt(election, cancel, err);
}

/* client-go lets one request take half of the renew deadline, so that a second one can still save the lease. */
static uint64_t attempt_deadline(const struct lease_election *election)
{
	return clock_monotonic_ms() + election->options.renew_deadline_ms / 2;
}

/* 0 when acquired, with the time before the request that did it; -1 when the election is being stopped. */
static int acquire(struct lease_election *election, uint64_t *begun_ms)
{
	struct error err = { 0 };

	for (;;) {
		uint64_t pause = election->options.retry_period_ms;

		*begun_ms = clock_monotonic_ms();
		if (attempt_within(election, attempt_deadline(election), &err) == 0)
			return 0;
		if (err.class != ERROR_PENDING)
			log_debug("lease.attempt", err.message, LOG_STRING("class", error_class_name(err.class)));
		pause += random_below(pause / 5 + 1);
		if (cancel_sleep(election->cancel, pause, &err) != 0)
			return -1;
	}
}

/* Returns when the lease is lost (*err says why) or the election is being stopped (ERROR_CANCELLED). */
static void keep(struct lease_election *election, uint64_t renewed_ms, struct error *err)
{
	for (;;) {
		uint64_t lost_at = renewed_ms + election->options.renew_deadline_ms;
		uint64_t deadline, begun;

		if (cancel_sleep(election->cancel, election->options.retry_period_ms, err) != 0)
			return;
		begun = clock_monotonic_ms();
		deadline = attempt_deadline(election) < lost_at ? attempt_deadline(election) : lost_at;
		if (attempt_within(election, deadline, err) == 0) {
			renewed_ms = begun;
			continue;
		}
		if (cancel_is_triggered(election->cancel)) {
			error_set(err, ERROR_CANCELLED, "election is stopped");
			return;
		}
		if (err->class == ERROR_PENDING)
			return;
		if (clock_monotonic_ms() >= lost_at) {
			error_wrap(err, "lease %s/%s was not renewed for %u ms", election->namespace, election->name,
			           election->options.renew_deadline_ms);
			return;
		}
	}
}

static void *run(void *argument)
{
	struct lease_election *election = argument;
	struct error err = { 0 };
	uint64_t renewed_ms;

	if (acquire(election, &renewed_ms) != 0)
		return NULL;
	atomic_store(&election->leading, true);
	if (election->options.on_acquired != NULL)
		election->options.on_acquired(election->options.argument);
	keep(election, renewed_ms, &err);
	atomic_store(&election->leading, false);
	if (err.class != ERROR_CANCELLED && election->options.on_lost != NULL)
		election->options.on_lost(election->options.argument, &err);
	return NULL;
}

static void free_election(struct lease_election *election)
{
	lease_machine_free(&election->machine);
	cancel_free(election->cancel);
	kube_client_unref(election->client);
	free(election->namespace);
	free(election->name);
	free(election->identity);
	free(election);
}

struct lease_election *lease_election_start(const struct lease_election_options *options, struct error *err)
{
	struct lease_election *election = calloc(1, sizeof(*election));

	if (election == NULL)
		abort();
	election->options = *options;
	if (election->options.lease_duration_ms == 0)
		election->options.lease_duration_ms = 15000;
	if (election->options.renew_deadline_ms == 0)
		election->options.renew_deadline_ms = 10000;
	if (election->options.retry_period_ms == 0)
		election->options.retry_period_ms = 2000;
	election->client = kube_client_ref(options->client);
	election->namespace = string_dup(options->namespace);
	election->name = string_dup(options->name);
	election->identity = string_dup(options->identity);
	election->machine = (struct lease_machine){
		.namespace = election->namespace,
		.name = election->name,
		.identity = election->identity,
		.lease_duration_ms = election->options.lease_duration_ms,
	};
	election->cancel = cancel_new(NULL, UINT64_MAX);
	if (election->options.lease_duration_ms <= election->options.renew_deadline_ms ||
	    election->options.renew_deadline_ms <= election->options.retry_period_ms) {
		error_set(err, ERROR_INVALID, "lease durations must be: lease %u ms > renew deadline %u ms > retry period %u ms",
		          election->options.lease_duration_ms, election->options.renew_deadline_ms, election->options.retry_period_ms);
		free_election(election);
		return NULL;
	}
	if (thread_start(&election->thread, "lease", run, election, err) != 0) {
		free_election(election);
		return NULL;
	}
	return election;
}

/* 0: the Lease is free or another's. CONFLICT: it changed since we last saw it. */
static int give_up_seen(struct lease_election *election, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *wanted = lease_machine_release(&election->machine, clock_wall_micros());
	JSON_CLEANUP json_t *stored = NULL;

	if (wanted == NULL)
		return 0;
	stored = kube_client_replace(election->client, &kube_resource_lease, wanted, NULL, cancel, err);
	return stored != NULL ? 0 : -1;
}

/*
 * The renewal that the stop cut off may have been stored, or somebody has annotated the Lease: then what we know of it is old, and it is
 * read again. Left as it is, the next one would wait for its end.
 */
static void release(struct lease_election *election)
{
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + RELEASE_TIMEOUT_MS);
	struct error err = { 0 };

	while (give_up_seen(election, cancel, &err) < 0) {
		JSON_CLEANUP json_t *live = NULL;

		if (err.class == ERROR_CONFLICT)
			live = kube_client_get(election->client, &kube_resource_lease, election->namespace, election->name, cancel, &err);
		if (live == NULL) {
			log_debug("lease.release", err.message, LOG_STRING("class", error_class_name(err.class)));
			return;
		}
		observe(election, live);
	}
}

void lease_election_stop(struct lease_election *election, bool give_up)
{
	bool led;

	if (election == NULL)
		return;
	led = atomic_load(&election->leading);
	cancel_trigger(election->cancel);
	(void)pthread_join(election->thread, NULL);
	if (led && give_up)
		release(election);
	free_election(election);
}
