/* SPDX-License-Identifier: Apache-2.0 */
/* Address planning, names of things on the machine, the index of environments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/strings.h"
#include "io/file.h"
#include "local/local_address.h"
#include "local/local_index.h"
#include "local/local_names.h"

static struct local_cidr cidr(const char *text)
{
	struct local_cidr result = { 0 };
	struct error err;
	assert_int_equal(local_cidr_parse(text, &result, &err), 0);
	return result;
}

static void test_cidr_text(void **state)
{
	static const char *const good[] = { "0.0.0.0/0", "10.200.0.0/16", "10.200.1.0/24", "255.255.255.255/32", "127.0.0.1/32" };
	static const char *const bad[] = { "",          "10.0.0.0/33", "10.0.0.1/24", "10.0.0/8", "fd00::/8",
		                           "10.0.0.0/", "10.0.0.0/8x", "10.0.0.0/-1", "/8" };
	char text[LOCAL_CIDR_TEXT_MAX];
	struct local_cidr parsed;
	struct error err;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		local_cidr_format(cidr(good[i]), text);
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_int_equal(local_cidr_parse(bad[i], &parsed, &err), -1);
	assert_int_equal(cidr("192.0.2.7").prefix, 32);
}

static void test_overlap(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlaps;
	} rows[] = {
		{ "10.200.0.0/16", "10.200.5.0/24", true },     { "10.200.5.0/24", "10.200.0.0/16", true },
		{ "10.200.0.0/16", "10.201.0.0/16", false },    { "0.0.0.0/0", "10.200.0.0/16", true },
		{ "10.200.0.0/16", "10.200.255.255/32", true }, { "10.0.0.0/9", "10.200.0.0/16", false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		assert_int_equal(local_cidr_overlaps(cidr(rows[i].a), cidr(rows[i].b)), rows[i].overlaps);
}

static void test_plan(void **state)
{
	struct local_address_plan plan;
	struct error err;
	char text[LOCAL_ADDRESS_TEXT_MAX];
	assert_int_equal(local_address_plan_make(cidr("10.203.0.0/16"), &plan, &err), 0);
	const struct local_cidr parts[] = { plan.nodes, plan.balancer, plan.services, plan.pods };
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		assert_true(local_cidr_contains(plan.block, parts[i].address));
		for (size_t j = i + 1; j < ARRAY_LENGTH(parts); j++)
			assert_false(local_cidr_overlaps(parts[i], parts[j]));
	}
	local_address_format(plan.admin_node, text);
	assert_string_equal(text, "10.203.0.2");
	local_address_format(plan.dns_service, text);
	assert_string_equal(text, "10.203.16.10");
	assert_true(local_cidr_contains(plan.balancer, plan.balancer_first) && local_cidr_contains(plan.balancer, plan.balancer_last));
	assert_int_equal(local_address_plan_make(cidr("10.203.0.0/17"), &plan, &err), -1);
	assert_non_null(strstr(err.message, "/16"));
}

/* As `ip -j -4 route show table all` printed it on a machine with Docker and a VPN. */
static const char recorded_routes[] = "[{\"dst\":\"default\",\"gateway\":\"192.0.2.1\",\"dev\":\"eth0\",\"flags\":[]},"
				      "{\"dst\":\"10.200.0.0/24\",\"dev\":\"kj-kamaji\",\"protocol\":\"kernel\",\"flags\":[]},"
				      "{\"dst\":\"10.201.16.0/20\",\"dev\":\"tun0\",\"flags\":[]},"
				      "{\"dst\":\"172.17.0.0/16\",\"dev\":\"docker0\",\"flags\":[\"linkdown\"]},"
				      "{\"type\":\"local\",\"dst\":\"10.202.0.9\",\"dev\":\"lo\",\"table\":\"local\",\"flags\":[]},"
				      "{\"dst\":\"0.0.0.0/1\",\"dev\":\"tun0\",\"flags\":[]}]";

static void test_routes(void **state)
{
	struct local_route_list routes = { 0 };
	struct error err;
	assert_int_equal(local_route_list_parse(recorded_routes, strlen(recorded_routes), NULL, &routes, &err), 0);
	assert_int_equal(routes.count, 5);
	assert_non_null(local_route_list_find_overlap(&routes, local_slot_block(0)));
	assert_non_null(local_route_list_find_overlap(&routes, local_slot_block(1)));
	assert_non_null(local_route_list_find_overlap(&routes, local_slot_block(2)));
	assert_null(local_route_list_find_overlap(&routes, local_slot_block(3)));
	local_route_list_free(&routes);
	assert_int_equal(local_route_list_parse(recorded_routes, strlen(recorded_routes), "kj-kamaji", &routes, &err), 0);
	assert_null(local_route_list_find_overlap(&routes, local_slot_block(0)));
	local_route_list_free(&routes);
	static const char *const bad[] = { "", "{}", "[{\"dst\":\"10.0.0.0/99\"}]", "[{\"dst\":" };
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_int_equal(local_route_list_parse(bad[i], strlen(bad[i]), NULL, &routes, &err), -1);
}

