/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.writePermissions: a webhook configuration inside the tenant that sends the blocked operations to the operator, which denies every
 * one. kube-system stays open for the control plane itself, and lease updates for the nodes. What the operator keeps is exempt by name and
 * user, or it could not repair what its own guard then protects.
 */
#include "base/strings.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

#define NAMESPACE_LABEL "kubernetes.io/metadata.name"

static const char not_the_operator[] = "!(request.userInfo.username == 'kubernetes-super-admin' && (request.name.startsWith('kubeadm:') || "
				       "request.name in ['cluster-info', "
				       "'" CLUSTER_OWN_ENDPOINT "', 'system:coredns', 'system:konnectivity-server']))";

static bool blocks(const struct tenant_control_plane *tenant, const char *member)
{
	FREE_CLEANUP char *path = string_printf("writePermissions.%s", member);

	return json_boolean_or(tenant->spec, path, false);
}

static json_t *operations(const struct tenant_control_plane *tenant, bool updates)
{
	json_t *list = json_array();

	if (blocks(tenant, "blockCreation"))
		(void)json_array_append_new(list, json_string_new("CREATE"));
	if (updates && blocks(tenant, "blockUpdate"))
		(void)json_array_append_new(list, json_string_new("UPDATE"));
	if (blocks(tenant, "blockDeletion"))
		(void)json_array_append_new(list, json_string_new("DELETE"));
	return list;
}

static json_t *webhook(const struct cluster_inputs *inputs, const char *name, const char *scope, const char *selector_operator,
                       json_t *namespaces, json_t *blocked)
{
	json_t *client = json_build("{s:s, s:s}", "url", inputs->guard_url, "caBundle", inputs->guard_authorities);

	return json_build("{s:s, s:o, s:s, s:s, s:s, s:[s], s:{s:[{s:s, s:s, s:o}]}, s:[{s:[s], s:[s], s:[s], s:s, s:o}]}", "name", name,
	                  "clientConfig", client, "failurePolicy", "Fail", "matchPolicy", "Equivalent", "sideEffects", "NoneOnDryRun",
	                  "admissionReviewVersions", "v1", "namespaceSelector", "matchExpressions", "key", NAMESPACE_LABEL, "operator",
	                  selector_operator, "values", namespaces, "rules", "apiGroups", "*", "apiVersions", "*", "resources", "*", "scope",
	                  scope, "operations", blocked);
}

int cluster_build_write_guard(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	const struct tenant_control_plane *tenant = inputs->tenant;
	json_t *guard, *webhooks, *leases, *everything;

	if (!tenant->write_limited)
		return 0;
	if (string_empty(inputs->guard_url))
		return error_set(err, ERROR_INVALID,
		                 "spec.writePermissions: the operator serves no webhooks that could deny writes; turn them on "
		                 "(--webhook-bind-address)");
	if (string_empty(inputs->guard_authorities))
		return error_set(err, ERROR_PENDING, "spec.writePermissions: the operator's webhooks have no certificate yet");
	guard = cluster_object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", NULL, CLUSTER_WRITE_GUARD);
	webhooks = json_array();
	leases = operations(tenant, false);
	if (json_array_size(leases) > 0)
		(void)json_array_append_new(webhooks, webhook(inputs, "leases." CLUSTER_WRITE_GUARD_DOMAIN, "Namespaced", "In",
		                                              json_build("[s]", "kube-node-lease"), leases));
	else
		json_decref(leases);
	everything = webhook(inputs, "catchall." CLUSTER_WRITE_GUARD_DOMAIN, "*", "NotIn",
	                     json_build("[s, s]", "kube-system", "kube-node-lease"), operations(tenant, true));
	json_put(everything, "matchConditions", json_build("[{s:s, s:s}]", "name", "not-the-operator", "expression", not_the_operator));
	(void)json_array_append_new(webhooks, everything);
	json_put(guard, "webhooks", webhooks);
	(void)json_array_append_new(objects, guard);
	return 0;
}
