/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-datastore-certificate: what the API server, or kine, shows to the data store. Without TLS it is empty, but pods mount it. */
#include <string.h>

#include "controlplane/pass.h"

static void set_text(struct pass *pass, struct secret_data *data, const char *key, const char *text)
{
	secret_data_set(pass, data, key, text, strlen(text));
}

/* A CA that is none, or not its key's, is the data store's fault: say whose. */
static int fail_issue(struct pass *pass, const struct step_data_store *store, struct error *err)
{
	if (err->class == ERROR_INVALID || err->class == ERROR_CORRUPT)
		pass->blocked.reason = "DataStoreInvalid";
	return error_wrap(err, "spec.tlsConfig.certificateAuthority of DataStore %s", store->store->name);
}

/* Upstream keeps the etcd certificate while the checksum, with the store's CA put in first, still fits. */
static int plan_etcd(struct pass *pass, const json_t *live, struct secret_data *data, bool rotate, bool *changed, struct error *err)
{
	static const char *const organizations[] = { "system:masters", NULL };
	const struct step_data_store *store = &pass->input->data_store;
	const struct secret_entry *user = secret_data_get(&pass->state->credentials[CREDENTIAL_DATA_STORE_CONFIG].data, KEY_DB_USER);
	const char *recorded = json_string_value(json_object_get(json_at(live, "metadata.annotations"), ANNOTATION_CHECKSUM));
	struct certificate_request request = { .common_name = user->value,
		                               .organizations = organizations,
		                               .profile = CERTIFICATE_PROFILE_TEN_YEARS };
	struct check_certificate check;
	struct check_reason reason;
	char digest[DIGEST_HEX_SIZE];

	if (string_empty(store->ca_certificate) || string_empty(store->ca_private_key))
		return pass_block(pass, err, ERROR_INVALID, "DataStoreInvalid",
		                  "DataStore %s: the etcd driver needs spec.tlsConfig.certificateAuthority with its private key",
		                  store->store->name);
	set_text(pass, data, KEY_CA_CERTIFICATE, store->ca_certificate);
	secret_data_digest(pass, data, digest);
	check = (struct check_certificate){
		.certificate = secret_data_pem(data, KEY_SERVER_CERTIFICATE),
		.key = secret_data_pem(data, KEY_SERVER_PRIVATE_KEY),
		.common_name = user->value,
		.threshold_seconds = pass->input->options->certificate_threshold,
	};
	if (!rotate && string_equal(recorded, digest) && check.certificate.length > 0 && check.key.length > 0 &&
	    check_certificate(pass->input->options->checked, &check, &reason))
		return 0;
	*changed = true;
	if (credential_issue(pass, pem_text_string(store->ca_certificate), pem_text_string(store->ca_private_key), &request, data,
	                     KEY_SERVER_CERTIFICATE, KEY_SERVER_PRIVATE_KEY, err) != 0)
		return fail_issue(pass, store, err);
	check.certificate = secret_data_pem(data, KEY_SERVER_CERTIFICATE);
	check.key = secret_data_pem(data, KEY_SERVER_PRIVATE_KEY);
	check_certificate_made(pass->input->options->checked, &check);
	return 0;
}

int data_store_certificate_plan(struct pass *pass, struct error *err)
{
	static const char *const keys[] = { KEY_CA_CERTIFICATE, KEY_SERVER_CERTIFICATE, KEY_SERVER_PRIVATE_KEY, NULL };
	const struct step_data_store *store = &pass->input->data_store;
	struct secret_data data;
	const json_t *live = credential_begin(pass, CREDENTIAL_DATA_STORE_CERTIFICATE, &data);
	bool rotate = secret_rotation_requested(live), changed = false;
	struct pem_text certificate;

	if (!store->store->has_tls) {
		data.count = 0;
	} else if (store->store->driver == DATA_STORE_ETCD) {
		if (plan_etcd(pass, live, &data, rotate, &changed, err) != 0)
			return -1;
	} else {
		data.count = 0;
		set_text(pass, &data, KEY_CA_CERTIFICATE, store->ca_certificate ? store->ca_certificate : "");
		if (store->client_certificate && store->client_private_key) {
			set_text(pass, &data, KEY_SERVER_CERTIFICATE, store->client_certificate);
			set_text(pass, &data, KEY_SERVER_PRIVATE_KEY, store->client_private_key);
		}
	}
	certificate = secret_data_pem(&data, KEY_SERVER_CERTIFICATE);
	if (certificate.length > 0 && store->store->driver == DATA_STORE_ETCD)
		pass_note_renewal(pass, certificate.bytes, certificate.length);
	credential_finish(pass, CREDENTIAL_DATA_STORE_CERTIFICATE, &data, keys, NULL, changed, rotate);
	pass->objects[pass->object_count - 1].replace_data = json_object_size(json_object_get(live, "data")) > data.count;
	return 0;
}
