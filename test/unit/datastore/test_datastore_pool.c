/* SPDX-License-Identifier: Apache-2.0 */
/* The pool's bookkeeping, and what an operator is told when a store cannot be reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "datastore/driver.h"
#include "store_fixture.h"

struct context {
	struct store_fixture fixture;
	struct loop *loop;
};

static int set_up(void **state)
{
	static struct context context;
	struct error err = { 0 };

	store_fixture_make(&context.fixture);
	context.loop = loop_start("test", &err);
	*state = &context;
	return context.loop == NULL;
}

static int tear_down(void **state)
{
	struct context *context = *state;

	loop_stop(context->loop);
	store_fixture_free(&context->fixture);
	return 0;
}

static struct datastore *acquire(struct datastore_pool *pool, const struct datastore_connection *connection)
{
	struct datastore *datastore = NULL;
	struct error err = { 0 };

	if (datastore_pool_acquire(pool, connection, &datastore, &err))
		fail_msg("%s", err.message);
	return datastore;
}

static void test_one_client_per_store(void **state)
{
	struct context *context = *state;
	struct datastore_pool *pool = datastore_pool_new(context->loop, 1000000);
	struct datastore_connection a DATASTORE_CONNECTION_CLEANUP = { 0 }, b DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore_connection moved DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore *first, *second, *other, *replaced;

	store_fixture_connect(&context->fixture, "a", "127.0.0.1:1", &a);
	store_fixture_connect(&context->fixture, "b", "127.0.0.1:1", &b);
	store_fixture_connect(&context->fixture, "a", "127.0.0.1:2", &moved);
	first = acquire(pool, &a);
	second = acquire(pool, &a);
	other = acquire(pool, &b);
	assert_ptr_equal(first, second);
	assert_ptr_not_equal(first, other);
	datastore_release(second);
	datastore_release(other);
	replaced = acquire(pool, &moved); /* while the old one is in use */
	assert_ptr_not_equal(replaced, first);
	datastore_release(first); /* the last reference closes it */
	second = acquire(pool, &moved);
	assert_ptr_equal(second, replaced);
	datastore_release(second);
	datastore_pool_forget(pool, "a");
	datastore_pool_forget(pool, "b");
	datastore_pool_forget(pool, "absent");
	datastore_release(replaced);
	datastore_release(NULL);
	datastore_pool_free(pool);
}

static void test_sweep_closes_what_is_idle(void **state)
{
	struct context *context = *state;
	struct datastore_pool *pool = datastore_pool_new(context->loop, 1);
	struct datastore_connection a DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore *used;
	struct error err = { 0 };

	store_fixture_connect(&context->fixture, "a", "127.0.0.1:1", &a);
	used = acquire(pool, &a);
	assert_int_equal(cancel_sleep(NULL, 5, &err), 0);
	datastore_pool_sweep(pool); /* in use: stays */
	assert_ptr_equal(acquire(pool, &a), used);
	datastore_release(used);
	datastore_release(used);
	assert_int_equal(cancel_sleep(NULL, 5, &err), 0);
	datastore_pool_sweep(pool);
	datastore_pool_forget(pool, "a");
	datastore_pool_free(pool);
}

static void test_unsupported_driver(void **state)
{
	struct context *context = *state;
	struct datastore_pool *pool = datastore_pool_new(context->loop, 0);
	struct datastore_connection connection = { .name = (char[]){ "sql" }, .driver = (char[]){ "MySQL" } };
	struct datastore *datastore = NULL;
	struct error err = { 0 };

	assert_int_equal(datastore_pool_acquire(pool, &connection, &datastore, &err), -1);
	assert_string_equal(err.message, "DataStore sql: spec.driver: MySQL is not supported by this build (supported: etcd)");
	datastore_pool_free(pool);
}

/* A port that nobody listens on: bound, so that nobody else takes it. */
static int closed_port(char *endpoint, size_t size)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &length), 0);
	(void)snprintf(endpoint, size, "127.0.0.1:%u", ntohs(address.sin_port));
	return descriptor;
}

static void test_unreachable(void **state)
{
	struct context *context = *state;
	struct datastore_pool *pool = datastore_pool_new(context->loop, 0);
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore_tenant tenant = { .schema = "s", .user = "u" };
	struct datastore *datastore;
	struct error err = { 0 };
	char endpoint[64];
	bool changed = true;
	int descriptor = closed_port(endpoint, sizeof(endpoint));

	store_fixture_connect(&context->fixture, "default", endpoint, &connection);
	datastore = acquire(pool, &connection);
	assert_int_equal(datastore_check(datastore, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_TRANSIENT);
	assert_true(string_has_prefix(err.message, "DataStore default: "));
	assert_non_null(strstr(err.message, endpoint));
	assert_int_equal(datastore_ensure(datastore, &tenant, &changed, NULL, &err), -1);
	assert_false(changed);
	assert_int_equal(datastore_delete_all(datastore, &tenant, NULL, &err), -1);
	assert_non_null(strstr(err.message, endpoint));
	datastore_release(datastore);
	datastore_pool_free(pool);
	(void)close(descriptor);
}

/* Refused before anything is sent: nobody listens at the endpoint. */
static void test_names_that_would_open_the_store(void **state)
{
	static const struct datastore_tenant tenants[] = {
		{ .schema = "root", .user = "u" },
		{ .schema = "s", .user = "root" },
		{ .schema = "", .user = "u" },
		{ .schema = "s", .user = NULL },
	};
	struct context *context = *state;
	struct datastore_pool *pool = datastore_pool_new(context->loop, 0);
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore *datastore;
	bool changed;

	store_fixture_connect(&context->fixture, "default", "127.0.0.1:1", &connection);
	datastore = acquire(pool, &connection);
	for (size_t i = 0; i < ARRAY_LENGTH(tenants); i++) {
		struct error err = { 0 };

		assert_int_equal(datastore_ensure(datastore, &tenants[i], &changed, NULL, &err), -1);
		assert_int_equal(err.class, ERROR_INVALID);
		assert_int_equal(datastore_delete_all(datastore, &tenants[i], NULL, &err), -1);
		assert_int_equal(err.class, ERROR_INVALID);
	}
	datastore_release(datastore);
	datastore_pool_free(pool);
}

static int64_t later;

static int64_t later_wall(void)
{
	return later * 1000000;
}

static void test_certificate_that_expires_while_open(void **state)
{
	struct context *context = *state;
	struct datastore_pool *pool = datastore_pool_new(context->loop, 0);
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore *datastore;
	struct error err = { 0 };

	store_fixture_connect(&context->fixture, "default", "127.0.0.1:1", &connection);
	datastore = acquire(pool, &connection);
	later = clock_wall_seconds() + INT64_C(4000) * 86400;
	clock_set_for_test(NULL, later_wall);
	assert_int_equal(datastore_check(datastore, NULL, &err), -1);
	clock_set_for_test(NULL, NULL);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_non_null(strstr(err.message, "client certificate in spec.tlsConfig.clientCertificate expired on "));
	datastore_release(datastore);
	datastore_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_client_per_store),
		cmocka_unit_test(test_sweep_closes_what_is_idle),
		cmocka_unit_test(test_unsupported_driver),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_names_that_would_open_the_store),
		cmocka_unit_test(test_certificate_that_expires_while_open),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
