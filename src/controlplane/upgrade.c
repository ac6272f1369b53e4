/* SPDX-License-Identifier: Apache-2.0 */
/* Guards that stand before everything else: version steps and changes of the data store. */
#include <string.h>

#include "base/version.h"
#include "controlplane/pass.h"

/* From the version that runs to the wanted one: the same minor or the next. Patch downgrades within a minor are fine, as upstream. */
int upgrade_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	struct version installed, wanted;

	if (version_parse(tenant->version, "spec.kubernetes.version", &wanted, err) != 0)
		return pass_block(pass, err, ERROR_INVALID, "InvalidSpec",
		                  "spec.kubernetes.version: \"%s\" is no version; write it as v1.36.0", tenant->version);
	if (string_empty(tenant->installed_version) || strcmp(tenant->installed_version, tenant->version) == 0 ||
	    strcmp(tenant->phase, PHASE_UPGRADING) == 0)
		return 0;
	if (version_parse(tenant->installed_version, "status.kubernetesResources.version.version", &installed, err) != 0)
		return -1;
	if (wanted.minor == installed.minor || wanted.minor == installed.minor + 1)
		return 0;
	return pass_block(
		pass, err, ERROR_INVALID, "VersionSkew",
		"spec.kubernetes.version: from the installed %s to %s is not one minor version up; set a version in between first",
		tenant->installed_version, tenant->version);
}

int migrate_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const struct step_data_store *store = &pass->input->data_store;

	if (string_empty(tenant->used_data_store) || strcmp(tenant->used_data_store, store->store->name) == 0)
		return 0;
	return pass_block(pass, err, ERROR_INVALID, "MigrationNotSupported",
	                  "spec.dataStore: moving the data from %s to %s is not supported yet; set it back to %s", tenant->used_data_store,
	                  store->store->name, tenant->used_data_store);
}
