/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every kind of DataStore can do for a tenant, and the pool that keeps one open client per DataStore. All operations are blocking and
 * idempotent: run from a reconcile worker, never from a loop. They are safe from several threads at once for different tenants.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "datastore/connection.h"
#include "io/cancel.h"
#include "io/loop.h"

/* A tenant's place in a store. Names come from status.storage.setup, else spec, else the UID; never recomputed for an existing tenant. */
struct datastore_tenant {
	const char *schema;   /* etcd: role name and key prefix "/<schema>/" */
	const char *user;     /* etcd: user name = CN of the client certificate */
	const char *password; /* not used by etcd */
};

struct datastore; /* an open client; refcounted by the pool */

struct datastore_driver {
	const char *name; /* spec.driver */
	int (*open)(struct loop *loop, const struct datastore_connection *connection, void **client, struct error *err);
	void (*close)(void *client);
	/* Reaches the store with the operator's credentials and sees that tenants will be isolated. */
	int (*check)(void *client, struct cancel *cancel, struct error *err);
	/* User, schema and privileges exist afterwards; *changed says whether anything had to be made. Heals what a broken attempt left. */
	int (*ensure)(void *client, const struct datastore_tenant *tenant, bool *changed, struct cancel *cancel, struct error *err);
	/* Privileges, data, user are gone afterwards, in this order; absent things are fine, so a broken attempt is simply repeated. */
	int (*delete_all)(void *client, const struct datastore_tenant *tenant, struct cancel *cancel, struct error *err);
};

/* NULL with ERROR_INVALID "driver X is not supported by this build (supported: etcd)" for others. */
const struct datastore_driver *datastore_driver_find(const char *name, struct error *err);
/*
 * One client per DataStore, not per reconcile. A client is replaced when the connection's digest changed, and closed by
 * datastore_pool_sweep() after `idle_ms` without use; those in use are closed when released. Thread-safe.
 */
struct datastore_pool;
struct datastore_pool *datastore_pool_new(struct loop *loop, uint64_t idle_ms); /* loop drives the connections; 0: 5 minutes */
void datastore_pool_free(struct datastore_pool *pool);                          /* all clients must have been released */
int datastore_pool_acquire(struct datastore_pool *pool, const struct datastore_connection *connection, struct datastore **datastore,
                           struct error *err);
void datastore_release(struct datastore *datastore);                       /* NULL is fine */
void datastore_pool_forget(struct datastore_pool *pool, const char *name); /* the DataStore object was deleted */
void datastore_pool_sweep(struct datastore_pool *pool);                    /* call now and then (each minute), not on the loop */

static inline void datastore_cleanup(struct datastore **datastore)
{
	datastore_release(*datastore);
}
#define DATASTORE_CLEANUP __attribute__((cleanup(datastore_cleanup)))

/*
 * Errors tell people what to do; all begin with "DataStore NAME: ". ERROR_TRANSIENT and ERROR_TIMEOUT: unreachable, with the endpoint.
 * ERROR_FORBIDDEN: the store refused us or we refused its certificate (reason: net/tls.h), or our user may not manage users. ERROR_INVALID: our
 * certificate has expired, authentication is not enabled in the store (the text names the remedy), or a tenant's schema or user cannot be used.
 */
int datastore_check(struct datastore *datastore, struct cancel *cancel, struct error *err);
int datastore_ensure(struct datastore *datastore, const struct datastore_tenant *tenant, bool *changed, struct cancel *cancel,
                     struct error *err);
int datastore_delete_all(struct datastore *datastore, const struct datastore_tenant *tenant, struct cancel *cancel, struct error *err);
