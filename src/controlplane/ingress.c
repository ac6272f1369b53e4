/* SPDX-License-Identifier: Apache-2.0 */
/* The Ingress of a tenant: one rule for its host name, TLS passed through as the user's annotations say. */
#include <string.h>

#include "controlplane/gateway.h"

/* True when the object is this tenant's: what somebody else made under the name is left alone. */
bool is_controlled(const struct pass *pass, const json_t *object)
{
	json_t *reference;
	size_t i;

	json_array_foreach(json_at(object, "metadata.ownerReferences"), i, reference)
		if (json_boolean_or(reference, "controller", false) &&
		    string_equal(json_string_at(reference, "uid"), pass->input->tenant->uid))
			return true;
	return false;
}

int ingress_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const char *class = json_string_or(tenant->ingress, "ingressClassName", ""), *host;
	json_t *object;

	if (!tenant->ingress) {
		if (is_controlled(pass, pass->input->ingress))
			pass_unwant(pass, "ingress", OBJECT_INGRESS, tenant->name, pass->input->ingress);
		status_remove(pass->status, "kubernetesResources.ingress");
		return 0;
	}
	if (string_empty(tenant->ingress_hostname))
		return pass_block(pass, err, ERROR_INVALID, "InvalidSpec",
		                  "spec.controlPlane.ingress.hostname: an Ingress needs a host name");
	host = arena_strndup(pass->arena, tenant->ingress_hostname, strcspn(tenant->ingress_hostname, ":"));
	object = pass_new_object(pass, "networking.k8s.io/v1", "Ingress", tenant->name, "ingress");
	metadata_merge(object, json_object_get(tenant->ingress, "additionalMetadata"));
	json_put(object, "spec.rules",
	         json_build("[{s:s,s:{s:[{s:s,s:s,s:{s:{s:s,s:{s:I}}}}]}}]", "host", host, "http", "paths", "path", "/", "pathType",
	                    "Prefix", "backend", "service", "name", tenant->name, "port", "number", (json_int_t)tenant->port));
	if (!string_empty(class))
		json_put_string(object, "spec.ingressClassName", class);
	pass_want(pass, "ingress", OBJECT_INGRESS, tenant->name, object, pass->input->ingress);
	return 0;
}

int ingress_observe(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const json_t *live = json_object_get(pass->state->live[OBJECT_INGRESS], "status");
	json_t *members, *entry;
	size_t i;

	(void)err;
	if (!tenant->ingress)
		return 0;
	members = json_is_object(live) ? json_deep_copy(live) : json_object();
	json_ensure_object(members, "loadBalancer");
	json_array_foreach(json_at(members, "loadBalancer.ingress"), i, entry)
		json_object_del(entry, "ports"); /* the schema asks for an error beside each, which controllers do not give */
	json_put_string(members, "name", tenant->name);
	json_put_string(members, "namespace", tenant->namespace);
	status_replace(pass->status, "kubernetesResources.ingress", members, false, pass->input->now);
	return 0;
}
