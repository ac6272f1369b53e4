/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/local.h"
#include "local/balancer.h"
#include "local/local_address.h"

int cmd_local_balancer(int argc, char **argv)
{
	const char *first = "", *last = "";
	struct balancer_options options = { 0 };
	const struct option_definition definitions[] = {
		{ .name = "kubeconfig", .type = OPTION_STRING, .target = &options.kubeconfig, .help = "of the admin cluster" },
		{ .name = "first", .type = OPTION_STRING, .target = &first, .help = "first address of the range" },
		{ .name = "last", .type = OPTION_STRING, .target = &last, .help = "last address of the range" },
		{ 0 },
	};
	struct error err;
	int code;
	if (!local_parse(definitions, argc, argv, NULL, "Usage: kamaji local balancer --kubeconfig FILE --first ADDRESS --last ADDRESS",
	                 "Gives addresses to LoadBalancer Services; started by the node of a local environment.\n", &code))
		return code;
	if (local_address_parse(first, &options.first, &err) < 0 || local_address_parse(last, &options.last, &err) < 0) {
		(void)local_fail("balancer", &err);
		return EXIT_CODE_USAGE;
	}
	return balancer_run(&options, &err) < 0 ? local_fail("balancer", &err) : EXIT_CODE_OK;
}
