/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The etcd driver against a real etcd with client certificates and authentication, on loopback, its data in a temporary folder.
 * KAMAJI_ETCD names the etcd program; without it every test says so and is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/clock.h"
#include "datastore/driver.h"
#include "free_ports.h"
#include "grpc/etcd_client.h"
#include "io/file.h"
#include "io/process.h"
#include "store_fixture.h"

enum { START_SECONDS = 60 };

struct context {
	struct store_fixture fixture;
	struct loop *loop;
	struct datastore_pool *pool;
	struct datastore_connection connection;
	struct etcd_client *root; /* to look at what the driver did */
	const char *program;
	char folder[64];
	char endpoint[64], peer[64]; /* host:port */
	pid_t etcd;
};

static struct context *context_of(void **state)
{
	if (*state == NULL) {
		(void)fprintf(stderr,
		              "SKIPPED: KAMAJI_ETCD does not name an etcd program, the driver was NOT tested against a real etcd\n");
		skip();
	}
	return *state;
}

static char *write_file(const struct context *context, const char *name, const struct buffer *bytes)
{
	char *path = string_printf("%s/%s", context->folder, name);
	struct error err = { 0 };

	assert_int_equal(file_write_atomic(path, bytes->data, bytes->length, 0600, &err), 0);
	return path;
}

static void start_etcd(struct context *context)
{
	char *ca FREE_CLEANUP = write_file(context, "ca.crt", &context->fixture.authority.certificate);
	char *certificate FREE_CLEANUP = write_file(context, "server.crt", &context->fixture.server.certificate);
	char *key FREE_CLEANUP = write_file(context, "server.key", &context->fixture.server.key);
	char *data FREE_CLEANUP = string_printf("%s/data", context->folder);
	char *client FREE_CLEANUP = string_printf("https://%s", context->endpoint);
	char *peer FREE_CLEANUP = string_printf("http://%s", context->peer);
	char *cluster FREE_CLEANUP = string_printf("default=%s", peer);
	char *log FREE_CLEANUP = string_printf("%s/etcd.log", context->folder);
	const char *arguments[] = { context->program,
		                    "--data-dir",
		                    data,
		                    "--listen-client-urls",
		                    client,
		                    "--advertise-client-urls",
		                    client,
		                    "--listen-peer-urls",
		                    peer,
		                    "--initial-advertise-peer-urls",
		                    peer,
		                    "--initial-cluster",
		                    cluster,
		                    "--client-cert-auth",
		                    "--trusted-ca-file",
		                    ca,
		                    "--cert-file",
		                    certificate,
		                    "--key-file",
		                    key,
		                    "--unsafe-no-fsync",
		                    "--log-outputs",
		                    log,
		                    NULL };
	struct process_options options = { .arguments = arguments };
	struct error err = { 0 };

	if (process_start(&options, &context->etcd, &err))
		fail_msg("%s", err.message);
}

static struct etcd_client *connect_as(const struct context *context, const struct certificate_pair *pair)
{
	struct tls_client_options tls = { .ca_pem = context->fixture.authority.certificate.data,
		                          .certificate_pem = pair->certificate.data,
		                          .key_pem = pair->key.data };
	struct error err = { 0 };
	struct tls_identity *identity TLS_IDENTITY_CLEANUP = tls_client_identity_new(&tls, &err);
	const char *endpoints[] = { context->endpoint };
	struct etcd_client_options options = { .loop = context->loop, .endpoints = endpoints, .endpoint_count = 1, .identity = identity };
	struct etcd_client *client = etcd_client_new(&options, &err);

	if (client == NULL)
		fail_msg("%s", err.message);
	return client;
}

static void wait_until_it_answers(struct context *context)
{
	uint64_t deadline = clock_monotonic_ms() + START_SECONDS * 1000;
	struct etcd_auth_status status;
	struct error err = { 0 }, ignored = { 0 };

	while (etcd_client_auth_status(context->root, &status, NULL, &err)) {
		if (clock_until(deadline) == 0)
			fail_msg("etcd did not answer within %d s: %s; its log is in %s", START_SECONDS, err.message, context->folder);
		(void)cancel_sleep(NULL, 100, &ignored);
	}
}

