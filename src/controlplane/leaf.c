/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/leaf.h"

int leaf_plan(struct pass *pass, const struct leaf *leaf, struct error *err)
{
	const char *const keys[] = { leaf->certificate_key, leaf->private_key, NULL };
	struct secret_data data;
	const json_t *live = credential_begin(pass, leaf->credential, &data);
	struct check_certificate check = {
		.certificate = secret_data_pem(&data, leaf->certificate_key),
		.key = secret_data_pem(&data, leaf->private_key),
		.authority = credential_authority(pass, leaf->authority),
		.usage = leaf->request->usages,
		.sans = leaf->wanted_sans,
		.threshold_seconds = pass->input->options->certificate_threshold,
	};
	bool rotate = secret_rotation_requested(live), changed = false;
	struct check_reason reason;

	if (rotate || check.certificate.length == 0 || check.key.length == 0 ||
	    !check_certificate(pass->input->options->checked, &check, &reason)) {
		if (credential_issue(pass, check.authority, credential_authority_key(pass, leaf->authority), leaf->request, &data,
		                     leaf->certificate_key, leaf->private_key, err) != 0)
			return -1;
		check.certificate = secret_data_pem(&data, leaf->certificate_key);
		check.key = secret_data_pem(&data, leaf->private_key);
		check_certificate_made(pass->input->options->checked, &check);
		pass_note_renewal(pass, check.certificate.bytes, check.certificate.length);
		changed = true;
	} else {
		pass_note_end(pass, reason.not_after);
	}
	credential_finish(pass, leaf->credential, &data, keys, NULL, changed, rotate);
	return 0;
}
