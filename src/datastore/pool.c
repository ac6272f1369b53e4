/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers' table, the pool of open clients, and the calls on them. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "datastore/driver.h"
#include "datastore/etcd.h"
#include "io/thread.h"

enum { IDLE_DEFAULT_MS = 5 * 60 * 1000 };

struct datastore {
	struct datastore_pool *pool;
	const struct datastore_driver *driver;
	void *client;
	char *name;
	char digest[DIGEST_HEX_SIZE];
	/* Guarded by the pool's mutex: */
	unsigned references;
	uint64_t last_used_ms;
	bool retired; /* no longer in the pool: closed with its last reference */
};

struct datastore_pool {
	struct loop *loop;
	uint64_t idle_ms;
	pthread_mutex_t mutex;
	struct map open; /* name -> struct datastore */
};

const struct datastore_driver *datastore_driver_find(const char *name, struct error *err)
{
	if (string_equal(name, datastore_driver_etcd.name))
		return &datastore_driver_etcd;
	(void)error_set(err, ERROR_INVALID, "spec.driver: %.50s is not supported by this build (supported: etcd)", name ? name : "none");
	return NULL;
}

/* Never with the mutex held: closing waits for the loop. */
static void close_datastore(void *value)
{
	struct datastore *datastore = value;

	if (datastore == NULL)
		return;
	datastore->driver->close(datastore->client);
	free(datastore->name);
	free(datastore);
}

struct datastore_pool *datastore_pool_new(struct loop *loop, uint64_t idle_ms)
{
	struct datastore_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		abort();
	pool->loop = loop;
	pool->idle_ms = idle_ms > 0 ? idle_ms : IDLE_DEFAULT_MS;
	pthread_mutex_init(&pool->mutex, NULL);
	return pool;
}

void datastore_pool_free(struct datastore_pool *pool)
{
	if (pool == NULL)
		return;
	for (struct map_entry *entry = map_first(&pool->open); entry != NULL; entry = map_next(&pool->open, entry))
		assert(((struct datastore *)entry->value)->references == 0);
	map_free(&pool->open, close_datastore);
	pthread_mutex_destroy(&pool->mutex);
	free(pool);
}

/* Takes the entry out of the pool. Returns it when nobody uses it: the caller closes it without the mutex. The mutex is held. */
static struct datastore *retire(struct datastore_pool *pool, const char *name)
{
	struct datastore *datastore = map_remove(&pool->open, name);

	if (datastore == NULL)
		return NULL;
	datastore->retired = true;
	return datastore->references == 0 ? datastore : NULL;
}

static struct datastore *find_open(struct datastore_pool *pool, const struct datastore_connection *connection)
{
	struct datastore *datastore = map_get(&pool->open, connection->name);

	if (datastore == NULL || strcmp(datastore->digest, connection->digest) != 0)
		return NULL;
	datastore->references++;
	return datastore;
}

static struct datastore *open_datastore(struct datastore_pool *pool, const struct datastore_connection *connection, struct error *err)
{
	const struct datastore_driver *driver = datastore_driver_find(connection->driver, err);
	struct datastore *datastore;
	void *client = NULL;

	if (driver == NULL || driver->open(pool->loop, connection, &client, err))
		return NULL;
	datastore = calloc(1, sizeof(*datastore));
	if (datastore == NULL)
		abort();
	*datastore = (struct datastore){
		.pool = pool, .driver = driver, .client = client, .name = string_dup(connection->name), .references = 1
	};
	memcpy(datastore->digest, connection->digest, sizeof(datastore->digest));
	return datastore;
}

int datastore_pool_acquire(struct datastore_pool *pool, const struct datastore_connection *connection, struct datastore **datastore,
                           struct error *err)
{
	struct datastore *fresh, *found, *old = NULL;

	pthread_mutex_lock(&pool->mutex);
	found = find_open(pool, connection);
	pthread_mutex_unlock(&pool->mutex);
	if (found != NULL) {
		*datastore = found;
		return 0;
	}
	fresh = open_datastore(pool, connection, err);
	if (fresh == NULL)
		return error_wrap(err, "DataStore %s", connection->name);
	pthread_mutex_lock(&pool->mutex);
	found = find_open(pool, connection);
	if (found == NULL) {
		old = retire(pool, connection->name);
		(void)map_put(&pool->open, connection->name, fresh);
		found = fresh;
		fresh = NULL;
	}
	pthread_mutex_unlock(&pool->mutex);
	close_datastore(old);
	close_datastore(fresh); /* another thread was quicker */
	*datastore = found;
	return 0;
}

void datastore_release(struct datastore *datastore)
{
	struct datastore_pool *pool;
	bool last;

	if (datastore == NULL)
		return;
	pool = datastore->pool;
	pthread_mutex_lock(&pool->mutex);
	datastore->last_used_ms = clock_monotonic_ms();
	last = --datastore->references == 0 && datastore->retired;
	pthread_mutex_unlock(&pool->mutex);
	if (last)
		close_datastore(datastore);
}

void datastore_pool_forget(struct datastore_pool *pool, const char *name)
{
	struct datastore *unused;

	pthread_mutex_lock(&pool->mutex);
	unused = retire(pool, name);
	pthread_mutex_unlock(&pool->mutex);
	close_datastore(unused);
}

/* One client that nobody used for long, out of the pool, or NULL. */
static struct datastore *take_idle(struct datastore_pool *pool, uint64_t now)
{
	THREAD_LOCKED(&pool->mutex);
	for (struct map_entry *entry = map_first(&pool->open); entry != NULL; entry = map_next(&pool->open, entry)) {
		struct datastore *datastore = entry->value;

		if (datastore->references == 0 && now - datastore->last_used_ms >= pool->idle_ms)
			return retire(pool, datastore->name);
	}
	return NULL;
}

void datastore_pool_sweep(struct datastore_pool *pool)
{
	uint64_t now = clock_monotonic_ms();
	struct datastore *idle;

	while ((idle = take_idle(pool, now)) != NULL)
		close_datastore(idle);
}

int datastore_check(struct datastore *datastore, struct cancel *cancel, struct error *err)
{
	if (datastore->driver->check(datastore->client, cancel, err))
		return error_wrap(err, "DataStore %s", datastore->name);
	return 0;
}

int datastore_ensure(struct datastore *datastore, const struct datastore_tenant *tenant, bool *changed, struct cancel *cancel,
                     struct error *err)
{
	if (datastore->driver->ensure(datastore->client, tenant, changed, cancel, err))
		return error_wrap(err, "DataStore %s", datastore->name);
	return 0;
}

int datastore_delete_all(struct datastore *datastore, const struct datastore_tenant *tenant, struct cancel *cancel, struct error *err)
{
	if (datastore->driver->delete_all(datastore->client, tenant, cancel, err))
		return error_wrap(err, "DataStore %s", datastore->name);
	return 0;
}