static int set_up(void **state)
{
	static struct context context;
	uint16_t ports[2];
	struct error err = { 0 };

	context.program = getenv("KAMAJI_ETCD");
	if (string_empty(context.program))
		return 0;
	(void)snprintf(context.folder, sizeof(context.folder), "/tmp/kamaji-etcd-XXXXXX");
	assert_non_null(mkdtemp(context.folder));
	store_fixture_make(&context.fixture);
	context.loop = loop_start("test", &err);
	assert_non_null(context.loop);
	free_ports(ports, ARRAY_LENGTH(ports));
	(void)snprintf(context.endpoint, sizeof(context.endpoint), "127.0.0.1:%d", ports[0]);
	(void)snprintf(context.peer, sizeof(context.peer), "127.0.0.1:%d", ports[1]);
	start_etcd(&context);
	context.root = connect_as(&context, &context.fixture.client);
	context.pool = datastore_pool_new(context.loop, 0);
	store_fixture_connect(&context.fixture, "default", context.endpoint, &context.connection);
	wait_until_it_answers(&context);
	*state = &context;
	return 0;
}

static int tear_down(void **state)
{
	struct context *context = *state;
	struct error err = { 0 };

	if (context == NULL)
		return 0;
	datastore_pool_free(context->pool);
	etcd_client_free(context->root);
	loop_stop(context->loop);
	process_end(context->etcd, 10000);
	datastore_connection_free(&context->connection);
	store_fixture_free(&context->fixture);
	return file_remove_tree(context->folder, &err);
}

static struct datastore *acquire(struct context *context)
{
	struct datastore *datastore = NULL;
	struct error err = { 0 };

	if (datastore_pool_acquire(context->pool, &context->connection, &datastore, &err))
		fail_msg("%s", err.message);
	return datastore;
}

static void must(int result, const struct error *err)
{
	if (result)
		fail_msg("%s", err->message);
}

static bool ensure(struct datastore *datastore, const char *schema, const char *user)
{
	struct datastore_tenant tenant = { .schema = schema, .user = user };
	struct error err = { 0 };
	bool changed = false;

	must(datastore_ensure(datastore, &tenant, &changed, NULL, &err), &err);
	return changed;
}

/* First of the tests: authentication is off as etcd starts. */
static void test_disabled_authentication_is_refused(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);
	struct datastore_tenant tenant = { .schema = "early", .user = "early" };
	struct string_list users STRING_LIST_CLEANUP = { 0 };
	struct error err = { 0 };
	bool changed;

	assert_int_equal(datastore_check(datastore, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_true(string_has_prefix(err.message, "DataStore default: authentication is not enabled in etcd"));
	assert_non_null(strstr(err.message, "etcdctl auth enable"));
	assert_int_equal(datastore_ensure(datastore, &tenant, &changed, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	must(etcd_client_user_list(context->root, &users, NULL, &err), &err);
	assert_int_equal(users.count, 0);

	must(etcd_client_user_add(context->root, "root", NULL, NULL, &err), &err);
	must(etcd_client_role_add(context->root, "root", NULL, &err), &err);
	must(etcd_client_user_grant_role(context->root, "root", "root", NULL, &err), &err);
	must(etcd_client_auth_enable(context->root, NULL, &err), &err);
	must(datastore_check(datastore, NULL, &err), &err); /* the same client: healed without a restart */
}

static void test_ensure_is_idempotent(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);

	assert_true(ensure(datastore, "again", "again-user"));
	assert_false(ensure(datastore, "again", "again-user"));
}

/* What upstream stumbles over for ever: the role was made, the grant to the user was not. */
static void test_broken_attempts_are_healed(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);
	struct string_list roles STRING_LIST_CLEANUP = { 0 };
	struct error err = { 0 };

	must(etcd_client_role_add(context->root, "half", NULL, &err), &err);
	assert_true(ensure(datastore, "half", "half-user"));
	must(etcd_client_user_get(context->root, "half-user", &roles, NULL, &err), &err);
	assert_int_equal(roles.count, 1);
	assert_string_equal(roles.items[0], "half");

	must(etcd_client_user_add(context->root, "only-user", NULL, NULL, &err), &err);
	assert_true(ensure(datastore, "only", "only-user"));
	assert_false(ensure(datastore, "only", "only-user"));

	must(etcd_client_role_delete(context->root, "only", NULL, &err), &err);
	assert_true(ensure(datastore, "only", "only-user"));
	assert_false(ensure(datastore, "only", "only-user"));

	assert_true(ensure(datastore, "only", "second-user")); /* two tenants that share a schema */
	assert_false(ensure(datastore, "only", "only-user"));
}

static void expect_denied(int result, const struct error *err)
{
	assert_int_equal(result, -1);
	assert_int_equal(err->class, ERROR_FORBIDDEN);
}

static void test_tenants_are_isolated(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);
	struct certificate_pair one CERTIFICATE_PAIR_CLEANUP = { 0 }, stranger CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct etcd_range_options own = { .key = "/one/", .range_end = "/one0" }, other = { .key = "/two/", .range_end = "/two0" };
	struct etcd_range_options everything = { .key = "", .range_end = ETCD_ALL_KEYS, .count_only = true };
	struct etcd_range range = { 0 };
	struct etcd_client *client, *nobody;
	struct error err = { 0 };

	assert_true(ensure(datastore, "one", "one-user"));
	assert_true(ensure(datastore, "two", "two-user"));
	must(etcd_client_put(context->root, "/two/secret", "x", 1, NULL, &err), &err);
	store_fixture_issue(&context->fixture, "one-user", 0, &one);
	client = connect_as(context, &one);
	must(etcd_client_put(client, "/one/registry/pods/a", "value", 5, NULL, &err), &err);
	must(etcd_client_range(client, &own, &range, NULL, &err), &err);
	assert_int_equal(range.item_count, 1);
	assert_string_equal(range.items[0].value, "value");
	etcd_range_free(&range);
	expect_denied(etcd_client_range(client, &other, &range, NULL, &err), &err);
	expect_denied(etcd_client_range(client, &everything, &range, NULL, &err), &err);
	expect_denied(etcd_client_put(client, "/two/registry", "x", 1, NULL, &err), &err);
	expect_denied(etcd_client_put(client, "/one", "x", 1, NULL, &err), &err);
	expect_denied(etcd_client_put(client, "/one0", "x", 1, NULL, &err), &err);
	expect_denied(etcd_client_delete_range(client, "/two/", "/two0", NULL, NULL, &err), &err);
	expect_denied(etcd_client_user_grant_role(client, "one-user", "root", NULL, &err), &err);
	etcd_client_free(client);

	store_fixture_issue(&context->fixture, "nobody", 0, &stranger);
	nobody = connect_as(context, &stranger);
	expect_denied(etcd_client_range(nobody, &own, &range, NULL, &err), &err);
	etcd_client_free(nobody);
}

