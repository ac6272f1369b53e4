/* SPDX-License-Identifier: Apache-2.0 */
#include "local/datastore_auth.h"

#include <string.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "io/process.h"

enum { CALL_TIMEOUT_MS = 20000, OUTPUT_MAX = 1024 * 1024 };

static int run_etcdctl(const struct datastore_auth_options *options, const char *const words[4], struct buffer *output, struct error *err)
{
	FREE_CLEANUP char *endpoint = string_printf("--endpoints=%s", options->endpoint);
	FREE_CLEANUP char *authority = string_printf("--cacert=%s/datastore-ca.crt", options->pki);
	FREE_CLEANUP char *certificate = string_printf("--cert=%s/datastore-root.crt", options->pki);
	FREE_CLEANUP char *key = string_printf("--key=%s/datastore-root.key", options->pki);
	const char *arguments[] = { options->etcdctl, endpoint, authority, certificate, key, "--command-timeout=10s",
		                    words[0],         words[1], words[2],  words[3],    NULL };
	BUFFER_CLEANUP struct buffer complaints = { .limit = OUTPUT_MAX };
	output->limit = OUTPUT_MAX;
	struct process_options run = {
		.arguments = arguments, .output = output, .error_output = &complaints, .timeout_ms = CALL_TIMEOUT_MS
	};
	if (process_run(&run, options->cancel, NULL, err) == 0)
		return 0;
	/* The whole complaint: the short form of the error may have cut the part that tells "exists" from other failures. */
	if (complaints.data && strstr(complaints.data, "already exists"))
		return error_set(err, ERROR_EXISTS, "already there");
	return -1;
}

int datastore_auth_ensure(const struct datastore_auth_options *options, struct error *err)
{
	static const char *const steps[][4] = {
		{ "user", "add", "root", "--no-password" },
		{ "role", "add", "root", NULL },
		{ "user", "grant-role", "root", "root" },
		{ "auth", "enable", NULL, NULL },
	};
	static const char *const status[4] = { "auth", "status", NULL, NULL };
	BUFFER_CLEANUP struct buffer output = { 0 };
	if (run_etcdctl(options, status, &output, err) < 0)
		return error_wrap(err, "tenants' store");
	if (output.data && strstr(output.data, "Authentication Status: true"))
		return 0;
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
		BUFFER_CLEANUP struct buffer ignored = { 0 };
		if (run_etcdctl(options, steps[i], &ignored, err) < 0 && err->class != ERROR_EXISTS)
			return error_wrap(err, "tenants' store: %s %s", steps[i][0], steps[i][1]);
	}
	return 0;
}
