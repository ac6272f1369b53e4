/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "api/names.h"
#include "base/base64.h"
#include "base/secret.h"
#include "base/yaml.h"
#include "cmd/tenant.h"
#include "io/file.h"
#include "kube/resource.h"

enum { FILE_LIMIT = 1024 * 1024 };

/* The named file of the Secret that the operator made. */
static int fetch(const struct tenant_command *command, const char *key, struct buffer *text, struct error *err)
{
	FREE_CLEANUP char *name = string_printf("%s" SUFFIX_ADMIN_KUBECONFIG, command->tenant);
	JSON_CLEANUP json_t *secret =
		kube_client_get(command->access.client, &kube_resource_secret, command->namespace_name, name, NULL, err);
	const char *encoded = json_string_value(json_object_get(json_object_get(secret, "data"), key));

	if (!secret && err->class == ERROR_NOT_FOUND)
		return error_set(err, ERROR_NOT_FOUND,
		                 "Secret %s/%s does not exist: the tenant is not that far, or there is none (`kamaji why %s/%s`)",
		                 command->namespace_name, name, command->namespace_name, command->tenant);
	if (!secret)
		return -1;
	if (!encoded)
		return error_set(err, ERROR_NOT_FOUND, "Secret %s/%s has no %s", command->namespace_name, name, key);
	return base64_decode(encoded, strlen(encoded), text, err);
}

/* Replaces the entry of that name in one of the lists, or adds it. */
static void put_entry(json_t *config, const char *list_name, const char *name, const char *member, json_t *value)
{
	json_t *list = json_object_get(config, list_name), *entry;
	size_t i;

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(config, list_name, list);
	}
	json_array_foreach(list, i, entry) {
		if (string_equal(json_string_at(entry, "name"), name)) {
			json_array_remove(list, i);
			break;
		}
	}
	json_array_append_new(list, json_build("{s:s,s:O}", "name", name, member, value));
}

/* The first of the list; kubeconfigs of tenants have one each. */
static json_t *only(const json_t *config, const char *list, const char *member)
{
	return json_object_get(json_array_get(json_object_get(config, list), 0), member);
}

/* Adds cluster, user and context, all named NAMESPACE-NAME, to the kubeconfig in `path` and makes it current. Others stay. */
static int merge(const struct tenant_command *command, const struct buffer *text, const char *path, struct error *err)
{
	BUFFER_SECRET_CLEANUP struct buffer old = { 0 };
	JSON_CLEANUP json_t *tenant = yaml_parse(text->data, text->length, err), *config = NULL;
	FREE_CLEANUP char *name = string_printf("%s-%s", command->namespace_name, command->tenant);

	if (!tenant)
		return -1;
	if (file_exists(path) && file_read(path, FILE_LIMIT, &old, err) < 0)
		return -1;
	config = old.length > 0 ? yaml_parse(old.data, old.length, err) : json_build("{s:s,s:s}", "apiVersion", "v1", "kind", "Config");
	if (!config)
		return error_wrap(err, "%s", path);
	if (!json_is_object(config) || !json_is_object(only(tenant, "clusters", "cluster")) ||
	    !json_is_object(only(tenant, "users", "user")))
		return error_set(err, ERROR_INVALID, "%s: not a kubeconfig", json_is_object(config) ? "the tenant's Secret" : path);
	JSON_CLEANUP json_t *context = json_build("{s:s,s:s}", "cluster", name, "user", name);

	put_entry(config, "clusters", name, "cluster", only(tenant, "clusters", "cluster"));
	put_entry(config, "users", name, "user", only(tenant, "users", "user"));
	put_entry(config, "contexts", name, "context", context);
	json_object_set_new(config, "current-context", json_string_new(name));
	SECRET_CLEANUP char *merged = yaml_text(config, false);

	if (file_write_atomic(path, merged, strlen(merged), 0600, err) < 0)
		return -1;
	fprintf(stderr, "context %s in %s\n", name, path);
	return 0;
}

int cmd_tenant_kubeconfig(int argc, char **argv)
{
	TENANT_COMMAND_CLEANUP struct tenant_command command = {
		.name = "tenant kubeconfig",
		.usage = "Usage: kamaji tenant kubeconfig [NAMESPACE/]NAME [OPTIONS]\n\n"
			 "Prints a tenant's kubeconfig with administrator's rights. It holds a private key.",
		.examples = "Examples:\n"
			    "  kamaji tenant kubeconfig team-a > team-a.kubeconfig\n"
			    "  kamaji tenant kubeconfig team-a --to team-a.kubeconfig     written with mode 0600\n"
			    "  kamaji tenant kubeconfig team-a --merge ~/.kube/config     added as context NAMESPACE-NAME\n",
	};
	const char *to = "", *into = "", *key = KEY_ADMIN_CONF;
	const struct option_definition definitions[] = {
		{ .name = "to", .type = OPTION_STRING, .target = &to, .help = "write it to this file (0600) instead of printing it" },
		{ .name = "merge", .type = OPTION_STRING, .target = &into, .help = "add it to this kubeconfig and make it current" },
		{ .name = "key",
		  .type = OPTION_STRING,
		  .target = &key,
		  .help = "which one of the Secret: admin.conf, admin.svc, super-admin.conf, super-admin.svc" },
		CLUSTER_ACCESS_OPTIONS(command.access),
		{ 0 },
	};
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	struct error err = { 0 };
	int code, status = 0;

	if (!tenant_command_begin(&command, definitions, argc, argv, 1, &code))
		return code;
	if (fetch(&command, key, &text, &err) < 0)
		return command_fail(command.name, &err);
	if (!string_empty(into))
		status = merge(&command, &text, into, &err);
	else if (!string_empty(to))
		status = file_write_atomic(to, text.data, text.length, 0600, &err);
	else
		(void)fwrite(text.data, 1, text.length, stdout);
	return status < 0 ? command_fail(command.name, &err) : EXIT_CODE_OK;
}
