/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets as decoded maps, and what is common to all credential steps. */
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/secret.h"
#include "controlplane/pass.h"

const struct credential_kind credential_kinds[CREDENTIAL_COUNT] = {
	[CREDENTIAL_CA] = { "ca", SUFFIX_CA, NULL, "certificates.ca", "Opaque", true },
	[CREDENTIAL_FRONT_PROXY_CA] = { "front-proxy-ca-certificate", SUFFIX_FRONT_PROXY_CA, NULL, "certificates.frontProxyCA", "Opaque",
	                                true },
	[CREDENTIAL_SERVICE_ACCOUNT] = { "sa-certificate", SUFFIX_SERVICE_ACCOUNT, NULL, "certificates.sa", "Opaque", true },
	[CREDENTIAL_API_SERVER] = { "api-server-certificate", SUFFIX_API_SERVER_CERTIFICATE, LABEL_CERTIFICATE_LIFECYCLE_X509,
	                            "certificates.apiServer", "Opaque", true },
	[CREDENTIAL_KUBELET_CLIENT] = { "api-server-kubelet-client-certificate", SUFFIX_KUBELET_CLIENT_CERTIFICATE,
	                                LABEL_CERTIFICATE_LIFECYCLE_X509, "certificates.apiServerKubeletClient", "Opaque", true },
	[CREDENTIAL_FRONT_PROXY_CLIENT] = { "front-proxy-client-certificate", SUFFIX_FRONT_PROXY_CLIENT_CERTIFICATE,
	                                    LABEL_CERTIFICATE_LIFECYCLE_X509, "certificates.frontProxyClient", "Opaque", true },
	[CREDENTIAL_ADMIN_KUBECONFIG] = { "admin-kubeconfig", SUFFIX_ADMIN_KUBECONFIG, LABEL_CERTIFICATE_LIFECYCLE_KUBECONFIG,
	                                  "kubeconfig.admin", "Opaque", true },
	[CREDENTIAL_CONTROLLER_MANAGER_KUBECONFIG] = { "controller-manager-kubeconfig", SUFFIX_CONTROLLER_MANAGER_KUBECONFIG,
	                                               LABEL_CERTIFICATE_LIFECYCLE_KUBECONFIG, "kubeconfig.controllerManager", "Opaque",
	                                               true },
	[CREDENTIAL_SCHEDULER_KUBECONFIG] = { "scheduler-kubeconfig", SUFFIX_SCHEDULER_KUBECONFIG, LABEL_CERTIFICATE_LIFECYCLE_KUBECONFIG,
	                                      "kubeconfig.scheduler", "Opaque", true },
	[CREDENTIAL_DATA_STORE_CONFIG] = { "datastore-config", SUFFIX_DATA_STORE_CONFIG, NULL, "storage.config", "Opaque", false },
	[CREDENTIAL_DATA_STORE_CERTIFICATE] = { "datastore-certificate", SUFFIX_DATA_STORE_CERTIFICATE, LABEL_CERTIFICATE_LIFECYCLE_X509,
	                                        "storage.certificate", "Opaque", true },
	[CREDENTIAL_KONNECTIVITY_CERTIFICATE] = { "konnectivity-certificate", SUFFIX_KONNECTIVITY_CERTIFICATE,
	                                          LABEL_CERTIFICATE_LIFECYCLE_X509, "addons.konnectivity.certificate", "kubernetes.io/tls",
	                                          true },
	[CREDENTIAL_KONNECTIVITY_KUBECONFIG] = { "konnectivity-kubeconfig", SUFFIX_KONNECTIVITY_KUBECONFIG,
	                                         LABEL_CERTIFICATE_LIFECYCLE_KUBECONFIG, "addons.konnectivity.kubeconfig", "Opaque", true },
};

struct zeroing {
	char *bytes;
	size_t length;
};

static void zero(void *argument)
{
	struct zeroing *zeroing = argument;

	secret_zero(zeroing->bytes, zeroing->length);
}

char *pass_secret_copy(struct pass *pass, const char *bytes, size_t length)
{
	struct zeroing *zeroing = arena_alloc(pass->arena, sizeof(*zeroing));

	zeroing->bytes = arena_alloc(pass->arena, length + 1);
	zeroing->length = length;
	if (length > 0)
		memcpy(zeroing->bytes, bytes, length);
	arena_defer(pass->arena, zero, zeroing);
	return zeroing->bytes;
}

