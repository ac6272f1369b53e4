/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-front-proxy-ca-certificate: the authority of aggregated API servers. */
#include "controlplane/authority.h"
#include "controlplane/pass.h"

int front_proxy_ca_plan(struct pass *pass, struct error *err)
{
	static const char *const keys[] = { KEY_FRONT_PROXY_CA_CERTIFICATE, KEY_FRONT_PROXY_CA_PRIVATE_KEY, NULL };
	struct secret_data data;
	const json_t *live = credential_begin(pass, CREDENTIAL_FRONT_PROXY_CA, &data);
	bool rotate = secret_rotation_requested(live), changed = false;
	struct check_reason reason;
	struct pem_text certificate;

	if (rotate || !check_authority(pass->input->options->checked, secret_data_pem(&data, KEY_FRONT_PROXY_CA_CERTIFICATE),
	                               secret_data_pem(&data, KEY_FRONT_PROXY_CA_PRIVATE_KEY), pass->input->options->certificate_threshold,
	                               &reason)) {
		if (authority_create(pass, "front-proxy-ca", &data, KEY_FRONT_PROXY_CA_CERTIFICATE, KEY_FRONT_PROXY_CA_PRIVATE_KEY, err) !=
		    0)
			return -1;
		changed = true;
	}
	certificate = secret_data_pem(&data, KEY_FRONT_PROXY_CA_CERTIFICATE);
	pass_note_renewal(pass, certificate.bytes, certificate.length);
	credential_finish(pass, CREDENTIAL_FRONT_PROXY_CA, &data, keys, NULL, changed, rotate);
	return 0;
}
