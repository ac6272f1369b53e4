/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets <tenant>-ca and <tenant>-front-proxy-ca-certificate. A pair that is already there is taken as it is, whoever made it. */
#include "controlplane/authority.h"
#include "controlplane/pass.h"

int authority_create(struct pass *pass, const char *common_name, struct secret_data *data, const char *certificate_key,
                     const char *private_key, struct error *err)
{
	struct buffer certificate BUFFER_CLEANUP = { 0 };
	struct buffer key_text BUFFER_SECRET_CLEANUP = { 0 };
	struct key *key KEY_CLEANUP = NULL;

	if (pass_generate_key(pass, false, &key, err) != 0 || certificate_create_authority(common_name, key, &certificate, err) != 0 ||
	    key_write_private(key, &key_text, err) != 0)
		return -1;
	secret_data_set(pass, data, certificate_key, certificate.data, certificate.length);
	secret_data_set(pass, data, private_key, key_text.data, key_text.length);
	check_authority_made(pass->input->options->checked, secret_data_pem(data, certificate_key), secret_data_pem(data, private_key));
	return 0;
}

/* Cluster API reads tls.crt and tls.key: copies of the pair. */
static void copy_entry(struct pass *pass, struct secret_data *data, const char *from, const char *to)
{
	const struct secret_entry *entry = secret_data_get(data, from);

	if (entry)
		secret_data_set(pass, data, to, entry->value, entry->length);
}

int certificate_authority_plan(struct pass *pass, struct error *err)
{
	static const char *const keys[] = { KEY_CA_CERTIFICATE, KEY_CA_PRIVATE_KEY, KEY_TLS_CERTIFICATE, KEY_TLS_PRIVATE_KEY, NULL };
	struct secret_data data;
	const json_t *live = credential_begin(pass, CREDENTIAL_CA, &data);
	bool rotate = secret_rotation_requested(live), changed = false;
	struct check_reason reason;

	if (rotate || !check_authority(pass->input->options->checked, secret_data_pem(&data, KEY_CA_CERTIFICATE),
	                               secret_data_pem(&data, KEY_CA_PRIVATE_KEY), pass->input->options->certificate_threshold, &reason)) {
		if (authority_create(pass, "kubernetes", &data, KEY_CA_CERTIFICATE, KEY_CA_PRIVATE_KEY, err) != 0)
			return -1;
		pass->certificate_authority_replaced = live != NULL && !string_empty(pass->input->tenant->installed_version);
		changed = true;
	}
	copy_entry(pass, &data, KEY_CA_CERTIFICATE, KEY_TLS_CERTIFICATE);
	copy_entry(pass, &data, KEY_CA_PRIVATE_KEY, KEY_TLS_PRIVATE_KEY);
	pass_note_renewal(pass, secret_data_pem(&data, KEY_CA_CERTIFICATE).bytes, secret_data_pem(&data, KEY_CA_CERTIFICATE).length);
	credential_finish(pass, CREDENTIAL_CA, &data, keys, NULL, changed, rotate);
	return 0;
}
