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
	assert_true(local_cidr_overlaps(plan.pods, plan.admin_pods));
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
	const char *root = ((struct folder *)*state)->path;
	struct local_route_list routes = { 0 };
	struct local_index index;
	struct local_cidr first, second, block;
	struct error err;
	assert_int_equal(local_route_list_parse(recorded_routes, strlen(recorded_routes), NULL, &routes, &err), 0);
	assert_int_equal(local_index_open(root, true, &index, &err), 0);
	assert_int_equal(local_index_allocate(&index, "one", NULL, &routes, &first, &err), 0);
	assert_int_equal(first.address, local_slot_block(3).address);
	assert_int_equal(local_index_allocate(&index, "two", NULL, &routes, &second, &err), 0);
	assert_int_equal(second.address, local_slot_block(4).address);
	/* Again: the same. Another's block, a used range, and a change of mind are refused with the reason. */
	assert_int_equal(local_index_allocate(&index, "one", NULL, &routes, &block, &err), 0);
	assert_int_equal(block.address, first.address);
	assert_int_equal(local_index_allocate(&index, "three", &first, &routes, &block, &err), -1);
	assert_non_null(strstr(err.message, "'one'"));
	struct local_cidr docker = cidr("172.17.0.0/16");
	assert_int_equal(local_index_allocate(&index, "three", &docker, &routes, &block, &err), -1);
	assert_non_null(strstr(err.message, "172.17.0.0/16"));
	assert_int_equal(local_index_allocate(&index, "one", &second, &routes, &block, &err), -1);
	local_index_set_up(&index, "two", true);
	assert_int_equal(local_index_save(&index, &err), 0);
	local_index_close(&index);

	assert_int_equal(local_index_open(root, false, &index, &err), 0);
	assert_true(local_index_any_up(&index));
	assert_true(local_index_block(&index, "two", &block));
	assert_int_equal(block.address, second.address);
	local_index_remove(&index, "two");
	assert_false(local_index_any_up(&index));
	assert_false(local_index_block(&index, "two", &block));
	local_index_close(&index);
	local_route_list_free(&routes);
}

static void test_index_damaged(void **state)
{
	const char *root = ((struct folder *)*state)->path;
	static const char *const texts[] = { "", "{", "[]", "{\"version\":7,\"environments\":{}}", "{\"version\":1}" };
	struct local_index index;
	struct error err;
	FREE_CLEANUP char *path = string_printf("%s/index.json", root);
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		assert_int_equal(file_write_atomic(path, texts[i], strlen(texts[i]), 0600, &err), 0);
		assert_int_equal(local_index_open(root, false, &index, &err), -1);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_non_null(strstr(err.message, path));
	}
	FREE_CLEANUP char *absent = string_printf("%s/absent", root);
	assert_int_equal(local_index_open(absent, false, &index, &err), -1);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
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
