/* SPDX-License-Identifier: Apache-2.0 */
/* kubeconfig: merging of files, choice of the context, credentials. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "io/file.h"
#include "kube/config_internal.h"
#include "kube/json_bytes.h"

enum { MAXIMUM_FILES = 32 };

/* The files of a KUBECONFIG list in order; folder NULL: from memory, files may not be named. */
struct document {
	json_t *root;
	char *folder;
};

struct documents {
	struct document items[MAXIMUM_FILES];
	size_t count;
};

static void documents_free(struct documents *documents)
{
	for (size_t i = 0; i < documents->count; i++) {
		kube_json_scrub(documents->items[i].root);
		json_decref(documents->items[i].root);
		free(documents->items[i].folder);
	}
}
#define DOCUMENTS_CLEANUP __attribute__((cleanup(documents_free)))

/* Where a named thing was found: its body and the file it came from. */
struct found {
	const json_t *body;
	const struct document *document;
};

static int check_document(const json_t *root, const char *source, struct error *err)
{
	static const char *const lists[] = { "clusters", "contexts", "users" };

	if (!json_is_object(root))
		return error_set(err, ERROR_INVALID, "%s is not a kubeconfig: a mapping is expected", source);
	if (json_string_at(root, "kind") != NULL && !string_equal(json_string_at(root, "kind"), "Config"))
		return error_set(err, ERROR_INVALID, "%s: kind is \"%s\", a kubeconfig has \"Config\"", source,
		                 json_string_at(root, "kind"));
	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
		const json_t *list = json_object_get(root, lists[i]);

		if (list != NULL && !json_is_null(list) && !json_is_array(list))
			return error_set(err, ERROR_INVALID, "%s: %s must be a list", source, lists[i]);
	}
	return 0;
}

static int add_document(struct documents *documents, const char *bytes, size_t length, const char *source, const char *folder,
                        struct error *err)
{
	json_t *root;

	if (length > KUBE_CONFIG_MAXIMUM_BYTES)
		return error_set(err, ERROR_EXHAUSTED, "%s is longer than %d bytes", source, KUBE_CONFIG_MAXIMUM_BYTES);
	if (documents->count == MAXIMUM_FILES)
		return error_set(err, ERROR_EXHAUSTED, "more than %d kubeconfig files", MAXIMUM_FILES);
	root = yaml_parse(bytes, length, err);
	if (root == NULL)
		return error_wrap(err, "%s", source);
	documents->items[documents->count++] = (struct document){ .root = root, .folder = string_dup(folder) };
	if (json_is_null(root) && folder != NULL)
		return 0; /* an empty file is a config without entries */
	return check_document(root, source, err);
}

static struct found find_named(const struct documents *documents, const char *list, const char *name, const char *member)
{
	for (size_t i = 0; i < documents->count; i++) {
		const json_t *items = json_object_get(documents->items[i].root, list);
		size_t index;
		json_t *item;

		json_array_foreach(items, index, item)
			if (string_equal(json_string_at(item, "name"), name))
				return (struct found){ .body = json_object_get(item, member), .document = &documents->items[i] };
	}
	return (struct found){ 0 };
}

static const char *current_context(const struct documents *documents)
{
	for (size_t i = 0; i < documents->count; i++) {
		const char *name = json_string_at(documents->items[i].root, "current-context");

		if (!string_empty(name))
			return name;
	}
	return NULL;
}