static int64_t count_keys(struct context *context, const char *key, const char *range_end)
{
	struct etcd_range_options options = { .key = key, .range_end = range_end, .count_only = true };
	struct etcd_range range = { 0 };
	struct error err = { 0 };
	int64_t count;

	must(etcd_client_range(context->root, &options, &range, NULL, &err), &err);
	count = range.count;
	etcd_range_free(&range);
	return count;
}

static void test_deletion_frees_everything(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);
	struct datastore_tenant gone = { .schema = "gone", .user = "gone-user" };
	struct string_list users STRING_LIST_CLEANUP = { 0 }, roles STRING_LIST_CLEANUP = { 0 };
	struct error err = { 0 };
	char key[64];

	assert_true(ensure(datastore, "gone", "gone-user"));
	assert_true(ensure(datastore, "gone2", "gone2-user"));
	for (int i = 0; i < 200; i++) {
		(void)snprintf(key, sizeof(key), "/gone/registry/%d", i);
		must(etcd_client_put(context->root, key, "x", 1, NULL, &err), &err);
	}
	must(etcd_client_put(context->root, "/gone2/registry", "x", 1, NULL, &err), &err);
	assert_int_equal(count_keys(context, "/gone/", "/gone0"), 200);
	must(datastore_delete_all(datastore, &gone, NULL, &err), &err);
	assert_int_equal(count_keys(context, "/gone/", "/gone0"), 0);
	assert_int_equal(count_keys(context, "/gone2/", "/gone20"), 1); /* a neighbour whose name begins alike */
	must(etcd_client_user_list(context->root, &users, NULL, &err), &err);
	must(etcd_client_role_list(context->root, &roles, NULL, &err), &err);
	assert_false(string_list_contains(&users, "gone-user"));
	assert_false(string_list_contains(&roles, "gone"));
	assert_true(string_list_contains(&users, "gone2-user"));
	assert_true(string_list_contains(&roles, "gone2"));
	must(datastore_delete_all(datastore, &gone, NULL, &err), &err); /* a second time: absent is fine */
	assert_true(ensure(datastore, "gone", "gone-user"));            /* and created again */
}

