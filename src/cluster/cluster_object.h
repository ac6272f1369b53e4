/* SPDX-License-Identifier: Apache-2.0 */
/* Small parts the builders of this room share. All return new references. */
#pragma once

#include "base/json.h"

/* namespace NULL: cluster-scoped. */
json_t *cluster_object(const char *api_version, const char *kind, const char *namespace_name, const char *name);
/* Role (namespace given) or ClusterRole; rules is stolen. */
json_t *cluster_role(const char *namespace_name, const char *name, json_t *rules);
/* One rule: get on one named ConfigMap, as an array. */
json_t *cluster_rule_get_config_map(const char *name);
/*
 * RoleBinding (namespace given) or ClusterRoleBinding to a Role of the same namespace or to a ClusterRole. subjects is stolen.
 */
json_t *cluster_binding(const char *namespace_name, const char *name, const char *role, json_t *subjects);
json_t *cluster_subject_group(const char *name);
json_t *cluster_subject_user(const char *name);
json_t *cluster_subject_service_account(const char *namespace_name, const char *name);
/* Puts label kamaji.clastix.io/project=kamaji on an add-on's object, and the controller owner when uid is not NULL. */
void cluster_mark_add_on(json_t *object, const char *owner_name, const char *owner_uid);
