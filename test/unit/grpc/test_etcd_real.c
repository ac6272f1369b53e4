/* SPDX-License-Identifier: Apache-2.0 */
/* Every call against a real etcd, with TLS and authentication by certificate. Skipped unless KAMAJI_TEST_ETCD names the etcd binary. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strings.h"
#include "free_ports.h"
#include "grpc/etcd_client.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/process.h"
#include "test_certificates.h"

enum { PORT_CLIENT, PORT_PEER, PORT_COUNT };
enum { EXIT_SKIPPED = 77 };

struct fixture {
	char folder[64];
	uint16_t ports[PORT_COUNT];
	pid_t etcd;
	struct loop *loop;
	struct test_authority authority;
	struct etcd_client *root, *tenant;
};

static void write_text(const char *folder, const char *name, const char *text)
{
	char *path FREE_CLEANUP = string_printf("%s/%s", folder, name);
	struct error err;

	assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, &err), 0);
}

static void start_etcd(struct fixture *fixture)
{
	struct test_leaf server = test_leaf_new(&fixture->authority, "etcd", "DNS:localhost,IP:127.0.0.1", -60, 86400);
	char *url FREE_CLEANUP = string_printf("https://127.0.0.1:%d", fixture->ports[PORT_CLIENT]);
	char *peer FREE_CLEANUP = string_printf("http://127.0.0.1:%d", fixture->ports[PORT_PEER]);
	char *cluster FREE_CLEANUP = string_printf("default=%s", peer);
	const char *arguments[] = { getenv("KAMAJI_TEST_ETCD"),
		                    "--data-dir",
		                    "data",
		                    "--listen-client-urls",
		                    url,
		                    "--advertise-client-urls",
		                    url,
		                    "--listen-peer-urls",
		                    peer,
		                    "--initial-advertise-peer-urls",
		                    peer,
		                    "--initial-cluster",
		                    cluster,
		                    "--cert-file",
		                    "server.crt",
		                    "--key-file",
		                    "server.key",
		                    "--trusted-ca-file",
		                    "ca.crt",
		                    "--client-cert-auth",
		                    "--log-level",
		                    "error",
		                    NULL };
	struct process_options options = { .arguments = arguments, .directory = fixture->folder };
	struct error err;

	write_text(fixture->folder, "ca.crt", fixture->authority.pem);
	write_text(fixture->folder, "server.crt", server.certificate_pem);
	write_text(fixture->folder, "server.key", server.key_pem);
	test_leaf_free(&server);
	if (process_start(&options, &fixture->etcd, &err) != 0)
		fail_msg("%s", err.message);
}

static struct etcd_client *client_new(struct fixture *fixture, const char *user)
{
	struct test_leaf leaf = test_leaf_new(&fixture->authority, user, NULL, -60, 86400);
	struct tls_client_options tls = { .ca_pem = fixture->authority.pem,
		                          .certificate_pem = leaf.certificate_pem,
		                          .key_pem = leaf.key_pem };
	char *endpoint FREE_CLEANUP = string_printf("https://127.0.0.1:%d", fixture->ports[PORT_CLIENT]);
	const char *endpoints[] = { endpoint };
	struct etcd_client_options options = { .loop = fixture->loop, .endpoints = endpoints, .endpoint_count = 1, .timeout_ms = 5000 };
	struct etcd_client *client;
	struct error err;

	options.identity = tls_client_identity_new(&tls, &err);
	assert_non_null(options.identity);
	client = etcd_client_new(&options, &err);
	assert_non_null(client);
	tls_identity_unref(options.identity);
	test_leaf_free(&leaf);
	return client;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct etcd_status status = { 0 };
	struct error err;

	snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/test-etcd-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	fixture->loop = loop_start("test", &err);
	fixture->authority = test_authority_new("etcd-ca");
	free_ports(fixture->ports, PORT_COUNT);
	start_etcd(fixture);
	fixture->root = client_new(fixture, "root");
	fixture->tenant = client_new(fixture, "tenant");
	for (int i = 0; i < 100 && etcd_client_status(fixture->root, &status, NULL, &err) != 0; i++)
		usleep(100000);
	etcd_status_free(&status);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	struct error err;

	etcd_client_free(fixture->root);
	etcd_client_free(fixture->tenant);
	process_end(fixture->etcd, 5000);
	loop_stop(fixture->loop);
	test_authority_free(&fixture->authority);
	(void)file_remove_tree(fixture->folder, &err);
	free(fixture);
	return 0;
}

#define GOOD(call) \
	do { \
		if ((call) != 0) \
			fail_msg("%s: %s", #call, err.message); \
	} while (0)
#define BAD(call, wanted) \
	do { \
		assert_int_equal((call), -1); \
		if (err.class != (wanted)) \
			fail_msg("%s: %s: %s", #call, error_class_name(err.class), err.message); \
	} while (0)

static void keys_and_ranges(void **state)
{
	struct fixture *fixture = *state;
	struct etcd_client *root = fixture->root;
	struct etcd_range range = { 0 };
	struct etcd_status status = { 0 };
	struct error err;
	char key[32];
	int64_t deleted;

	GOOD(etcd_client_status(root, &status, NULL, &err));
	assert_true(string_has_prefix(status.version, "3."));
	assert_true(status.leader != 0 && status.database_size > 0);
	etcd_status_free(&status);
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "/t/%d", i);
		GOOD(etcd_client_put(root, key, "value", 5, NULL, &err));
	}
	GOOD(etcd_client_range(root, &(struct etcd_range_options){ .key = "/t/", .range_end = "/t0", .limit = 3 }, &range, NULL, &err));
	assert_int_equal(range.item_count, 3);
	assert_int_equal(range.count, 10);
	assert_true(range.more);
	assert_string_equal(range.items[1].key, "/t/1");
	assert_string_equal(range.items[1].value, "value");
	assert_int_equal(range.items[1].version, 1);
	assert_true(range.revision >= range.items[1].mod_revision);
	GOOD(etcd_client_range(root, &(struct etcd_range_options){ .key = "/t/", .range_end = "/t0", .keys_only = true }, &range, NULL,
	                       &err));
	assert_int_equal(range.item_count, 10);
	assert_null(range.items[0].value);
	GOOD(etcd_client_range(root, &(struct etcd_range_options){ .key = "", .range_end = ETCD_ALL_KEYS, .count_only = true }, &range,
	                       NULL, &err));
	assert_int_equal(range.item_count, 0);
	assert_int_equal(range.count, 10);
	GOOD(etcd_client_range(root, &(struct etcd_range_options){ .key = "/none" }, &range, NULL, &err));
	assert_int_equal(range.count, 0);
	GOOD(etcd_client_delete_range(root, "/t/1", NULL, &deleted, NULL, &err));
	assert_int_equal(deleted, 1);
	GOOD(etcd_client_delete_range(root, "/t/", "/t0", &deleted, NULL, &err));
	assert_int_equal(deleted, 9);
	BAD(etcd_client_put(root, "", "v", 1, NULL, &err), ERROR_INVALID);
	BAD(etcd_client_range(root, &(struct etcd_range_options){ .key = "/t/", .revision = 1000000 }, &range, NULL, &err), ERROR_INVALID);
	etcd_range_free(&range);
}

static void users_and_roles(void **state)
{
	struct fixture *fixture = *state;
	struct etcd_client *root = fixture->root, *tenant = fixture->tenant;
	struct etcd_auth_status status;
	struct string_list names = { 0 };
	struct etcd_range range = { 0 };
	struct etcd_role role;
	struct error err;

	GOOD(etcd_client_auth_status(root, &status, NULL, &err));
	assert_false(status.enabled);
	BAD(etcd_client_auth_enable(root, NULL, &err), ERROR_INVALID);
	GOOD(etcd_client_user_add(root, "root", NULL, NULL, &err));
	GOOD(etcd_client_role_add(root, "root", NULL, &err));
	GOOD(etcd_client_user_grant_role(root, "root", "root", NULL, &err));
	GOOD(etcd_client_auth_enable(root, NULL, &err));
	GOOD(etcd_client_auth_enable(root, NULL, &err));
	GOOD(etcd_client_auth_status(root, &status, NULL, &err));
	assert_true(status.enabled);
	BAD(etcd_client_user_get(root, "tenant", &names, NULL, &err), ERROR_NOT_FOUND);
	BAD(etcd_client_role_get(root, "tenant", &role, NULL, &err), ERROR_NOT_FOUND);
	BAD(etcd_client_user_delete(root, "tenant", NULL, &err), ERROR_NOT_FOUND);
	GOOD(etcd_client_user_add(root, "tenant", NULL, NULL, &err));
	BAD(etcd_client_user_add(root, "tenant", NULL, NULL, &err), ERROR_EXISTS);
	GOOD(etcd_client_role_add(root, "tenant", NULL, &err));
	BAD(etcd_client_role_add(root, "tenant", NULL, &err), ERROR_EXISTS);
	BAD(etcd_client_put(tenant, "/tenant/a", "1", 1, NULL, &err), ERROR_FORBIDDEN);
	GOOD(etcd_client_user_grant_role(root, "tenant", "tenant", NULL, &err));
	GOOD(etcd_client_role_grant_permission(root, "tenant", ETCD_PERMISSION_READ_WRITE, "/tenant/", "/tenant0", NULL, &err));
	GOOD(etcd_client_put(tenant, "/tenant/a", "1", 1, NULL, &err));
	BAD(etcd_client_put(tenant, "/other/a", "1", 1, NULL, &err), ERROR_FORBIDDEN);
	BAD(etcd_client_range(tenant, &(struct etcd_range_options){ .key = "", .range_end = ETCD_ALL_KEYS }, &range, NULL, &err),
	    ERROR_FORBIDDEN);
	GOOD(etcd_client_role_get(root, "tenant", &role, NULL, &err));
	assert_int_equal(role.permission_count, 1);
	assert_int_equal(role.permissions[0].type, ETCD_PERMISSION_READ_WRITE);
	assert_string_equal(role.permissions[0].key, "/tenant/");
	assert_string_equal(role.permissions[0].range_end, "/tenant0");
	etcd_role_free(&role);
	GOOD(etcd_client_user_get(root, "tenant", &names, NULL, &err));
	assert_int_equal(names.count, 1);
	assert_string_equal(names.items[0], "tenant");
	string_list_free(&names);
	GOOD(etcd_client_user_list(root, &names, NULL, &err));
	assert_int_equal(names.count, 2);
	string_list_free(&names);
	GOOD(etcd_client_role_grant_permission(root, "tenant", ETCD_PERMISSION_READ, "", ETCD_ALL_KEYS, NULL, &err));
	GOOD(etcd_client_role_get(root, "tenant", &role, NULL, &err));
	assert_int_equal(role.permission_count, 1); /* the one for all keys starts with a NUL and is left out */
	etcd_role_free(&role);
	GOOD(etcd_client_user_delete(root, "tenant", NULL, &err));
	GOOD(etcd_client_role_delete(root, "tenant", NULL, &err));
	GOOD(etcd_client_role_list(root, &names, NULL, &err));
	assert_int_equal(names.count, 1);
	string_list_free(&names);
	GOOD(etcd_client_auth_disable(root, NULL, &err));
	etcd_range_free(&range);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_ranges),
		cmocka_unit_test(users_and_roles),
	};

	if (getenv("KAMAJI_TEST_ETCD") == NULL) {
		printf("skipped: KAMAJI_TEST_ETCD does not name an etcd binary\n");
		return EXIT_SKIPPED;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
