/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "io/process.h"
#include "local/node_root.h"

enum { IP_TIMEOUT_MS = 10000 };

int node_network_enter(const struct node_config *config, struct error *err)
{
	if (sethostname(config->hostname, strlen(config->hostname)) < 0)
		return error_set_errno(err, errno, "set host name %s", config->hostname);
	FREE_CLEANUP char *batch = string_printf("link set lo up\n"
	                                         "link set %s name eth0\n"
	                                         "address add %s dev eth0\n"
	                                         "link set eth0 up\n"
	                                         "route add default via %s\n",
	                                         config->link, config->address, config->gateway);
	const char *const arguments[] = { "ip", "-batch", "-", NULL };
	struct process_options options = {
		.arguments = arguments,
		.input = batch,
		.input_length = strlen(batch),
		.timeout_ms = IP_TIMEOUT_MS,
	};
	if (process_run(&options, NULL, NULL, err) < 0)
		return error_wrap(err, "network of the node");
	if (file_write_once("/proc/sys/net/ipv4/ip_forward", "1", err) < 0)
		return -1;
	/* Pods share a bridge: an answer that goes straight from pod to pod would miss the translation back to the Service address. */
	if (config->bridge_netfilter && file_write_once("/proc/sys/net/bridge/bridge-nf-call-iptables", "1", err) < 0)
		return -1;
	return 0;
}
