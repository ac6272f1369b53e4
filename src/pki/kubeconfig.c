/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/kubeconfig.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/strings.h"
#include "base/yaml.h"

/* A name as YAML: quoted only where a plain word would be read as something else ("true", "1e3"). */
static void write_scalar(struct buffer *out, const char *text)
{
	json_t *value JSON_CLEANUP = json_string_new(text);
	char *yaml FREE_CLEANUP = yaml_text(value, false);
	size_t length = strlen(yaml);

	while (length > 0 && yaml[length - 1] == '\n')
		length--;
	(void)buffer_append(out, yaml, length);
}

static void write_line(struct buffer *out, const char *lead, const char *text)
{
	(void)buffer_append_string(out, lead);
	write_scalar(out, text);
	(void)buffer_append_char(out, '\n');
}

static void write_data(struct buffer *out, const char *lead, struct pem_text pem)
{
	if (pem.length == 0)
		return;
	(void)buffer_append_string(out, lead);
	base64_encode(pem.bytes, pem.length, out);
	(void)buffer_append_char(out, '\n');
}

void kubeconfig_write(const struct kubeconfig_content *content, struct buffer *out)
{
	char *context FREE_CLEANUP = string_printf("%s@%s", content->user, content->cluster);
	size_t names = strlen(content->server) + 6 * (strlen(content->cluster) + strlen(content->user));

	/* Room for all at once: growing would leave copies of the key behind. */
	(void)buffer_reserve(out, 2 * (content->authority.length + content->certificate.length + content->key.length) + 2 * names + 1024);
	(void)buffer_append_string(out, "apiVersion: v1\nclusters:\n- cluster:\n");
	write_data(out, "    certificate-authority-data: ", content->authority);
	write_line(out, "    server: ", content->server);
	write_line(out, "  name: ", content->cluster);
	write_line(out, "contexts:\n- context:\n    cluster: ", content->cluster);
	write_line(out, "    user: ", content->user);
	write_line(out, "  name: ", context);
	write_line(out, "current-context: ", context);
	write_line(out, "kind: Config\nusers:\n- name: ", content->user);
	if (content->certificate.length == 0 && content->key.length == 0) {
		(void)buffer_append_string(out, "  user: {}\n");
		return;
	}
	(void)buffer_append_string(out, "  user:\n");
	write_data(out, "    client-certificate-data: ", content->certificate);
	write_data(out, "    client-key-data: ", content->key);
}

/* The element of a list of named things: its `member` object. */
static const json_t *find_named(const json_t *root, const char *list, const char *name, const char *member, struct error *err)
{
	const json_t *items = json_object_get(root, list), *found;
	const json_t *item;
	size_t index;

	json_array_foreach(items, index, item) {
		if (!string_equal(json_string_value(json_object_get(item, "name")), name))
			continue;
		found = json_object_get(item, member);
		if (json_is_object(found))
			return found;
		(void)error_set(err, ERROR_CORRUPT, "kubeconfig: %s \"%.100s\" has no member %s", list, name, member);
		return NULL;
	}
	(void)error_set(err, ERROR_CORRUPT, "kubeconfig: no entry \"%.100s\" in %s", name, list);
	return NULL;
}

static int read_data(const json_t *object, const char *member, struct buffer *out, struct error *err)
{
	const json_t *value = json_object_get(object, member);
	struct error cause = { 0 };

	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return error_set(err, ERROR_CORRUPT, "kubeconfig: %s is not a string", member);
	(void)buffer_reserve(out, json_string_length(value));
	if (base64_decode(json_string_value(value), json_string_length(value), out, &cause))
		return error_set(err, ERROR_CORRUPT, "kubeconfig: %s is not valid base64", member);
	return 0;
}

static int read_name(const json_t *object, const char *member, char **text, struct error *err)
{
	const char *value = json_string_value(json_object_get(object, member));

	if (string_empty(value))
		return error_set(err, ERROR_CORRUPT, "kubeconfig: %s is missing", member);
	*text = string_dup(value);
	return 0;
}

