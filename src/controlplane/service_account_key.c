/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-sa-certificate: the key pair that signs service-account tokens. Always RSA: upstream would replace any other. */
#include "controlplane/pass.h"

static int create_pair(struct pass *pass, struct secret_data *data, struct error *err)
{
	struct buffer public_text BUFFER_CLEANUP = { 0 };
	struct buffer private_text BUFFER_SECRET_CLEANUP = { 0 };
	struct key *key KEY_CLEANUP = NULL;

	if (pass_generate_key(pass, true, &key, err) != 0 || key_write_public(key, &public_text, err) != 0 ||
	    key_write_private(key, &private_text, err) != 0)
		return -1;
	secret_data_set(pass, data, KEY_SERVICE_ACCOUNT_PUBLIC, public_text.data, public_text.length);
	secret_data_set(pass, data, KEY_SERVICE_ACCOUNT_PRIVATE, private_text.data, private_text.length);
	check_service_account_made(pass->input->options->checked, secret_data_pem(data, KEY_SERVICE_ACCOUNT_PUBLIC),
	                           secret_data_pem(data, KEY_SERVICE_ACCOUNT_PRIVATE));
	return 0;
}

int service_account_key_plan(struct pass *pass, struct error *err)
{
	static const char *const keys[] = { KEY_SERVICE_ACCOUNT_PUBLIC, KEY_SERVICE_ACCOUNT_PRIVATE, NULL };
	struct secret_data data;
	const json_t *live = credential_begin(pass, CREDENTIAL_SERVICE_ACCOUNT, &data);
	bool rotate = secret_rotation_requested(live), changed = false;
	struct check_reason reason;

	if (rotate || !check_service_account(pass->input->options->checked, secret_data_pem(&data, KEY_SERVICE_ACCOUNT_PUBLIC),
	                                     secret_data_pem(&data, KEY_SERVICE_ACCOUNT_PRIVATE), &reason)) {
		if (create_pair(pass, &data, err) != 0)
			return -1;
		changed = true;
	}
	credential_finish(pass, CREDENTIAL_SERVICE_ACCOUNT, &data, keys, NULL, changed, rotate);
	return 0;
}