const json_t *pass_secret(const struct pass *pass, const char *name)
{
	for (size_t i = 0; i < pass->input->secret_count; i++)
		if (string_equal(json_string_at(pass->input->secrets[i], "metadata.name"), name))
			return pass->input->secrets[i];
	return NULL;
}

void secret_data_set(struct pass *pass, struct secret_data *data, const char *key, const char *value, size_t length)
{
	struct secret_entry entry = { .key = arena_strdup(pass->arena, key),
		                      .value = pass_secret_copy(pass, value, length),
		                      .length = length };

	for (size_t i = 0; i < data->count; i++)
		if (strcmp(data->entries[i].key, key) == 0) {
			data->entries[i] = entry;
			return;
		}
	if (data->count == data->capacity) {
		size_t capacity = data->capacity ? data->capacity * 2 : 8;
		struct secret_entry *entries = arena_alloc(pass->arena, capacity * sizeof(*entries));

		if (data->count)
			memcpy(entries, data->entries, data->count * sizeof(*entries));
		data->entries = entries;
		data->capacity = capacity;
	}
	data->entries[data->count++] = entry;
}

/* Values that are no base64 cannot come from an API server; they read as absent. */
struct secret_data secret_data_read(struct pass *pass, const json_t *secret)
{
	struct secret_data data = { 0 };
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(secret, "data"), key, value) {
		struct buffer decoded BUFFER_SECRET_CLEANUP = { 0 };
		struct error ignored;

		if (json_is_string(value) && base64_decode(json_string_value(value), json_string_length(value), &decoded, &ignored) == 0)
			secret_data_set(pass, &data, key, decoded.data ? decoded.data : "", decoded.length);
	}
	return data;
}

const struct secret_entry *secret_data_get(const struct secret_data *data, const char *key)
{
	for (size_t i = 0; i < data->count; i++)
		if (strcmp(data->entries[i].key, key) == 0)
			return &data->entries[i];
	return NULL;
}

struct pem_text secret_data_pem(const struct secret_data *data, const char *key)
{
	const struct secret_entry *entry = secret_data_get(data, key);

	return entry ? pem_text_bytes(entry->value, entry->length) : pem_text_bytes("", 0);
}

void secret_data_digest(const struct pass *pass, const struct secret_data *data, char hex[DIGEST_HEX_SIZE])
{
	struct digest_entry *entries = arena_alloc(pass->arena, (data->count + 1) * sizeof(*entries));

	for (size_t i = 0; i < data->count; i++)
		entries[i] = (struct digest_entry){ data->entries[i].key, data->entries[i].value, data->entries[i].length };
	digest_entries_hex(entries, data->count, hex);
}

bool secret_rotation_requested(const json_t *secret)
{
	const char *value = json_string_value(json_object_get(json_at(secret, "metadata.annotations"), ANNOTATION_ROTATE));

	return value && *value == '\0';
}

const json_t *credential_begin(struct pass *pass, enum credential which, struct secret_data *data)
{
	struct credential_result *result = &pass->state->credentials[which];
	const json_t *live;

	result->name = names_object(pass->arena, pass->input->tenant->name, credential_kinds[which].suffix);
	live = pass_secret(pass, result->name);
	*data = secret_data_read(pass, live);
	return live;
}

static void put_value(json_t *object, const struct secret_entry *entry)
{
	char *text SECRET_CLEANUP = base64_encode_new(entry->value, entry->length);

	json_object_set_new(object, entry->key, json_string_new(text));
}

/* What the Secret says of rotation now: ours to keep once it was stamped. */
static const char *rotation_mark(struct pass *pass, const json_t *live, bool rotated)
{
	const char *value = json_string_value(json_object_get(json_at(live, "metadata.annotations"), ANNOTATION_ROTATE));
	char text[32];

	if (!rotated)
		return string_empty(value) ? NULL : value;
	clock_format_rfc3339(pass->input->now, text, sizeof(text));
	return arena_strdup(pass->arena, text);
}

