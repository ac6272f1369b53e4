/* SPDX-License-Identifier: Apache-2.0 */
#include "local/host_network.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "io/file.h"
#include "io/process.h"

enum { TOOL_TIMEOUT_MS = 15000, TOOL_OUTPUT_MAX = 4 * 1024 * 1024, DEFAULT_MTU = 1500, LEAST_MTU = 576 };

/* Runs a tool with text on its stdin and takes its output; both may be NULL. */
static int run_tool(const char *const *arguments, const char *input, struct buffer *output, struct error *err)
{
	struct process_options options = {
		.arguments = arguments,
		.input = input,
		.input_length = input ? strlen(input) : 0,
		.output = output,
		.timeout_ms = TOOL_TIMEOUT_MS,
	};
	BUFFER_CLEANUP struct buffer complaints = { .limit = TOOL_OUTPUT_MAX };
	options.error_output = &complaints;
	if (output)
		output->limit = TOOL_OUTPUT_MAX;
	return process_run(&options, NULL, NULL, err);
}

static int run_ip_batch(const char *batch, struct error *err)
{
	const char *const arguments[] = { "ip", "-batch", "-", NULL };
	return run_tool(arguments, batch, NULL, err);
}

static int run_nft(const char *rules, struct error *err)
{
	const char *const arguments[] = { "nft", "-f", "-", NULL };
	return run_tool(arguments, rules, NULL, err);
}

bool host_network_has_link(const char *link)
{
	/* Not by /sys: that shows the network namespace in which it was mounted. */
	return if_nametoindex(link) != 0;
}

bool host_network_default_link(const char *json, size_t length, char link[static 16])
{
	struct error err;
	JSON_CLEANUP json_t *routes = json_parse(json, length, &err);
	const char *name = json_string_at(json_array_get(routes, 0), "dev");
	if (!name || strlen(name) >= 16)
		return false;
	snprintf(link, 16, "%s", name);
	return true;
}

/* Bridges and nodes use the MTU of the way out: larger packets would be lost where path discovery is filtered. */
static unsigned find_mtu(void)
{
	const char *const arguments[] = { "ip", "-j", "-4", "route", "show", "default", NULL };
	BUFFER_CLEANUP struct buffer output = { 0 };
	struct error err;
	char link[16];
	if (run_tool(arguments, NULL, &output, &err) < 0 || !output.data || !host_network_default_link(output.data, output.length, link))
		return DEFAULT_MTU;
	struct ifreq request = { 0 };
	DESCRIPTOR_CLEANUP int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &request) < 0 || request.ifr_mtu < LEAST_MTU)
		return DEFAULT_MTU;
	return request.ifr_mtu > DEFAULT_MTU ? DEFAULT_MTU : (unsigned)request.ifr_mtu;
}

bool host_network_policy_drops(const char *rules)
{
	return string_has_prefix(rules, "-P FORWARD DROP") || strstr(rules, "\n-P FORWARD DROP") != NULL;
}

static bool forward_drops(void)
{
	const char *const arguments[] = { "iptables", "-w", "-S", "FORWARD", NULL };
	BUFFER_CLEANUP struct buffer output = { 0 };
	struct error err;
	return run_tool(arguments, NULL, &output, &err) == 0 && output.data && host_network_policy_drops(output.data);
}

/* One of -C (check), -I (insert), -D (delete) for traffic that enters (-i) or leaves (-o) by the bridge. */
static int forward_rule(const struct local_names *names, const char *action, const char *direction, struct error *err)
{
	const char *const arguments[] = { "iptables", "-w",        action,          "FORWARD", direction, names->bridge, "-m",
		                          "comment",  "--comment", names->firewall, "-j",      "ACCEPT",  NULL };
	return run_tool(arguments, NULL, NULL, err);
}

static int accept_forwarding(const struct local_names *names, struct error *err)
{
	static const char *const directions[] = { "-i", "-o" };
	if (!forward_drops())
		return 0;
	for (size_t i = 0; i < ARRAY_LENGTH(directions); i++)
		if (forward_rule(names, "-C", directions[i], err) < 0 && forward_rule(names, "-I", directions[i], err) < 0)
			return error_wrap(err, "accept forwarding for %s", names->bridge);
	return 0;
}

int host_network_make(const struct local_names *names, const struct local_address_plan *plan, struct error *err)
{
	char gateway[LOCAL_ADDRESS_TEXT_MAX], block[LOCAL_CIDR_TEXT_MAX];
	local_address_format(plan->gateway, gateway);
	local_cidr_format(plan->block, block);
	bool exists = host_network_has_link(names->bridge);
	FREE_CLEANUP char *batch = string_printf("%s%s%s"
	                                         "link set %s mtu %u\n"
	                                         "address replace %s/%u dev %s\n"
	                                         "link set %s up\n",
	                                         exists ? "" : "link add ", exists ? "" : names->bridge, exists ? "" : " type bridge\n",
	                                         names->bridge, find_mtu(), gateway, plan->nodes.prefix, names->bridge, names->bridge);
	if (run_ip_batch(batch, err) < 0)
		return error_wrap(err, "bridge %s", names->bridge);
	/* "add" before "delete" so that the first run does not fail; the whole text is one transaction. */
	FREE_CLEANUP char *rules = string_printf("add table ip %s\n"
	                                         "delete table ip %s\n"
	                                         "table ip %s {\n"
	                                         "\tchain postrouting {\n"
	                                         "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
	                                         "\t\tip saddr %s ip daddr != %s oifname != \"%s\" masquerade\n"
	                                         "\t}\n"
	                                         "}\n",
	                                         names->firewall, names->firewall, names->firewall, block, block, names->bridge);
	if (run_nft(rules, err) < 0)
		return error_wrap(err, "nft table %s", names->firewall);
	return accept_forwarding(names, err);
}

