/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/issuer.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "io/thread.h"

enum { ISSUER_MAXIMUM_STOCK = 64, ALGORITHM_COUNT = KEY_RSA_4096 + 1 };

/* Someone waits for one RSA key. Lives in the waiter's frame; in the queue until a key is delivered or the waiter gives up. */
struct order {
	struct order *next;
	enum key_algorithm algorithm;
	struct key *key;
	struct error err;
	bool queued, done;
};

/*
 * Every generation task makes one key and gives it to the oldest order for its algorithm, else to the stock. So a refill that is
 * under way when an order comes in serves that order, and nobody waits for the stock to be full.
 */
struct issuer {
	struct thread_pool *pool;
	unsigned stock_target;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t delivered;
	struct order *first, **last;
	unsigned waiting[ALGORITHM_COUNT], running[ALGORITHM_COUNT];
	struct key *stock[ISSUER_MAXIMUM_STOCK];
	unsigned stock_count;
	bool stopping;
};

struct task {
	struct issuer *issuer;
	enum key_algorithm algorithm;
};

/* Takes the key at the end of the stock. The mutex is held. */
static struct key *stock_take(struct issuer *issuer)
{
	struct key *key = issuer->stock[--issuer->stock_count];

	issuer->stock[issuer->stock_count] = NULL;
	return key;
}

static void unlink_order(struct issuer *issuer, struct order *order)
{
	for (struct order **place = &issuer->first; *place != NULL; place = &(*place)->next) {
		if (*place != order)
			continue;
		*place = order->next;
		if (issuer->last == &order->next)
			issuer->last = place;
		break;
	}
	order->queued = false;
	issuer->waiting[order->algorithm]--;
}

static bool is_wanted(const struct issuer *issuer, enum key_algorithm algorithm)
{
	unsigned wanted = issuer->waiting[algorithm];

	if (algorithm == KEY_RSA_2048)
		wanted += issuer->stock_target - issuer->stock_count;
	return !issuer->stopping && issuer->running[algorithm] < wanted;
}

/* Gives the key (or the error) away; takes ownership of key. The mutex is held. */
static void deliver(struct issuer *issuer, enum key_algorithm algorithm, struct key *key, const struct error *err)
{
	for (struct order *order = issuer->first; order != NULL; order = order->next) {
		if (order->algorithm != algorithm)
			continue;
		unlink_order(issuer, order);
		order->key = key;
		order->err = *err;
		order->done = true;
		pthread_cond_broadcast(&issuer->delivered);
		return;
	}
	if (key != NULL && algorithm == KEY_RSA_2048 && issuer->stock_count < issuer->stock_target)
		issuer->stock[issuer->stock_count++] = key;
	else
		key_free(key);
}

static void run_task(void *argument)
{
	struct task task = *(struct task *)argument;
	struct issuer *issuer = task.issuer;
	struct key *key = NULL;
	struct error err = { 0 };

	free(argument);
	THREAD_LOCKED(&issuer->mutex);
	if (!is_wanted(issuer, task.algorithm))
		return;
	issuer->running[task.algorithm]++;
	pthread_mutex_unlock(&issuer->mutex);
	(void)key_generate(task.algorithm, &key, &err);
	pthread_mutex_lock(&issuer->mutex);
	issuer->running[task.algorithm]--;
	deliver(issuer, task.algorithm, key, &err);
}

static void post_task(struct issuer *issuer, enum key_algorithm algorithm)
{
	struct task *task = malloc(sizeof(*task));

	if (task == NULL)
		abort();
	*task = (struct task){ .issuer = issuer, .algorithm = algorithm };
	thread_pool_post(issuer->pool, run_task, task);
}

struct issuer *issuer_new(const struct issuer_options *options, struct error *err)
{
	struct issuer *issuer;

	if (options->rsa_stock > ISSUER_MAXIMUM_STOCK) {
		(void)error_set(err, ERROR_INVALID, "a stock of %u keys is too many; at most %d", options->rsa_stock, ISSUER_MAXIMUM_STOCK);
		return NULL;
	}
	issuer = calloc(1, sizeof(*issuer));
	if (issuer == NULL)
		abort();
	issuer->last = &issuer->first;
	issuer->stock_target = options->rsa_stock;
	pthread_mutex_init(&issuer->mutex, NULL);
	thread_condition_init(&issuer->delivered);
	issuer->pool = thread_pool_new("issuer", options->threads > 0 ? options->threads : 1, err);
	if (issuer->pool == NULL) {
		issuer_free(issuer);
		return NULL;
	}
	for (unsigned i = 0; i < issuer->stock_target; i++)
		post_task(issuer, KEY_RSA_2048);
	return issuer;
}

void issuer_free(struct issuer *issuer)
{
	if (issuer == NULL)
		return;
	pthread_mutex_lock(&issuer->mutex);
	issuer->stopping = true;
	pthread_mutex_unlock(&issuer->mutex);
	thread_pool_free(issuer->pool);
	while (issuer->stock_count > 0)
		key_free(stock_take(issuer));
	pthread_cond_destroy(&issuer->delivered);
	pthread_mutex_destroy(&issuer->mutex);
	free(issuer);
}

