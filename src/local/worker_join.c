/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"
#include "io/process.h"
#include "local/worker_task.h"

#define TOKEN_LIFE "15m"

enum { TOKEN_CALL_MS = 60000, COMMAND_BYTES_MAX = 16 * 1024, JOIN_OUTPUT_MAX = 1024 * 1024, FIRST_V1BETA4 = 31 };

/* The word behind an option; free(). */
static char *word_after(const char *command, const char *option)
{
	const char *at = strstr(command, option);
	if (!at)
		return NULL;
	at += strlen(option);
	return string_ndup(at, strcspn(at, " \n\t"));
}

int worker_join_parse(const char *command, char **ret_token, char **ret_hash, struct error *err)
{
	SECRET_CLEANUP char *token = word_after(command, "--token ");
	FREE_CLEANUP char *hash = word_after(command, "--discovery-token-ca-cert-hash ");
	if (string_empty(token) || !hash || !string_has_prefix(hash, "sha256:"))
		return error_set(err, ERROR_CORRUPT, "'kubeadm token create' did not print a join command with a token and a digest");
	*ret_token = token;
	*ret_hash = hash;
	token = hash = NULL;
	return 0;
}

/* "v1.36.3" -> 36; 0 when it is no version. */
static int minor_of(const char *version)
{
	static const char prefix[] = "v1.";
	struct error ignored;
	int64_t minor;
	if (!string_has_prefix(version, prefix))
		return 0;
	version += strlen(prefix);
	FREE_CLEANUP char *digits = string_ndup(version, strspn(version, "0123456789"));
	return string_to_integer(digits, 0, 1000, "version", &minor, &ignored) < 0 ? 0 : (int)minor;
}

char *worker_join_config(const char *kubeadm_version, const char *endpoint, const char *token, const char *hash, const char *node)
{
	bool current = minor_of(kubeadm_version) >= FIRST_V1BETA4;
	JSON_CLEANUP json_t *config = json_build(
		"{s:s, s:s, s:{s:{s:s, s:s, s:[s]}}, s:{s:s, s:s}, s:{s:s}}", "apiVersion",
		current ? "kubeadm.k8s.io/v1beta4" : "kubeadm.k8s.io/v1beta3", "kind", "JoinConfiguration", "discovery", "bootstrapToken",
		"apiServerEndpoint", endpoint, "token", token, "caCertHashes", hash, "nodeRegistration", "name", node, "criSocket",
		"unix:///run/containerd/containerd.sock", "patches", "directory", "/etc/kubernetes/patches");
	if (current)
		json_put(config, "timeouts",
		         json_build("{s:s, s:s, s:s}", "discovery", "1m0s", "kubeletHealthCheck", "2m0s", "tlsBootstrap", "2m0s"));
	return json_text(config);
}

static int create_token(const struct worker_task *task, char **ret_token, char **ret_hash, struct error *err)
{
	const char *const arguments[] = { task->kubeadm,
		                          "token",
		                          "create",
		                          "--kubeconfig",
		                          task->tenant_kubeconfig,
		                          "--ttl",
		                          TOKEN_LIFE,
		                          "--description",
		                          "made by kamaji local for one worker",
		                          "--print-join-command",
		                          NULL };
	BUFFER_SECRET_CLEANUP struct buffer output = { .limit = COMMAND_BYTES_MAX };
	BUFFER_CLEANUP struct buffer complaints = { .limit = COMMAND_BYTES_MAX };
	const struct process_options options = {
		.arguments = arguments, .output = &output, .error_output = &complaints, .timeout_ms = TOKEN_CALL_MS
	};
	if (process_run(&options, task->cancel, NULL, err) < 0)
		return error_wrap(err, "bootstrap token");
	return worker_join_parse(output.data ? output.data : "", ret_token, ret_hash, err);
}

/* The token has done its work; it would end by itself a little later. */
static void delete_token(const struct worker_task *task, const char *token)
{
	struct error ignored;
	FREE_CLEANUP char *secret = string_printf("bootstrap-token-%.*s", (int)strcspn(token, "."), token);
	(void)cluster_run(&task->tenant, NULL, &ignored, "delete", "secret", "-n", "kube-system", secret, "--ignore-not-found", NULL);
}

/* What kubeadm said last, without the token. */
static int explain(const struct buffer *output, struct error *err)
{
	const char *found = output->data ? strstr(output->data, "error execution phase") : NULL;
	if (found)
		return error_set(err, err->class, "kubeadm join: %.*s", (int)strcspn(found, "\n"), found);
	return error_wrap(err, "kubeadm join");
}

int worker_join(struct worker_task *task, struct error *err)
{
	/* "preflight" asks for systemd and kernel modules of a whole machine. The node's init starts the kubelet as soon as its files are there. */
	const char *const arguments[] = { task->kubeadm, "join", "--config", "/dev/stdin", "--skip-phases=preflight", NULL };
	SECRET_CLEANUP char *token = NULL;
	FREE_CLEANUP char *hash = NULL;
	if (create_token(task, &token, &hash, err) < 0)
		return -1;
	const char *endpoint = string_empty(task->worker->endpoint) ? task->tenant_endpoint : task->worker->endpoint;
	SECRET_CLEANUP char *config = worker_join_config(task->worker->version, endpoint, token, hash, task->worker->name);
	BUFFER_CLEANUP struct buffer output = { .limit = JOIN_OUTPUT_MAX };
	int result = worker_node_run(task, arguments, config, &output, err);
	struct error failure = *err;
	delete_token(task, token);
	*err = failure;
	return result < 0 ? explain(&output, err) : 0;
}