int host_network_attach(const struct local_names *names, const struct local_node_names *node, pid_t init, struct error *err)
{
	bool old = host_network_has_link(node->host_link);
	unsigned mtu = find_mtu();
	FREE_CLEANUP char *batch = string_printf("%s%s%s"
	                                         "link add %s mtu %u type veth peer name %s mtu %u\n"
	                                         "link set %s master %s up\n"
	                                         "link set %s netns %d\n",
	                                         old ? "link delete " : "", old ? node->host_link : "", old ? "\n" : "", node->host_link,
	                                         mtu, node->node_link, mtu, node->host_link, names->bridge, node->node_link, (int)init);
	return run_ip_batch(batch, err) < 0 ? error_wrap(err, "link of node %s", node->hostname) : 0;
}

int host_network_detach(const struct local_node_names *node, struct error *err)
{
	if (!host_network_has_link(node->host_link))
		return 0;
	FREE_CLEANUP char *batch = string_printf("link delete %s\n", node->host_link);
	/* The end of the namespace may have taken it away just now. */
	if (run_ip_batch(batch, err) < 0 && host_network_has_link(node->host_link))
		return error_wrap(err, "remove interface %s", node->host_link);
	return 0;
}

int host_network_route(const struct local_names *names, const struct local_address_plan *plan, unsigned nodes, struct error *err)
{
	const struct local_cidr ranges[] = { plan->balancer, plan->services, plan->pods };
	char node[LOCAL_ADDRESS_TEXT_MAX];
	BUFFER_CLEANUP struct buffer batch = { 0 };
	local_address_format(plan->admin_node, node);
	for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
		char range[LOCAL_CIDR_TEXT_MAX];
		local_cidr_format(ranges[i], range);
		buffer_printf(&batch, "route replace %s via %s dev %s\n", range, node, names->bridge);
	}
	/* Straight there: a node that saw only one direction of a connection would drop it. */
	for (unsigned number = 2; number <= nodes; number++) {
		char range[LOCAL_CIDR_TEXT_MAX];
		local_cidr_format(local_admin_node_pods(plan, number), range);
		local_address_format(local_admin_node_address(plan, number), node);
		buffer_printf(&batch, "route replace %s via %s dev %s\n", range, node, names->bridge);
	}
	return run_ip_batch(batch.data, err) < 0 ? error_wrap(err, "routes over %s", names->bridge) : 0;
}

static bool has_table(const struct local_names *names)
{
	const char *const arguments[] = { "nft", "list", "table", "ip", names->firewall, NULL };
	struct error err;
	return run_tool(arguments, NULL, NULL, &err) == 0;
}

static bool has_forward_rules(const struct local_names *names)
{
	struct error err;
	return forward_rule(names, "-C", "-i", &err) == 0 || forward_rule(names, "-C", "-o", &err) == 0;
}

int host_network_remove(const struct local_names *names, struct error *err)
{
	struct error ignored;
	if (host_network_has_link(names->bridge)) {
		FREE_CLEANUP char *batch = string_printf("link delete %s\n", names->bridge); /* takes its address and routes along */
		if (run_ip_batch(batch, err) < 0)
			return error_wrap(err, "remove bridge %s", names->bridge);
	}
	if (has_table(names)) {
		FREE_CLEANUP char *rules = string_printf("delete table ip %s\n", names->firewall);
		if (run_nft(rules, err) < 0)
			return error_wrap(err, "remove nft table %s", names->firewall);
	}
	/* Each exists once at most, but an interrupted run may have made only one of them. */
	(void)forward_rule(names, "-D", "-i", &ignored);
	(void)forward_rule(names, "-D", "-o", &ignored);
	return 0;
}

void host_network_leftovers(const struct local_names *names, struct string_list *found)
{
	if (host_network_has_link(names->bridge))
		string_list_printf(found, "interface %s", names->bridge);
	if (has_table(names))
		string_list_printf(found, "nft table ip %s", names->firewall);
	if (has_forward_rules(names))
		string_list_printf(found, "accept rules in FORWARD for %s", names->bridge);
}

int host_network_routes(const char *except_link, struct local_route_list *ret_list, struct error *err)
{
	const char *const arguments[] = { "ip", "-j", "-4", "route", "show", "table", "all", NULL };
	BUFFER_CLEANUP struct buffer output = { 0 };
	if (run_tool(arguments, NULL, &output, err) < 0)
		return error_wrap(err, "read the machine's routes");
	return local_route_list_parse(output.data ? output.data : "[]", output.data ? output.length : 2, except_link, ret_list, err);
}