static int read_content(const json_t *root, struct kubeconfig_credentials *found, struct error *err)
{
	const json_t *context, *cluster, *user, *server;

	if (!json_is_object(root))
		return error_set(err, ERROR_CORRUPT, "kubeconfig: not an object");
	if (!string_equal(json_string_value(json_object_get(root, "kind")), "Config"))
		return error_set(err, ERROR_CORRUPT, "kubeconfig: kind is not Config");
	if (read_name(root, "current-context", &found->context, err))
		return -1;
	context = find_named(root, "contexts", found->context, "context", err);
	if (context == NULL || read_name(context, "cluster", &found->cluster, err) || read_name(context, "user", &found->user, err))
		return -1;
	cluster = find_named(root, "clusters", found->cluster, "cluster", err);
	if (cluster == NULL)
		return -1;
	user = find_named(root, "users", found->user, "user", err);
	if (user == NULL)
		return -1;
	server = json_object_get(cluster, "server");
	found->server = string_dup(json_is_string(server) ? json_string_value(server) : "");
	return read_data(cluster, "certificate-authority-data", &found->authority, err) ||
	                       read_data(user, "client-certificate-data", &found->certificate, err) ||
	                       read_data(user, "client-key-data", &found->key, err)
	               ? -1
	               : 0;
}

/* The parsed tree is thrown away next; its strings (the key among them) must not stay readable in freed memory. */
static void wipe(json_t *value)
{
	const char *name;
	json_t *child;
	size_t index;

	if (json_is_string(value)) {
		secret_zero((void *)(uintptr_t)json_string_value(value), json_string_length(value));
	} else if (json_is_array(value)) {
		json_array_foreach(value, index, child)
			wipe(child);
	} else if (json_is_object(value)) {
		json_object_foreach(value, name, child)
			wipe(child);
	}
}

int kubeconfig_read(struct pem_text text, struct kubeconfig_credentials *credentials, struct error *err)
{
	struct kubeconfig_credentials found = { 0 };
	json_t *root JSON_CLEANUP = NULL;
	int result;

	if (text.length == 0 || text.bytes == NULL)
		return error_set(err, ERROR_CORRUPT, "kubeconfig: empty");
	if (text.length > KUBECONFIG_MAXIMUM_BYTES)
		return error_set(err, ERROR_EXHAUSTED, "kubeconfig: %zu bytes; at most %d are read", text.length, KUBECONFIG_MAXIMUM_BYTES);
	root = yaml_parse(text.bytes, text.length, err);
	if (root == NULL) {
		err->class = ERROR_CORRUPT;
		return error_wrap(err, "kubeconfig");
	}
	result = read_content(root, &found, err);
	wipe(root);
	if (result) {
		kubeconfig_credentials_free(&found);
		return -1;
	}
	*credentials = found;
	return 0;
}

static const char certificate_member[] = "client-certificate-data: ";

/* What stands behind the only member of that name; length 0 when there are none or several, or it is not plain base64. */
static struct pem_text only_certificate(struct pem_text text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	size_t name = sizeof(certificate_member) - 1, length = 0;
	const char *end = text.bytes + text.length, *found = memmem(text.bytes, text.length, certificate_member, name);

	if (found == NULL || memmem(found + name, (size_t)(end - found) - name, certificate_member, name) != NULL)
		return (struct pem_text){ 0 };
	found += name;
	while (found + length < end && found[length] != '\0' && strchr(digits, found[length]) != NULL)
		length++;
	return found + length < end && found[length] == '\n' ? pem_text_bytes(found, length) : (struct pem_text){ 0 };
}

int kubeconfig_read_certificate(struct pem_text text, struct buffer *certificate, struct error *err)
{
	struct kubeconfig_credentials credentials KUBECONFIG_CREDENTIALS_CLEANUP = { 0 };
	struct pem_text encoded = { 0 };

	if (text.length > 0 && text.length <= KUBECONFIG_MAXIMUM_BYTES)
		encoded = only_certificate(text);
	if (encoded.length > 0 && base64_decode(encoded.bytes, encoded.length, certificate, err) == 0)
		return 0;
	if (kubeconfig_read(text, &credentials, err) != 0)
		return -1;
	if (credentials.certificate.length == 0)
		return error_set(err, ERROR_CORRUPT, "kubeconfig: no client certificate");
	(void)buffer_append(certificate, credentials.certificate.data, credentials.certificate.length);
	return 0;
}

void kubeconfig_credentials_free(struct kubeconfig_credentials *credentials)
{
	free(credentials->server);
	free(credentials->cluster);
	free(credentials->user);
	free(credentials->context);
	buffer_free(&credentials->authority);
	buffer_free(&credentials->certificate);
	buffer_free_secret(&credentials->key);
	*credentials = (struct kubeconfig_credentials){ 0 };
}
