/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/tenant.h"
#include "kube/resource.h"

enum { POLL_MS = 500, QUIET_MS = 1000 };

/* Until the object of that uid is gone: 0. */
static int wait_gone(const struct tenant_command *command, const char *uid, struct cancel *cancel, struct error *err)
{
	uint64_t began_ms = clock_monotonic_ms();
	bool told = false;

	for (;;) {
		JSON_CLEANUP json_t *tenant = kube_client_get(command->access.client, &kube_resource_tenant_control_plane,
		                                              command->namespace_name, command->tenant, cancel, err);

		if (!tenant && err->class == ERROR_NOT_FOUND)
			return 0;
		if (tenant && !string_equal(json_string_at(tenant, "metadata.uid"), uid))
			return 0;
		if (!told && clock_monotonic_ms() - began_ms >= QUIET_MS) {
			fprintf(stderr, "%s/%s is being deleted: waiting for the operator to free its store (`kamaji why %s/%s`)\n",
			        command->namespace_name, command->tenant, command->namespace_name, command->tenant);
			told = true;
		}
		if ((!tenant && !error_is_retriable(err)) || cancel_sleep(cancel, POLL_MS, err) < 0)
			return error_wrap(err, "waiting until %s/%s is gone (`kamaji why %s/%s` tells what it waits for)",
			                  command->namespace_name, command->tenant, command->namespace_name, command->tenant);
	}
}

int cmd_tenant_delete(int argc, char **argv)
{
	TENANT_COMMAND_CLEANUP struct tenant_command command = {
		.name = "tenant delete",
		.usage = "Usage: kamaji tenant delete [NAMESPACE/]NAME [OPTIONS]\n\nRemoves a tenant with its data in the store, and waits "
			 "until it is gone.",
		.examples = "Examples:\n  kamaji tenant delete team-a --yes\n  kamaji tenant delete default/sample --yes --wait=false\n",
	};
	bool yes = false, wait = true;
	uint64_t timeout_ms = 120 * 1000;
	const struct option_definition definitions[] = {
		{ .name = "yes",
		  .type = OPTION_BOOLEAN,
		  .target = &yes,
		  .help = "do it; without it the tenant must be named again on the terminal" },
		{ .name = "wait", .type = OPTION_BOOLEAN, .target = &wait, .help = "wait until it is gone" },
		{ .name = "timeout", .type = OPTION_DURATION, .target = &timeout_ms, .help = "limit of the wait" },
		CLUSTER_ACCESS_OPTIONS(command.access),
		{ 0 },
	};
	struct error err = { 0 };
	int code;

	if (!tenant_command_begin(&command, definitions, argc, argv, 1, &code))
		return code;
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + timeout_ms);
	JSON_CLEANUP json_t *tenant = kube_client_get(command.access.client, &kube_resource_tenant_control_plane, command.namespace_name,
	                                              command.tenant, cancel, &err);

	if (!tenant && err.class == ERROR_NOT_FOUND)
		error_set(&err, ERROR_NOT_FOUND, "there is no tenant %s/%s (`kamaji tenant list -A` shows those there are)",
		          command.namespace_name, command.tenant);
	if (!tenant)
		return command_fail(command.name, &err);
	if (!yes && isatty(STDIN_FILENO)) {
		char line[320];

		printf("This deletes all data of the tenant %s/%s. Its name, to go on: ", command.namespace_name, command.tenant);
		(void)fflush(stdout);
		yes = fgets(line, sizeof(line), stdin) && string_has_prefix(line, command.tenant) && line[strlen(command.tenant)] == '\n';
	}
	if (!yes) {
		fprintf(stderr, "kamaji tenant delete: nothing was done; give --yes to delete %s/%s with its data\n",
		        command.namespace_name, command.tenant);
		return EXIT_CODE_FAILURE;
	}
	const char *uid = json_string_or(tenant, "metadata.uid", "");
	const struct kube_delete_options options = { .uid = uid };

	if (kube_client_delete(command.access.client, &kube_resource_tenant_control_plane, command.namespace_name, command.tenant, &options,
	                       cancel, &err) < 0 &&
	    err.class != ERROR_NOT_FOUND)
		return command_fail(command.name, &err);
	if (wait && wait_gone(&command, uid, cancel, &err) < 0)
		return command_fail(command.name, &err);
	printf("tenant %s/%s %s\n", command.namespace_name, command.tenant, wait ? "is gone" : "is being deleted");
	return EXIT_CODE_OK;
}
