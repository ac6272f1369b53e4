/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster_object.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"
#define RBAC_VERSION RBAC_GROUP "/v1"

json_t *cluster_object(const char *api_version, const char *kind, const char *namespace_name, const char *name)
{
	json_t *object = json_build("{s:s, s:s, s:{s:s}}", "apiVersion", api_version, "kind", kind, "metadata", "name", name);

	json_put_string(object, "metadata.namespace", namespace_name);
	return object;
}

json_t *cluster_role(const char *namespace_name, const char *name, json_t *rules)
{
	json_t *role = cluster_object(RBAC_VERSION, namespace_name ? "Role" : "ClusterRole", namespace_name, name);

	json_put(role, "rules", rules);
	return role;
}

json_t *cluster_rule_get_config_map(const char *name)
{
	return json_build("[{s:[s], s:[s], s:[s], s:[s]}]", "apiGroups", "", "resourceNames", name, "resources", "configmaps", "verbs",
	                  "get");
}

json_t *cluster_binding(const char *namespace_name, const char *name, const char *role, json_t *subjects)
{
	json_t *binding = cluster_object(RBAC_VERSION, namespace_name ? "RoleBinding" : "ClusterRoleBinding", namespace_name, name);

	json_put(binding, "roleRef",
	         json_build("{s:s, s:s, s:s}", "apiGroup", RBAC_GROUP, "kind", namespace_name ? "Role" : "ClusterRole", "name", role));
	json_put(binding, "subjects", subjects);
	return binding;
}

json_t *cluster_subject_group(const char *name)
{
	return json_build("{s:s, s:s, s:s}", "apiGroup", RBAC_GROUP, "kind", "Group", "name", name);
}

json_t *cluster_subject_user(const char *name)
{
	return json_build("{s:s, s:s, s:s}", "apiGroup", RBAC_GROUP, "kind", "User", "name", name);
}

json_t *cluster_subject_service_account(const char *namespace_name, const char *name)
{
	return json_build("{s:s, s:s, s:s}", "kind", "ServiceAccount", "name", name, "namespace", namespace_name);
}

void cluster_mark_add_on(json_t *object, const char *owner_name, const char *owner_uid)
{
	json_t *labels = json_ensure_object(object, "metadata.labels");

	(void)json_object_set_new(labels, "kamaji.clastix.io/project", json_string_new("kamaji"));
	if (owner_uid)
		json_put(object, "metadata.ownerReferences",
		         json_build("[{s:s, s:s, s:s, s:s, s:b, s:b}]", "apiVersion", RBAC_VERSION, "kind", "ClusterRoleBinding", "name",
		                    owner_name, "uid", owner_uid, "controller", 1, "blockOwnerDeletion", 1));
}