void credential_finish(struct pass *pass, enum credential which, const struct secret_data *data, const char *const *keys,
                       const char *checksum, bool changed, bool rotated)
{
	const struct credential_kind *kind = &credential_kinds[which];
	struct credential_result *result = &pass->state->credentials[which];
	const json_t *live = pass_secret(pass, result->name);
	const char *mark = rotation_mark(pass, live, rotated);
	json_t *object = pass_new_object(pass, "v1", "Secret", result->name, kind->step), *values;

	result->data = *data;
	secret_data_digest(pass, data, result->data_digest);
	memcpy(result->checksum, checksum ? checksum : result->data_digest, strlen(checksum ? checksum : result->data_digest) + 1);
	result->changed = changed;
	result->ready = true;

	if (kind->lifecycle)
		json_object_set_new(json_at(object, "metadata.labels"), LABEL_CERTIFICATE_LIFECYCLE, json_string_new(kind->lifecycle));
	json_put(object, "metadata.annotations", json_build("{s:s}", ANNOTATION_CHECKSUM, result->checksum));
	if (mark)
		json_object_set_new(json_at(object, "metadata.annotations"), ANNOTATION_ROTATE, json_string_new(mark));
	json_put_string(object, "type", json_string_or(live, "type", kind->type)); /* the type of an existing Secret cannot change */
	values = json_ensure_object(object, "data");
	for (; *keys; keys++)
		if (secret_data_get(data, *keys))
			put_value(values, secret_data_get(data, *keys));
	pass_want(pass, kind->step, OBJECT_SECRET, result->name, object, live);
	pass_record(pass, STAGE_CREDENTIALS, kind->status_path,
	            json_build("{s:s,s:s}", "secretName", result->name, "checksum", result->checksum), kind->stamp);
}

struct pem_text credential_authority(const struct pass *pass, enum credential which)
{
	return secret_data_pem(&pass->state->credentials[which].data,
	                       which == CREDENTIAL_CA ? KEY_CA_CERTIFICATE : KEY_FRONT_PROXY_CA_CERTIFICATE);
}

struct pem_text credential_authority_key(const struct pass *pass, enum credential which)
{
	return secret_data_pem(&pass->state->credentials[which].data,
	                       which == CREDENTIAL_CA ? KEY_CA_PRIVATE_KEY : KEY_FRONT_PROXY_CA_PRIVATE_KEY);
}

int pass_generate_key(struct pass *pass, bool service_account, struct key **key, struct error *err)
{
	const struct step_options *options = pass->input->options;

	if (!options->generate_key)
		return key_generate(service_account ? KEY_RSA_2048 : KEY_ECDSA_P256, key, err);
	*key = options->generate_key(options->generate_key_context, service_account, err);
	return *key ? 0 : -1;
}

/* Several leaves of one pass have the same signer; decoding it costs more than signing. */
struct open_authority {
	struct pem_text certificate, key;
	struct certificate_authority *authority;
	struct open_authority *next;
};

static bool same_text(struct pem_text a, struct pem_text b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

static void close_authority(void *argument)
{
	certificate_authority_free(argument);
}

static int open_authority(struct pass *pass, struct pem_text certificate, struct pem_text key, struct certificate_authority **authority,
                          struct error *err)
{
	struct open_authority *open;

	for (open = pass->state->authorities; open; open = open->next) {
		if (same_text(open->certificate, certificate) && same_text(open->key, key)) {
			*authority = open->authority;
			return 0;
		}
	}
	if (certificate_authority_open(certificate, key, authority, err) != 0)
		return -1;
	arena_defer(pass->arena, close_authority, *authority);
	open = arena_alloc(pass->arena, sizeof(*open));
	*open = (struct open_authority){
		.certificate = certificate, .key = key, .authority = *authority, .next = pass->state->authorities
	};
	pass->state->authorities = open;
	return 0;
}

int credential_issue(struct pass *pass, struct pem_text authority_text, struct pem_text authority_key,
                     const struct certificate_request *request, struct secret_data *data, const char *certificate_key,
                     const char *private_key, struct error *err)
{
	struct certificate_authority *authority = NULL;
	struct buffer certificate BUFFER_CLEANUP = { 0 };
	struct buffer key_text BUFFER_SECRET_CLEANUP = { 0 };
	struct key *key KEY_CLEANUP = NULL;

	if (open_authority(pass, authority_text, authority_key, &authority, err) != 0 || pass_generate_key(pass, false, &key, err) != 0 ||
	    certificate_issue(authority, request, key, &certificate, err) != 0 || key_write_private(key, &key_text, err) != 0)
		return -1;
	secret_data_set(pass, data, certificate_key, certificate.data, certificate.length);
	secret_data_set(pass, data, private_key, key_text.data, key_text.length);
	return 0;
}
