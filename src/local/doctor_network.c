/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "io/process.h"
#include "local/doctor.h"
#include "local/host_network.h"
#include "local/local_index.h"

struct tool {
	const char *name, *package, *use;
	enum doctor_state when_missing;
};

static const struct tool tools[] = {
	{ "ip", "iproute2", "makes interfaces and routes", DOCTOR_PROBLEM },
	{ "nft", "nftables", "makes the masquerading rule; kube-proxy uses it", DOCTOR_PROBLEM },
	{ "mount", "mount", "the kubelet mounts volumes with it", DOCTOR_PROBLEM },
	{ "umount", "mount", "the kubelet unmounts volumes with it", DOCTOR_PROBLEM },
	{ "iptables", "iptables", "lets traffic pass where Docker's rules drop it", DOCTOR_WARNING },
	{ "conntrack", "conntrack", "kube-proxy forgets stale UDP connections with it", DOCTOR_WARNING },
};

static bool find_tool(const char *name)
{
	static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		FREE_CLEANUP char *path = string_printf("%s/%s", folders[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void check_tools(struct doctor_report *report)
{
	bool complete = true;
	for (size_t i = 0; i < ARRAY_LENGTH(tools); i++) {
		if (find_tool(tools[i].name))
			continue;
		FREE_CLEANUP char *remedy = string_printf("apt-get install %s", tools[i].package);
		doctor_add(report, "tools", tools[i].when_missing, remedy, "'%s' is missing: %s", tools[i].name, tools[i].use);
		complete = false;
	}
	if (complete)
		doctor_add(report, "tools", DOCTOR_OK, "", "ip, nft, mount, iptables, conntrack");
}

enum { TRIAL_NAMESPACE = 10, TRIAL_VETH, TRIAL_BRIDGE, TRIAL_NFT };

/* In a child, in a network namespace that ends with it. */
static int try_links(void)
{
	struct error err;
	if (unshare(CLONE_NEWNET) < 0)
		return TRIAL_NAMESPACE;
	if (process_command(&err, "ip", "link", "add", "trial0", "type", "veth", "peer", "name", "trial1", NULL) < 0)
		return TRIAL_VETH;
	if (process_command(&err, "ip", "link", "add", "trial2", "type", "bridge", NULL) < 0)
		return TRIAL_BRIDGE;
	if (process_command(&err, "nft", "add", "table", "ip", "trial", NULL) < 0)
		return TRIAL_NFT;
	return 0;
}

static void check_links(struct doctor_report *report)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		_exit(try_links());
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return;
	switch (WEXITSTATUS(status)) {
	case 0:
		doctor_add(report, "network", DOCTOR_OK, "", "network namespaces, veth, bridge and nf_tables work");
		return;
	case TRIAL_NAMESPACE:
		doctor_add(report, "network", DOCTOR_PROBLEM, "run as root on the host or in a privileged container",
		           "no network namespace can be made");
		return;
	case TRIAL_VETH:
		doctor_add(report, "network", DOCTOR_PROBLEM, "modprobe veth", "no veth pair can be made");
		return;
	case TRIAL_BRIDGE:
		doctor_add(report, "network", DOCTOR_PROBLEM, "modprobe bridge", "no bridge can be made");
		return;
	default:
		doctor_add(report, "network", DOCTOR_PROBLEM, "modprobe nf_tables; apt-get install nftables", "no nft table can be made");
	}
}

static void check_bridge_filter(struct doctor_report *report)
{
	if (file_exists("/proc/sys/net/bridge/bridge-nf-call-iptables"))
		doctor_add(report, "pod network", DOCTOR_OK, "", "bridge");
	else
		doctor_add(report, "pod network", DOCTOR_WARNING, "modprobe br_netfilter, or leave it: pods then get point-to-point links",
		           "the kernel does not filter bridged packets");
}

static void check_forwarding(struct doctor_report *report)
{
	const char *const arguments[] = { "iptables", "-w", "-S", "FORWARD", NULL };
	BUFFER_CLEANUP struct buffer output = { 0 };
	struct process_options options = { .arguments = arguments, .output = &output, .timeout_ms = 10000 };
	struct error err;
	if (process_run(&options, NULL, NULL, &err) < 0 || !output.data)
		return; /* no iptables, no policy of its own */
	if (host_network_policy_drops(output.data))
		doctor_add(report, "forwarding", DOCTOR_OK, "",
		           "the policy drops (Docker); accept rules are added while an environment is up");
	else
		doctor_add(report, "forwarding", DOCTOR_OK, "", "the policy accepts");
}

static void check_addresses(struct doctor_report *report)
{
	struct local_route_list routes = { 0 };
	struct error err;
	unsigned free_blocks = 0;
	if (host_network_routes(NULL, &routes, &err) < 0) {
		doctor_add(report, "addresses", DOCTOR_PROBLEM, "is iproute2 installed?", "%s", err.message);
		return;
	}
	for (unsigned slot = 0; slot < LOCAL_SLOT_COUNT; slot++)
		free_blocks += local_route_list_find_overlap(&routes, local_slot_block(slot)) == NULL;
	local_route_list_free(&routes);
	doctor_add(report, "addresses", free_blocks ? DOCTOR_OK : DOCTOR_WARNING, "give a free /16 with 'up --block'",
	           "%u of the %u blocks from 10.200.0.0/16 on are free", free_blocks, LOCAL_SLOT_COUNT);
}

void doctor_check_network(struct doctor_report *report)
{
	check_tools(report);
	if (geteuid() == 0)
		check_links(report);
	check_bridge_filter(report);
	check_forwarding(report);
	check_addresses(report);
}
