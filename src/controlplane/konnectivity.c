/* SPDX-License-Identifier: Apache-2.0 */
/* The admin side of konnectivity: egress configuration, server certificate and kubeconfig. Gone when the addon is. */
#include <string.h>

#include "controlplane/egress.h"
#include "controlplane/pass.h"
#include "pki/kubeconfig.h"

static const char egress_text[] = "apiVersion: apiserver.k8s.io/v1beta1\n"
				  "egressSelections:\n"
				  "- connection:\n"
				  "    proxyProtocol: GRPC\n"
				  "    transport:\n"
				  "      uds:\n"
				  "        udsName: " KONNECTIVITY_SOCKET "\n"
				  "  name: cluster\n"
				  "kind: EgressSelectorConfiguration\n";

int konnectivity_egress_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const char *name = names_object(pass->arena, tenant->name, SUFFIX_KONNECTIVITY_EGRESS);
	const char *step = "konnectivity-egress-selector-configuration";
	struct digest_entry entry = { EGRESS_FILE, egress_text, sizeof(egress_text) - 1 };
	char checksum[DIGEST_HEX_SIZE];
	json_t *object;

	(void)err;
	if (!tenant->konnectivity) {
		if (pass->input->egress_config_map)
			pass_unwant(pass, step, OBJECT_CONFIG_MAP, name, pass->input->egress_config_map);
		return 0;
	}
	digest_entries_hex(&entry, 1, checksum);
	object = pass_new_object(pass, "v1", "ConfigMap", name, step);
	json_put(object, "metadata.annotations", json_build("{s:s}", ANNOTATION_CHECKSUM, checksum));
	json_object_set_new(json_ensure_object(object, "data"), EGRESS_FILE, json_string_new(egress_text));
	pass_want(pass, step, OBJECT_CONFIG_MAP, name, object, pass->input->egress_config_map);
	pass_record(pass, STAGE_CREDENTIALS, "addons.konnectivity.configMap", json_build("{s:s,s:s}", "name", name, "checksum", checksum),
	            false);
	return 0;
}

/* A Secret of a disabled addon: removed, and its status emptied. */
static bool remove_when_disabled(struct pass *pass, enum credential which)
{
	const char *name = names_object(pass->arena, pass->input->tenant->name, credential_kinds[which].suffix);
	const json_t *live = pass_secret(pass, name);

	if (pass->input->tenant->konnectivity)
		return false;
	if (live)
		pass_unwant(pass, credential_kinds[which].step, OBJECT_SECRET, name, live);
	if (json_object_size(json_at(pass->status, credential_kinds[which].status_path)) > 0)
		json_put(pass->status, credential_kinds[which].status_path, json_object());
	return true;
}

int konnectivity_certificate_plan(struct pass *pass, struct error *err)
{
	static const char *const keys[] = { KEY_TLS_CERTIFICATE, KEY_TLS_PRIVATE_KEY, NULL };
	static const char *const organizations[] = { "system:masters", NULL };
	static const struct certificate_request request = { .common_name = "system:konnectivity-server",
		                                            .organizations = organizations,
		                                            .profile = CERTIFICATE_PROFILE_TEN_YEARS };
	struct check_certificate check;
	struct secret_data data;
	const json_t *live;
	bool rotate, changed = false;
	struct check_reason reason;

	if (remove_when_disabled(pass, CREDENTIAL_KONNECTIVITY_CERTIFICATE))
		return 0;
	live = credential_begin(pass, CREDENTIAL_KONNECTIVITY_CERTIFICATE, &data);
	rotate = secret_rotation_requested(live);
	check = (struct check_certificate){
		.certificate = secret_data_pem(&data, KEY_TLS_CERTIFICATE),
		.key = secret_data_pem(&data, KEY_TLS_PRIVATE_KEY),
		.authority = credential_authority(pass, CREDENTIAL_CA),
		.usage = CERTIFICATE_SERVER_AUTH,
		.threshold_seconds = pass->input->options->certificate_threshold,
	};
	if (rotate || check.certificate.length == 0 || check.key.length == 0 ||
	    !check_certificate(pass->input->options->checked, &check, &reason)) {
		if (credential_issue(pass, check.authority, credential_authority_key(pass, CREDENTIAL_CA), &request, &data,
		                     KEY_TLS_CERTIFICATE, KEY_TLS_PRIVATE_KEY, err) != 0)
			return -1;
		check.certificate = secret_data_pem(&data, KEY_TLS_CERTIFICATE);
		check.key = secret_data_pem(&data, KEY_TLS_PRIVATE_KEY);
		check_certificate_made(pass->input->options->checked, &check);
		changed = true;
	}
	pass_note_renewal(pass, check.certificate.bytes, check.certificate.length);
	credential_finish(pass, CREDENTIAL_KONNECTIVITY_CERTIFICATE, &data, keys, NULL, changed, rotate);
	return 0;
}

int konnectivity_kubeconfig_plan(struct pass *pass, struct error *err)
{
	static const char *const keys[] = { KEY_KONNECTIVITY_CONF, NULL };
	const struct secret_data *pair = &pass->state->credentials[CREDENTIAL_KONNECTIVITY_CERTIFICATE].data;
	struct check_kubeconfig check;
	struct secret_data data;
	const json_t *live;
	bool rotate, changed = false;
	struct check_reason reason;

	(void)err;
	if (remove_when_disabled(pass, CREDENTIAL_KONNECTIVITY_KUBECONFIG))
		return 0;
	live = credential_begin(pass, CREDENTIAL_KONNECTIVITY_KUBECONFIG, &data);
	rotate = secret_rotation_requested(live) || pass->state->credentials[CREDENTIAL_KONNECTIVITY_CERTIFICATE].changed;
	check = (struct check_kubeconfig){
		.text = secret_data_pem(&data, KEY_KONNECTIVITY_CONF),
		.authority = credential_authority(pass, CREDENTIAL_CA),
		.server = arena_printf(pass->arena, "https://localhost:%lld", (long long)pass->input->tenant->port),
		.cluster = "kubernetes",
		.user = "system:konnectivity-server",
		.threshold_seconds = pass->input->options->certificate_threshold,
	};
	if (rotate || check.text.length == 0 || !check_kubeconfig(pass->input->options->checked, &check, &reason)) {
		struct buffer text BUFFER_SECRET_CLEANUP = { 0 };

		kubeconfig_write(&(struct kubeconfig_content){ .server = check.server,
		                                               .cluster = check.cluster,
		                                               .user = check.user,
		                                               .authority = check.authority,
		                                               .certificate = secret_data_pem(pair, KEY_TLS_CERTIFICATE),
		                                               .key = secret_data_pem(pair, KEY_TLS_PRIVATE_KEY) },
		                 &text);
		secret_data_set(pass, &data, KEY_KONNECTIVITY_CONF, text.data, text.length);
		check.text = secret_data_pem(&data, KEY_KONNECTIVITY_CONF);
		check_kubeconfig_made(pass->input->options->checked, &check, secret_data_pem(pair, KEY_TLS_CERTIFICATE));
		changed = true;
	}
	/* Upstream stamps the rotation annotation whenever it writes this file. */
	credential_finish(pass, CREDENTIAL_KONNECTIVITY_KUBECONFIG, &data, keys, NULL, changed, changed);
	return 0;
}