/* Reads FIELD-data (base64) or the file that FIELD names; *text stays NULL when neither is set. */
static int read_credential(const struct found *found, const char *what, const char *field, char **text, struct error *err)
{
	FREE_CLEANUP char *data_field = string_printf("%s-data", field);
	const char *data = json_string_at(found->body, data_field), *path = json_string_at(found->body, field);
	BUFFER_SECRET_CLEANUP struct buffer bytes = { .limit = KUBE_CONFIG_MAXIMUM_BYTES };
	FREE_CLEANUP char *full = NULL;

	if (!string_empty(data)) {
		if (base64_decode(data, strlen(data), &bytes, err) != 0)
			return error_wrap(err, "%s: %s", what, data_field);
	} else if (!string_empty(path)) {
		if (found->document->folder == NULL)
			return error_set(err, ERROR_INVALID, "%s: %s names a file; only %s is allowed here", what, field, data_field);
		full = path[0] == '/' ? string_dup(path) : string_printf("%s/%s", found->document->folder, path);
		if (file_read(full, KUBE_CONFIG_MAXIMUM_BYTES, &bytes, err) != 0)
			return error_wrap(err, "%s: %s", what, field);
	} else
		return 0;
	if (bytes.length == 0 || memchr(bytes.data, '\0', bytes.length) != NULL)
		return error_set(err, ERROR_INVALID, "%s: %s is not PEM text", what, string_empty(data) ? field : data_field);
	*text = string_ndup(bytes.data, bytes.length);
	return 0;
}

static int read_cluster(struct kube_config *config, const struct found *found, const char *what, struct error *err)
{
	const char *server = json_string_at(found->body, "server");

	if (json_boolean_or(found->body, "insecure-skip-tls-verify", false))
		return error_set(
			err, ERROR_INVALID,
			"%s: insecure-skip-tls-verify is refused; give certificate-authority-data (and tls-server-name when names differ)",
			what);
	if (string_empty(server))
		return error_set(err, ERROR_INVALID, "%s: server is missing", what);
	if (kube_config_set_server(config, server, err) != 0)
		return error_wrap(err, "%s", what);
	config->tls_server_name = string_dup(json_string_at(found->body, "tls-server-name"));
	config->proxy_url = string_dup(json_string_at(found->body, "proxy-url"));
	if (config->proxy_url != NULL && !string_has_prefix(config->proxy_url, "http://"))
		return error_set(err, ERROR_INVALID,
		                 "%s: proxy-url must begin with http:// (CONNECT proxies are supported, SOCKS and https:// are not)", what);
	return read_credential(found, what, "certificate-authority", &config->ca_pem, err);
}

