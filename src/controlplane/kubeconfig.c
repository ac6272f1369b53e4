/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/kubeconfig.h"

#include <string.h>

#include "controlplane/kubeadm_text.h"
#include "pki/kubeconfig.h"

enum { MAXIMUM_FILES = 4 };

/* MD5 over CA certificate, CA key, kubeadm configuration checksum and data checksum. */
static void whole_checksum(struct pass *pass, const struct secret_data *data, const char *address, char hex[DIGEST_HEX_SIZE])
{
	struct pem_text certificate = credential_authority(pass, CREDENTIAL_CA), key = credential_authority_key(pass, CREDENTIAL_CA);
	struct digest *digest DIGEST_CLEANUP = digest_new(DIGEST_MD5);
	char part[DIGEST_HEX_SIZE];

	digest_add(digest, certificate.bytes, certificate.length);
	digest_add(digest, key.bytes, key.length);
	kubeadm_config_checksum(address, pass->state->endpoint.port, part);
	digest_add_string(digest, part);
	secret_data_digest(pass, data, part);
	digest_add_string(digest, part);
	digest_finish_hex(digest, hex);
}

static struct check_kubeconfig question(struct pass *pass, const struct kubeconfig_file *file, const struct secret_data *data)
{
	return (struct check_kubeconfig){
		.text = secret_data_pem(data, file->key),
		.authority = credential_authority(pass, CREDENTIAL_CA),
		.server = file->server,
		.cluster = pass->input->tenant->name,
		.user = file->user,
		.threshold_seconds = pass->input->options->certificate_threshold,
	};
}

static int create_file(struct pass *pass, const struct kubeconfig_file *file, struct secret_data *data, struct error *err)
{
	const char *const organizations[] = { file->group, NULL };
	struct certificate_request request = { .common_name = file->user,
		                               .usages = CERTIFICATE_CLIENT_AUTH,
		                               .organizations = file->group ? organizations : NULL };
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };
	struct secret_data pair = { 0 };
	struct check_kubeconfig made;
	struct pem_text certificate;

	if (credential_issue(pass, credential_authority(pass, CREDENTIAL_CA), credential_authority_key(pass, CREDENTIAL_CA), &request,
	                     &pair, "certificate", "key", err) != 0)
		return error_wrap(err, "%s", file->key);
	certificate = secret_data_pem(&pair, "certificate");
	kubeconfig_write(&(struct kubeconfig_content){ .server = file->server,
	                                               .cluster = pass->input->tenant->name,
	                                               .user = file->user,
	                                               .authority = credential_authority(pass, CREDENTIAL_CA),
	                                               .certificate = certificate,
	                                               .key = secret_data_pem(&pair, "key") },
	                 &text);
	secret_data_set(pass, data, file->key, text.data, text.length);
	made = question(pass, file, data);
	check_kubeconfig_made(pass->input->options->checked, &made, certificate);
	pass_note_renewal(pass, certificate.bytes, certificate.length);
	return 0;
}

static bool is_good(struct pass *pass, const struct kubeconfig_file *file, const struct secret_data *data)
{
	struct check_kubeconfig check = question(pass, file, data);
	struct check_reason reason;

	if (check.text.length == 0 || !check_kubeconfig(pass->input->options->checked, &check, &reason))
		return false;
	pass_note_end(pass, reason.not_after);
	return true;
}

int kubeconfig_plan(struct pass *pass, enum credential which, const struct kubeconfig_file *files, size_t count, const char *address,
                    struct error *err)
{
	const char *keys[MAXIMUM_FILES + 1] = { NULL };
	struct secret_data data;
	const json_t *live = credential_begin(pass, which, &data);
	const char *recorded = json_string_value(json_object_get(json_at(live, "metadata.annotations"), ANNOTATION_CHECKSUM));
	bool rotate = secret_rotation_requested(live), all, changed = false;
	char checksum[DIGEST_HEX_SIZE];

	whole_checksum(pass, &data, address, checksum);
	all = rotate || !string_equal(recorded, checksum);
	for (size_t i = 0; i < count && i < MAXIMUM_FILES; i++) {
		keys[i] = files[i].key;
		if (!all && is_good(pass, &files[i], &data))
			continue;
		if (create_file(pass, &files[i], &data, err) != 0)
			return -1;
		changed = true;
	}
	if (changed)
		whole_checksum(pass, &data, address, checksum);
	credential_finish(pass, which, &data, keys, checksum, changed, rotate);
	return 0;
}