static void test_schema_with_a_slash(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);
	struct datastore_tenant inside = { .schema = "one/inside", .user = "thief" };
	struct error err = { 0 };
	char *range_end FREE_CLEANUP = etcd_prefix_end("/old/place/");
	bool changed;

	assert_int_equal(datastore_ensure(datastore, &inside, &changed, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_non_null(strstr(err.message, "must not contain a slash"));

	must(etcd_client_role_add(context->root, "old/place", NULL, &err), &err); /* one that is there already keeps working */
	must(etcd_client_role_grant_permission(context->root, "old/place", ETCD_PERMISSION_READ_WRITE, "/old/place/", range_end, NULL,
	                                       &err),
	     &err);
	assert_true(ensure(datastore, "old/place", "old-user"));
}

static void connect_with(struct context *context, const struct certificate_pair *client, const struct buffer *authority, struct error *err)
{
	struct datastore_connection connection DATASTORE_CONNECTION_CLEANUP = { 0 };
	struct datastore_pool *pool = datastore_pool_new(context->loop, 0);
	struct datastore *datastore;

	store_fixture_connect(&context->fixture, "strange", context->endpoint, &connection);
	if (client != NULL) {
		buffer_clear(&connection.client_certificate);
		buffer_clear(&connection.client_key);
		buffer_append(&connection.client_certificate, client->certificate.data, client->certificate.length);
		buffer_append(&connection.client_key, client->key.data, client->key.length);
	}
	if (authority != NULL) {
		buffer_clear(&connection.authority_certificate);
		buffer_append(&connection.authority_certificate, authority->data, authority->length);
	}
	if (datastore_pool_acquire(pool, &connection, &datastore, err))
		fail_msg("%s", err->message);
	assert_int_equal(datastore_check(datastore, NULL, err), -1);
	(void)printf("  %s\n", err->message);
	assert_true(string_has_prefix(err->message, "DataStore strange: "));
	datastore_release(datastore);
	datastore_pool_free(pool);
}

/* Each says what is wrong and whose certificate it is. */
static void test_wrong_credentials_are_explained(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);
	struct store_fixture other STORE_FIXTURE_CLEANUP;
	struct certificate_pair tenant CERTIFICATE_PAIR_CLEANUP = { 0 }, expired CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct certificate_pair stranger CERTIFICATE_PAIR_CLEANUP = { 0 };
	struct error err = { 0 };

	store_fixture_make(&other);
	(void)ensure(datastore, "one", "one-user");
	store_fixture_issue(&context->fixture, "one-user", 0, &tenant);
	connect_with(context, &tenant, NULL, &err);
	assert_int_equal(err.class, ERROR_FORBIDDEN);
	assert_non_null(strstr(err.message,
	                       "etcd user \"one-user\" (the CN of spec.tlsConfig.clientCertificate) must exist and have the role root"));

	store_fixture_issue(&context->fixture, "stranger", 0, &stranger);
	connect_with(context, &stranger, NULL, &err);
	assert_int_equal(err.class, ERROR_FORBIDDEN);
	assert_non_null(strstr(err.message, "etcd user \"stranger\" (the CN of"));

	store_fixture_issue(&context->fixture, "root", clock_wall_seconds() - 60, &expired);
	connect_with(context, &expired, NULL, &err);
	assert_int_equal(err.class, ERROR_INVALID);
	assert_non_null(strstr(err.message, "expired on "));

	connect_with(context, NULL, &other.authority.certificate, &err); /* the server is signed by another CA */
	assert_int_equal(err.class, ERROR_FORBIDDEN);
	assert_string_equal(err.reason, TLS_REASON_UNKNOWN_AUTHORITY);

	connect_with(context, &other.client, NULL, &err); /* the server does not know ours */
	assert_non_null(strstr(err.message, "certificate"));
}

static void test_a_store_that_comes_back(void **state)
{
	struct context *context = context_of(state);
	struct datastore *datastore DATASTORE_CLEANUP = acquire(context);
	struct error err = { 0 };

	must(datastore_check(datastore, NULL, &err), &err);
	process_end(context->etcd, 10000);
	assert_int_equal(datastore_check(datastore, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_TRANSIENT);
	assert_non_null(strstr(err.message, context->endpoint));
	start_etcd(context);
	wait_until_it_answers(context);
	must(datastore_check(datastore, NULL, &err), &err); /* the same client */
	assert_true(ensure(datastore, "later", "later-user"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disabled_authentication_is_refused), cmocka_unit_test(test_ensure_is_idempotent),
		cmocka_unit_test(test_broken_attempts_are_healed),         cmocka_unit_test(test_tenants_are_isolated),
		cmocka_unit_test(test_deletion_frees_everything),          cmocka_unit_test(test_schema_with_a_slash),
		cmocka_unit_test(test_wrong_credentials_are_explained),    cmocka_unit_test(test_a_store_that_comes_back),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