static int refuse_user_fields(const json_t *user, const char *what, struct error *err)
{
	static const struct {
		const char *field, *remedy;
	} refused[] = {
		{ "exec", "run the plugin yourself and give a token or client certificate" },
		{ "auth-provider", "give a token or client certificate" },
		{ "username", "API servers no longer take passwords; give a token or client certificate" },
		{ "password", "API servers no longer take passwords; give a token or client certificate" },
		{ "as", "impersonation is not supported; use credentials of that user" },
		{ "as-uid", "impersonation is not supported" },
		{ "as-groups", "impersonation is not supported" },
		{ "as-user-extra", "impersonation is not supported" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		const json_t *value = json_object_get(user, refused[i].field);

		if (value != NULL && !json_is_null(value) && !(json_is_string(value) && json_string_length(value) == 0))
			return error_set(err, ERROR_INVALID, "%s: %s is not supported: %s", what, refused[i].field, refused[i].remedy);
	}
	return 0;
}

static int read_user(struct kube_config *config, const struct found *found, const char *what, struct error *err)
{
	const char *token = json_string_at(found->body, "token"), *token_file = json_string_at(found->body, "tokenFile");

	if (refuse_user_fields(found->body, what, err) != 0 ||
	    read_credential(found, what, "client-certificate", &config->certificate_pem, err) != 0 ||
	    read_credential(found, what, "client-key", &config->key_pem, err) != 0)
		return -1;
	if ((config->certificate_pem == NULL) != (config->key_pem == NULL))
		return error_set(err, ERROR_INVALID, "%s: client-certificate and client-key must be given together; %s is missing", what,
		                 config->key_pem == NULL ? "client-key" : "client-certificate");
	if (!string_empty(token)) {
		if (strpbrk(token, "\r\n") != NULL)
			return error_set(err, ERROR_INVALID, "%s: token holds a line break", what);
		config->token = string_dup(token);
	}
	if (!string_empty(token_file)) {
		if (found->document->folder == NULL)
			return error_set(err, ERROR_INVALID, "%s: tokenFile names a file; only token is allowed here", what);
		config->token_file =
			token_file[0] == '/' ? string_dup(token_file) : string_printf("%s/%s", found->document->folder, token_file);
	}
	return 0;
}

static int resolve(struct kube_config *config, const struct documents *documents, const char *context, struct error *err)
{
	const char *chosen = !string_empty(context) ? context : current_context(documents);
	const char *cluster_name, *user_name;
	struct found found, cluster, user = { 0 };
	FREE_CLEANUP char *cluster_what = NULL, *user_what = NULL;

	if (chosen == NULL)
		return error_set(err, ERROR_INVALID, "%s: current-context is not set; set it or name a context", config->source);
	found = find_named(documents, "contexts", chosen, "context");
	if (!json_is_object(found.body))
		return error_set(err, ERROR_INVALID, "%s: context \"%s\" does not exist", config->source, chosen);
	cluster_name = json_string_or(found.body, "cluster", "");
	user_name = json_string_or(found.body, "user", "");
	config->context = string_dup(chosen);
	config->user = string_dup(user_name);
	config->namespace = string_dup(json_string_or(found.body, "namespace", "default"));
	if (config->namespace[0] == '\0') {
		free(config->namespace);
		config->namespace = string_dup("default");
	}
	cluster = find_named(documents, "clusters", cluster_name, "cluster");
	if (!json_is_object(cluster.body))
		return error_set(err, ERROR_INVALID, "%s: cluster \"%s\" of context \"%s\" does not exist", config->source, cluster_name,
		                 chosen);
	cluster_what = string_printf("%s: cluster \"%s\"", config->source, cluster_name);
	if (read_cluster(config, &cluster, cluster_what, err) != 0)
		return -1;
	if (user_name[0] == '\0')
		return 0;
	user = find_named(documents, "users", user_name, "user");
	if (user.document == NULL)
		return error_set(err, ERROR_INVALID, "%s: user \"%s\" of context \"%s\" does not exist", config->source, user_name, chosen);
	user_what = string_printf("%s: user \"%s\"", config->source, user_name);
	return read_user(config, &user, user_what, err);
}

static struct kube_config *finish(const struct documents *documents, const char *source, const char *context, struct error *err)
{
	struct kube_config *config = calloc(1, sizeof(*config));

	if (config == NULL)
		abort();
	config->source = string_dup(source);
	if (resolve(config, documents, context, err) != 0) {
		kube_config_free(config);
		return NULL;
	}
	return config;
}

struct kube_config *kube_config_from_bytes(const char *bytes, size_t length, const char *source, const char *context, struct error *err)
{
	DOCUMENTS_CLEANUP struct documents documents = { 0 };

	if (add_document(&documents, bytes, length, source, NULL, err) != 0)
		return NULL;
	return finish(&documents, source, context, err);
}

static int add_file(struct documents *documents, const char *path, struct error *err)
{
	BUFFER_SECRET_CLEANUP struct buffer bytes = { 0 };
	const char *slash = strrchr(path, '/');
	FREE_CLEANUP char *folder = slash == NULL ? string_dup(".") : string_ndup(path, slash == path ? 1 : (size_t)(slash - path));

	if (file_read(path, KUBE_CONFIG_MAXIMUM_BYTES, &bytes, err) != 0)
		return -1;
	return add_document(documents, bytes.data != NULL ? bytes.data : "", bytes.length, path, folder, err);
}

struct kube_config *kube_config_from_files(const char *list, const char *context, struct error *err)
{
	DOCUMENTS_CLEANUP struct documents documents = { 0 };
	STRING_LIST_CLEANUP struct string_list paths = { 0 };

	string_list_split(&paths, list, ':');
	for (size_t i = 0; i < paths.count; i++) {
		if (paths.items[i][0] == '\0')
			continue;
		/* kubectl skips what is missing in a list, but a single file must be there. */
		if (paths.count > 1 && !file_exists(paths.items[i]))
			continue;
		if (add_file(&documents, paths.items[i], err) != 0) {
			error_wrap(err, "kubeconfig");
			return NULL;
		}
	}
	if (documents.count == 0) {
		error_set(err, ERROR_NOT_FOUND, "kubeconfig: none of the files in \"%s\" exists", list);
		return NULL;
	}
	return finish(&documents, list, context, err);
}