unsigned issuer_stock(struct issuer *issuer)
{
	THREAD_LOCKED(&issuer->mutex);
	return issuer->stock_count;
}

static void place_order(struct issuer *issuer, enum key_algorithm algorithm, struct order *order)
{
	*order = (struct order){ .algorithm = algorithm };
	THREAD_LOCKED(&issuer->mutex);
	if (algorithm == KEY_RSA_2048 && issuer->stock_count > 0) {
		order->key = stock_take(issuer);
		order->done = true;
	} else {
		*issuer->last = order;
		issuer->last = &order->next;
		order->queued = true;
		issuer->waiting[algorithm]++;
	}
	post_task(issuer, algorithm); /* for the order, or to refill what it took */
}

static void wake(void *argument)
{
	struct issuer *issuer = argument;

	THREAD_LOCKED(&issuer->mutex);
	pthread_cond_broadcast(&issuer->delivered);
}

/* Takes back the orders that are still in the queue. */
static void withdraw_orders(struct issuer *issuer, struct order *orders, size_t count)
{
	THREAD_LOCKED(&issuer->mutex);
	for (size_t i = 0; i < count; i++)
		if (orders[i].queued)
			unlink_order(issuer, &orders[i]);
}

static int await_orders(struct issuer *issuer, struct order *orders, size_t count, struct cancel *cancel, struct error *err)
{
	struct cancel_callback *callback = cancel != NULL ? cancel_register(cancel, wake, issuer) : NULL;
	int result = 0;

	pthread_mutex_lock(&issuer->mutex);
	for (size_t i = 0; i < count && result == 0; i++) {
		while (orders[i].queued && result == 0) {
			result = cancel_check(cancel, err);
			if (result == 0)
				(void)thread_condition_wait(&issuer->delivered, &issuer->mutex, cancel_deadline(cancel));
		}
		if (result == 0 && orders[i].done && orders[i].key == NULL) {
			*err = orders[i].err;
			result = -1;
		}
	}
	pthread_mutex_unlock(&issuer->mutex);
	if (callback != NULL)
		cancel_unregister(cancel, callback);
	return result;
}

static enum key_algorithm algorithm_of(const struct issuer_job *job)
{
	return job->kind == ISSUER_SERVICE_ACCOUNT ? KEY_RSA_2048 : job->algorithm;
}

/* Certificate and PEM of one job whose key is there. */
static int complete(const struct issuer_job *job, const struct key *key, struct error *err)
{
	int result;

	(void)buffer_reserve(&job->pair->key, 8192); /* growing later would leave pieces of the key behind */
	if (key_write_private(key, &job->pair->key, err))
		return -1;
	switch (job->kind) {
	case ISSUER_AUTHORITY:
		result = certificate_create_authority(job->common_name, key, &job->pair->certificate, err);
		break;
	case ISSUER_LEAF:
		result = certificate_issue(job->authority, job->request, key, &job->pair->certificate, err);
		break;
	case ISSUER_SERVICE_ACCOUNT:
		result = key_write_public(key, &job->pair->certificate, err);
		break;
	default:
		result = error_set(err, ERROR_BUG, "issuer: unknown kind of job");
	}
	return result;
}

/* The ECDSA jobs, here and now. */
static int run_light_jobs(struct issuer_job *jobs, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct key *key KEY_CLEANUP = NULL;

		if (key_algorithm_is_rsa(algorithm_of(&jobs[i])))
			continue;
		if (key_generate(algorithm_of(&jobs[i]), &key, err) || complete(&jobs[i], key, err))
			return -1;
	}
	return 0;
}

int issuer_run(struct issuer *issuer, struct issuer_job *jobs, size_t count, struct cancel *cancel, struct error *err)
{
	struct order *orders = calloc(count > 0 ? count : 1, sizeof(*orders));
	size_t heavy = 0;
	int result;

	if (orders == NULL)
		abort();
	for (size_t i = 0; i < count; i++) {
		certificate_pair_free(jobs[i].pair);
		if (key_algorithm_is_rsa(algorithm_of(&jobs[i])))
			place_order(issuer, algorithm_of(&jobs[i]), &orders[heavy++]);
	}
	result = run_light_jobs(jobs, count, err);
	if (result == 0)
		result = await_orders(issuer, orders, heavy, cancel, err);
	withdraw_orders(issuer, orders, heavy);
	heavy = 0;
	for (size_t i = 0; i < count; i++) {
		if (!key_algorithm_is_rsa(algorithm_of(&jobs[i])))
			continue;
		if (result == 0)
			result = complete(&jobs[i], orders[heavy].key, err);
		key_free(orders[heavy++].key);
	}
	free(orders);
	for (size_t i = 0; result != 0 && i < count; i++)
		certificate_pair_free(jobs[i].pair);
	return result;
}

struct key *issuer_key(struct issuer *issuer, struct cancel *cancel, struct error *err)
{
	struct order order;
	struct key *key = NULL;

	place_order(issuer, KEY_RSA_2048, &order);
	if (await_orders(issuer, &order, 1, cancel, err) == 0)
		key = order.key;
	withdraw_orders(issuer, &order, 1);
	if (key == NULL)
		key_free(order.key);
	return key;
}
