/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cmd/local.h"
#include "io/file.h"
#include "local/environment.h"
#include "local/tenant_kubeconfig.h"

static const char about[] = "Usage: kamaji local kubeconfig [TENANT] [OPTIONS]\n\n"
			    "Prints the kubeconfig of the admin cluster, or of a tenant (NAME or NAMESPACE/NAME). It holds a private key.";
static const char examples[] = "Examples:\n"
			       "  kamaji local kubeconfig --path                     where the admin cluster's is\n"
			       "  kamaji local kubeconfig default/sample --to kc     writes the tenant's into the file kc (0600)\n\n"
			       "Exit codes: 0 done, 1 failed, 2 wrong command line.\n";

static int deliver(const struct buffer *text, const char *to, const char *path, bool path_only, struct error *err)
{
	if (to)
		return file_write_atomic(to, text->data, text->length, 0600, err);
	if (path_only)
		printf("%s\n", path);
	else
		fwrite(text->data, 1, text->length, stdout);
	return 0;
}

int cmd_local_kubeconfig(int argc, char **argv)
{
	const char *name = LOCAL_DEFAULT_NAME, *root = LOCAL_STATE_ROOT, *to = NULL;
	bool path_only = false;
	const struct option_definition definitions[] = {
		{ .name = "name", .type = OPTION_STRING, .target = &name, .help = "name of the environment" },
		{ .name = "state-dir", .type = OPTION_STRING, .target = &root, .help = "folder that holds environments" },
		{ .name = "to", .type = OPTION_STRING, .target = &to, .help = "write it to this file instead of printing it" },
		{ .name = "path", .type = OPTION_BOOLEAN, .target = &path_only, .help = "print where it is kept instead of what is in it" },
		{ 0 },
	};
	STRING_LIST_CLEANUP struct string_list positional = { 0 };
	ENVIRONMENT_CLEANUP struct local_environment environment = { .lock = -1 };
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	struct error err;
	int code;
	if (!local_parse(definitions, argc, argv, &positional, about, examples, &code))
		return code;
	if (positional.count > 1) {
		fprintf(stderr, "kamaji local kubeconfig: more than one tenant is named\n");
		return EXIT_CODE_USAGE;
	}
	if (environment_open(root, name, false, &environment, &err) < 0)
		return local_fail("kubeconfig", &err);
	FREE_CLEANUP char *path = environment_path(&environment, "kubeconfig");
	if (!file_exists(path)) {
		error_set(&err, ERROR_NOT_FOUND, "there is no environment '%s' in %s; 'kamaji local up' makes one", name, root);
		return local_fail("kubeconfig", &err);
	}
	FREE_CLEANUP char *tenant_path = NULL;
	int result = positional.count ? tenant_kubeconfig_fetch(&environment, positional.items[0], &text, &tenant_path, &err)
	                              : file_read(path, LOCAL_STATE_BYTES_MAX, &text, &err);
	if (result < 0 || deliver(&text, to, tenant_path ? tenant_path : path, path_only, &err) < 0)
		return local_fail("kubeconfig", &err);
	return EXIT_CODE_OK;
}
