/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "io/process.h"
#include "local/node_root.h"

enum { TOOL_TIMEOUT_MS = 10000 };

static int run_tool(const char *const *arguments, const char *input, struct error *err)
{
	struct process_options options = {
		.arguments = arguments,
		.input = input,
		.input_length = strlen(input),
		.timeout_ms = TOOL_TIMEOUT_MS,
	};
	return process_run(&options, NULL, NULL, err);
}

int node_network_enter(const struct node_config *config, struct error *err)
{
	if (sethostname(config->hostname, strlen(config->hostname)) < 0)
		return error_set_errno(err, errno, "set host name %s", config->hostname);
	static const char *const arguments[] = { "ip", "-batch", "-", NULL };
	BUFFER_CLEANUP struct buffer batch = { 0 };
	buffer_printf(&batch,
	              "link set lo up\n"
	              "link set %s name eth0\n"
	              "address add %s dev eth0\n"
	              "link set eth0 up\n"
	              "route add default via %s\n",
	              config->link, config->address, config->gateway);
	for (char **route = config->routes; *route; route++)
		buffer_printf(&batch, "route add %s\n", *route);
	if (run_tool(arguments, batch.data, err) < 0)
		return error_wrap(err, "network of the node");
	static const char *const firewall[] = { "nft", "-f", "-", NULL };
	if (config->firewall[0] && run_tool(firewall, config->firewall, err) < 0)
		return error_wrap(err, "packet filter of the node");
	if (file_write_once("/proc/sys/net/ipv4/ip_forward", "1", err) < 0)
		return -1;
	/* Pods share a bridge: an answer that goes straight from pod to pod would miss the translation back to the Service address. */
	if (config->bridge_netfilter && file_write_once("/proc/sys/net/bridge/bridge-nf-call-iptables", "1", err) < 0)
		return -1;
	return 0;
}