static void test_names(void **state)
{
	struct local_names short_names, long_names, other;
	struct local_node_names admin, worker;
	struct error err;
	assert_int_equal(local_names_make("kamaji", &short_names, &err), 0);
	assert_string_equal(short_names.bridge, "kj-kamaji");
	assert_string_equal(short_names.cgroup, "kamaji-kamaji");
	assert_int_equal(local_names_make("a-rather-long-environment-name", &long_names, &err), 0);
	assert_int_equal(local_names_make("a-rather-long-environment-nam2", &other, &err), 0);
	assert_true(strlen(long_names.bridge) <= 15);
	assert_string_not_equal(long_names.bridge, other.bridge);
	assert_int_equal(local_node_names_make("kamaji", "admin", &admin, &err), 0);
	assert_int_equal(local_node_names_make("kamaji", "worker-1", &worker, &err), 0);
	assert_string_equal(admin.hostname, "kamaji-admin");
	assert_string_not_equal(admin.host_link, admin.node_link);
	assert_string_not_equal(admin.host_link, worker.host_link);
	assert_true(strlen(admin.host_link) <= 15);
	static const char *const bad[] = { "", "Upper", "-a", "a-", "a.b", "a/b", "0123456789012345678901234567890123456789x" };
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_int_equal(local_names_make(bad[i], &other, &err), -1);
}

struct folder {
	char path[64];
};

static int make_folder(void **state)
{
	static struct folder folder;
	snprintf(folder.path, sizeof(folder.path), "/tmp/kamaji-index-XXXXXX");
	*state = &folder;
	return mkdtemp(folder.path) ? 0 : -1;
}

static int remove_folder(void **state)
{
	struct error err;
	return file_remove_tree(((struct folder *)*state)->path, &err);
}

static void test_index(void **state)
{
	FREE_CLEANUP char *folder = string_printf("%s/run", ((struct folder *)*state)->path);
	struct local_route_list routes = { 0 }, reserved = { 0 };
	struct local_index index;
	struct local_cidr first, second;
	struct error err;
	assert_int_equal(local_route_list_parse(recorded_routes, strlen(recorded_routes), NULL, &routes, &err), 0);
	assert_int_equal(local_index_open(folder, &index, &err), 0);
	assert_true(local_index_is_empty(&index));
	assert_int_equal(local_index_choose(&index, &reserved, &routes, &first, &err), 0);
	assert_int_equal(first.address, local_slot_block(3).address);
	assert_int_equal(local_index_claim(&index, "one", folder, first, &routes, &err), 0);
	/* Neither the block of one that is up nor that of one that is down is given out. */
	struct local_cidr down = local_slot_block(4);
	reserved = (struct local_route_list){ .items = &down, .count = 1 };
	assert_int_equal(local_index_choose(&index, &reserved, &routes, &second, &err), 0);
	assert_int_equal(second.address, local_slot_block(5).address);
	/* The same again is fine; another's block, a used range and another's name are refused with the reason. */
	assert_int_equal(local_index_claim(&index, "one", folder, first, &routes, &err), 0);
	assert_int_equal(local_index_claim(&index, "two", folder, first, &routes, &err), -1);
	assert_non_null(strstr(err.message, "'one'"));
	assert_int_equal(local_index_claim(&index, "two", folder, cidr("172.17.0.0/16"), &routes, &err), -1);
	assert_non_null(strstr(err.message, "172.17.0.0/16"));
	assert_int_equal(local_index_claim(&index, "one", "/elsewhere/one", second, &routes, &err), -1);
	assert_non_null(strstr(err.message, folder));
	assert_int_equal(local_index_save(&index, &err), 0);
	local_index_close(&index);

	assert_int_equal(local_index_open(folder, &index, &err), 0);
	local_index_release(&index, "one", "/elsewhere/one");
	assert_false(local_index_is_empty(&index));
	local_index_release(&index, "one", folder);
	assert_true(local_index_is_empty(&index));
	assert_int_equal(local_index_save(&index, &err), 0);
	local_index_close(&index);
	/* The last one leaves nothing. */
	assert_false(file_exists(folder));
	local_route_list_free(&routes);
}

static void test_index_damaged(void **state)
{
	const char *folder = ((struct folder *)*state)->path;
	static const char *const texts[] = { "", "{", "[]", "{\"version\":7,\"environments\":{}}", "{\"version\":1}" };
	struct local_index index;
	struct error err;
	FREE_CLEANUP char *path = string_printf("%s/local.json", folder);
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		assert_int_equal(file_write_atomic(path, texts[i], strlen(texts[i]), 0600, &err), 0);
		assert_int_equal(local_index_open(folder, &index, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_non_null(strstr(err.message, path));
		assert_true(file_exists(path));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cidr_text),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_index, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_index_damaged, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
