/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine allows, from recordings: both cgroup versions, the hybrid layout, capability sets, firewall policies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "local/host_facts.h"
#include "local/host_network.h"

/* A Debian 12 laptop. */
static const char mounts_v2[] = "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\n"
				"proc /proc proc rw,relatime 0 0\n"
				"cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n";

/* A small virtual machine: version 1 throughout, and a version 2 mount that has no controller. */
static const char mounts_v1[] = "tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0\n"
				"cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n"
				"cgroup /sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct 0 0\n"
				"cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0\n"
				"cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n"
				"cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n"
				"cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n"
				"cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";

/* systemd's hybrid layout with controllers sharing a hierarchy. */
static const char mounts_hybrid[] = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0\n"
				    "cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,nodev,noexec,relatime,xattr,name=systemd 0 0\n"
				    "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0\n"
				    "cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,nodev,noexec,relatime,memory 0 0\n"
				    "cgroup /sys/fs/cgroup/pids cgroup rw,nosuid,nodev,noexec,relatime,pids 0 0\n";

static void test_version_2(void **state)
{
	struct host_cgroup cgroup;
	struct error err;
	assert_int_equal(host_cgroup_parse(mounts_v2, &cgroup, &err), 0);
	assert_int_equal(cgroup.version, 2);
	assert_string_equal(cgroup.unified, "/sys/fs/cgroup");
	host_cgroup_set_controllers(&cgroup, "cpuset cpu io memory hugetlb pids rdma misc\n");
	assert_null(host_cgroup_missing(&cgroup));
	assert_true(host_cgroup_has(&cgroup, "pids"));
	assert_false(host_cgroup_has(&cgroup, "pid"));
	/* In a container that was given only some. */
	host_cgroup_set_controllers(&cgroup, "cpu pids\n");
	assert_string_equal(host_cgroup_missing(&cgroup), "cpuset");
	host_cgroup_set_controllers(&cgroup, "\n");
	assert_string_equal(host_cgroup_missing(&cgroup), "cpu");
}

static void test_version_1(void **state)
{
	struct host_cgroup cgroup;
	struct error err;
	assert_int_equal(host_cgroup_parse(mounts_v1, &cgroup, &err), 0);
	assert_int_equal(cgroup.version, 1);
	assert_int_equal(cgroup.hierarchy_count, 6);
	assert_null(host_cgroup_missing(&cgroup));
	assert_string_equal(cgroup.unified, "/sys/fs/cgroup/unified");
}

static void test_hybrid(void **state)
{
	struct host_cgroup cgroup;
	struct error err;
	assert_int_equal(host_cgroup_parse(mounts_hybrid, &cgroup, &err), 0);
	assert_int_equal(cgroup.version, 1);
	assert_true(host_cgroup_has(&cgroup, "cpuacct"));
	assert_true(host_cgroup_has(&cgroup, "name=systemd"));
	assert_string_equal(host_cgroup_missing(&cgroup), "cpuset");
	assert_string_equal(cgroup.hierarchies[1].names, "cpu,cpuacct");
}

static void test_odd_mounts(void **state)
{
	struct host_cgroup cgroup;
	struct error err;
	assert_int_equal(host_cgroup_parse("", &cgroup, &err), 0);
	assert_int_equal(cgroup.version, 0);
	assert_int_equal(host_cgroup_parse("cgroup\n\ncgroup /x\n  \nnone none none\n", &cgroup, &err), 0);
	assert_int_equal(cgroup.version, 0);
	/* Only systemd's named hierarchy: nothing can be limited with it. */
	assert_int_equal(host_cgroup_parse("cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n", &cgroup, &err), 0);
	assert_int_equal(cgroup.version, 0);
	struct buffer many = { 0 };
	for (int i = 0; i <= HOST_CONTROLLER_MAX; i++)
		buffer_printf(&many, "cgroup /c%d cgroup rw,name=n%d 0 0\n", i, i);
	assert_int_equal(host_cgroup_parse(many.data, &cgroup, &err), -1);
	assert_int_equal(err.class, ERROR_EXHAUSTED);
	buffer_free(&many);
}

static void test_capabilities(void **state)
{
	static const struct {
		const char *status;
		int result;
		bool resource;
	} rows[] = {
		{ "Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nCapAmb:\t0\n", 0, true },
		{ "Name:\tx\nCapBnd:\t000001fffeffffff\n", 0, false },
		{ "Name:\tx\nCapBnd:\t00000000a80425fb\n", 0, false },
		{ "Name:\tx\n", -1, false },
		{ "Name:\tx\nCapBnd:\t\n", -1, false },
		{ "Name:\tx\nCapBnd:\tzz\n", -1, false },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		uint64_t set = 0;
		struct error err;
		assert_int_equal(host_capabilities_parse(rows[i].status, &set, &err), rows[i].result);
		if (rows[i].result == 0)
			assert_int_equal(host_capability_has(set, HOST_CAP_SYS_RESOURCE), rows[i].resource);
	}
}

static void test_forward_policy(void **state)
{
	assert_true(host_network_policy_drops("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n"));
	assert_false(host_network_policy_drops("-P FORWARD ACCEPT\n-A FORWARD -j DROP\n"));
	assert_false(host_network_policy_drops(""));
}

static void test_default_link(void **state)
{
	static const char two[] =
		"[{\"dst\":\"default\",\"gateway\":\"192.0.2.1\",\"dev\":\"wlan0\",\"metric\":600},{\"dst\":\"default\",\"dev\":\"eth0\"}]";
	char link[16];
	assert_true(host_network_default_link(two, strlen(two), link));
	assert_string_equal(link, "wlan0");
	assert_false(host_network_default_link("[]", 2, link));
	assert_false(host_network_default_link("[ ", 2, link));
	static const char long_name[] = "[{\"dev\":\"a-name-longer-than-allowed\"}]";
	assert_false(host_network_default_link(long_name, strlen(long_name), link));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_2),    cmocka_unit_test(test_version_1),    cmocka_unit_test(test_hybrid),
		cmocka_unit_test(test_odd_mounts),   cmocka_unit_test(test_capabilities), cmocka_unit_test(test_forward_policy),
		cmocka_unit_test(test_default_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
