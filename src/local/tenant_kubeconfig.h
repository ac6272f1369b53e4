/* SPDX-License-Identifier: Apache-2.0 */
/* Kubeconfigs of tenants, from the Secret that the operator writes (NAME-admin-kubeconfig, member admin.conf). */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "local/cluster_tool.h"
#include "local/environment.h"

/*
 * tenant: "NAME" (namespace default) or "NAMESPACE/NAME". Appends the text and keeps a copy in the environment's folder, whose path is
 * *ret_path (free()). The text holds a key: buffer_free_secret().
 */
int tenant_kubeconfig_read(const struct cluster_tool *tool, const struct local_environment *environment, const char *tenant,
                           struct buffer *text, char **ret_path, struct error *err);
/* The same, finding kubectl by itself. */
int tenant_kubeconfig_fetch(const struct local_environment *environment, const char *tenant, struct buffer *text, char **ret_path,
                            struct error *err);
