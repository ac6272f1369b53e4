/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/cluster_guard.h"

#include <string.h>

#include "api/names.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "controllers/tenant_digest.h"
#include "io/file.h"
#include "kube/cache.h"
#include "kube/client.h"

enum { AUTHORITIES_MAXIMUM = 256 * 1024 };

static bool is_served(const struct manager_options *options)
{
	return !string_empty(options->webhook_address) && !string_equal(options->webhook_address, "0");
}

static int read_folder(const struct manager_options *options, struct buffer *pem, struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s/ca.crt", options->webhook_certificates);

	if (string_empty(options->webhook_certificates) || file_read(path, AUTHORITIES_MAXIMUM, pem, err) == 0)
		return 0;
	if (err->class != ERROR_NOT_FOUND)
		return -1;
	error_clear(err);
	return 0;
}

static int read_secret(const struct manager_context *context, struct buffer *pem, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *secret =
		kube_client_get(context->client, &kube_resource_secret, context->options->namespace_name, WEBHOOK_SECRET, cancel, err);
	const json_t *value = json_object_get(json_at(secret, "data"), KEY_CA_CERTIFICATE);

	if (!secret && err->class != ERROR_NOT_FOUND)
		return error_wrap(err, "Secret %s", WEBHOOK_SECRET);
	error_clear(err);
	if (!json_is_string(value))
		return 0;
	return base64_decode(json_string_value(value), json_string_length(value), pem, err);
}

/* While a mounted certificate is being replaced the Secret is ahead of the folder: both are trusted. */
static void join(struct buffer *pem, const struct buffer *more)
{
	if (more->length == 0 || (pem->length > 0 && strstr(pem->data, more->data)))
		return;
	if (pem->length > 0 && pem->data[pem->length - 1] != '\n')
		buffer_append_char(pem, '\n');
	buffer_append(pem, more->data, more->length);
}

int cluster_guard_read(const struct manager_context *context, struct cluster_guard *guard, struct cancel *cancel, struct error *err)
{
	const struct manager_options *options = context->options;
	BUFFER_CLEANUP struct buffer folder = { 0 }, secret = { 0 }, text = { 0 };

	*guard = (struct cluster_guard){ 0 };
	if (!is_served(options))
		return 0;
	if (read_folder(options, &folder, err) < 0 || read_secret(context, &secret, cancel, err) < 0)
		return -1;
	join(&folder, &secret);
	guard->url = string_empty(options->webhook_url) ? string_printf("https://%s.%s.svc:443" ADMISSION_PATH_WRITE_PERMISSION,
	                                                                options->webhook_service, options->namespace_name)
	                                                : string_printf("%s" ADMISSION_PATH_WRITE_PERMISSION, options->webhook_url);
	if (folder.length == 0)
		return 0;
	base64_encode(folder.data, folder.length, &text);
	guard->authorities = buffer_take(&text);
	return 0;
}

void cluster_guard_free(struct cluster_guard *guard)
{
	free(guard->url);
	free(guard->authorities);
	*guard = (struct cluster_guard){ 0 };
}

bool cluster_guard_is_secret(const struct manager_context *context, const char *key)
{
	const char *namespace_name = context->options->namespace_name;
	size_t length = strlen(namespace_name);

	return strncmp(key, namespace_name, length) == 0 && string_equal(key + length, "/" WEBHOOK_SECRET);
}

void cluster_guard_digest(const struct manager_context *context, struct string_list *lines)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get(context->references, context->options->namespace_name, WEBHOOK_SECRET);

	tenant_digest_version(lines, "serving certificate", WEBHOOK_SECRET, entry ? entry->uid : "", entry ? entry->resource_version : "");
}
