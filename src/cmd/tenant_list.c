/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/tenant.h"
#include "kube/resource.h"

enum { COLUMNS = 9 };

static const char *const titles[COLUMNS] = { "NAMESPACE",  "NAME",      "VERSION", "INSTALLED VERSION", "STATUS", "CONTROL-PLANE ENDPOINT",
	                                     "KUBECONFIG", "DATASTORE", "AGE" };

/* As kubectl writes ages, in one unit or two. */
static void format_age(const char *created, char *text, size_t size)
{
	int64_t then, age;

	text[0] = '\0';
	if (clock_parse_rfc3339(created, &then) != 0)
		return;
	age = clock_wall_seconds() - then;
	if (age < 120)
		(void)snprintf(text, size, "%llds", (long long)(age < 0 ? 0 : age));
	else if (age < 600)
		(void)snprintf(text, size, "%lldm%llds", (long long)(age / 60), (long long)(age % 60));
	else if (age < 3 * 3600)
		(void)snprintf(text, size, "%lldm", (long long)(age / 60));
	else if (age < 48 * 3600)
		(void)snprintf(text, size, "%lldh", (long long)(age / 3600));
	else
		(void)snprintf(text, size, "%lldd", (long long)(age / 86400));
}

static void row_of(const json_t *tenant, const char *cells[COLUMNS], char *age, size_t size)
{
	static const char *const paths[COLUMNS - 1] = {
		"metadata.namespace",
		"metadata.name",
		"spec.kubernetes.version",
		"status.kubernetesResources.version.version",
		"status.kubernetesResources.version.status",
		"status.controlPlaneEndpoint",
		"status.kubeconfig.admin.secretName",
		"status.storage.dataStoreName",
	};

	for (size_t i = 0; i < COLUMNS - 1; i++)
		cells[i] = json_string_or(tenant, paths[i], "");
	format_age(json_string_or(tenant, "metadata.creationTimestamp", ""), age, size);
	cells[COLUMNS - 1] = age;
}

static void print_table(const json_t *tenants, bool with_namespace)
{
	size_t widths[COLUMNS], first = with_namespace ? 0 : 1, i;
	const char *cells[COLUMNS];
	char age[32];
	json_t *tenant;

	for (size_t column = 0; column < COLUMNS; column++)
		widths[column] = strlen(titles[column]);
	json_array_foreach(tenants, i, tenant) {
		row_of(tenant, cells, age, sizeof(age));
		for (size_t column = 0; column < COLUMNS; column++)
			if (strlen(cells[column]) > widths[column])
				widths[column] = strlen(cells[column]);
	}
	for (size_t column = first; column < COLUMNS - 1; column++)
		printf("%-*s   ", (int)widths[column], titles[column]);
	printf("%s\n", titles[COLUMNS - 1]);
	json_array_foreach(tenants, i, tenant) {
		row_of(tenant, cells, age, sizeof(age));
		for (size_t column = first; column < COLUMNS - 1; column++)
			printf("%-*s   ", (int)widths[column], cells[column]);
		printf("%s\n", age);
	}
}

static int compare_tenants(const void *a, const void *b)
{
	const json_t *one = *(json_t *const *)a, *other = *(json_t *const *)b;
	int order = strcmp(json_string_or(one, "metadata.namespace", ""), json_string_or(other, "metadata.namespace", ""));

	return order ? order : strcmp(json_string_or(one, "metadata.name", ""), json_string_or(other, "metadata.name", ""));
}

static json_t *sorted(const json_t *tenants)
{
	size_t count = json_array_size(tenants);
	json_t **items = calloc(count + 1, sizeof(json_t *)), *result = json_array();

	if (!items)
		abort();
	for (size_t i = 0; i < count; i++)
		items[i] = json_array_get(tenants, i);
	qsort(items, count, sizeof(json_t *), compare_tenants);
	for (size_t i = 0; i < count; i++)
		json_array_append(result, items[i]);
	free(items);
	return result;
}

int cmd_tenant_list(int argc, char **argv)
{
	TENANT_COMMAND_CLEANUP struct tenant_command command = {
		.name = "tenant list",
		.usage = "Usage: kamaji tenant list [OPTIONS]\n\nShows the tenants of a namespace, or of all.",
		.examples = "Examples:\n  kamaji tenant list -A\n  kamaji tenant list -n team-a -o json\n",
	};
	bool all = false;
	const struct option_definition definitions[] = {
		{ .name = "all-namespaces", .type = OPTION_BOOLEAN, .target = &all, .help = "of every namespace; also -A" },
		{ .name = "A", .type = OPTION_BOOLEAN, .target = &all, .hidden = true },
		CLUSTER_ACCESS_OUTPUT(command.access),
		CLUSTER_ACCESS_OPTIONS(command.access),
		{ 0 },
	};
	const char *namespace_name;
	struct error err = { 0 };
	int code;

	if (!tenant_command_begin(&command, definitions, argc, argv, 0, &code))
		return code;
	namespace_name = all                                           ? NULL
	                 : string_empty(command.access.namespace_name) ? command.access.default_namespace
	                                                               : command.access.namespace_name;
	JSON_CLEANUP json_t *tenants =
		kube_client_list(command.access.client, &kube_resource_tenant_control_plane, namespace_name, NULL, NULL, &err);

	if (!tenants)
		return command_fail(command.name, &err);
	JSON_CLEANUP json_t *items = sorted(tenants);

	if (cluster_access_wants_json(&command.access)) {
		JSON_CLEANUP json_t *list = json_build("{s:s,s:s,s:O}", "apiVersion", "v1", "kind", "List", "items", items);
		FREE_CLEANUP char *text = json_text(list);

		printf("%s\n", text);
	} else if (json_array_size(items) == 0) {
		fprintf(stderr, "No tenants%s%s.\n", namespace_name ? " in namespace " : "", namespace_name ? namespace_name : "");
	} else {
		print_table(items, all);
	}
	return EXIT_CODE_OK;
}
