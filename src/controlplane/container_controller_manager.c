/* SPDX-License-Identifier: Apache-2.0 */
/* kube-controller-manager: here the user's flags win over ours. */
#include "controlplane/arguments.h"
#include "controlplane/renderer.h"

#define CONF "/etc/kubernetes/controller-manager.conf"

static char *join(const struct string_array *texts)
{
	struct string_list list STRING_LIST_CLEANUP = { 0 };

	for (size_t i = 0; i < texts->count; i++)
		string_list_add(&list, texts->items[i]);
	return string_list_join(&list, ",");
}

static json_t *command_line(const struct renderer *renderer)
{
	static const char *const fixed[][2] = {
		{ "--allocate-node-cidrs", "true" },
		{ "--authentication-kubeconfig", CONF },
		{ "--authorization-kubeconfig", CONF },
		{ "--bind-address", "0.0.0.0" },
		{ "--client-ca-file", PKI_FOLDER "/ca.crt" },
		{ "--cluster-signing-cert-file", PKI_FOLDER "/ca.crt" },
		{ "--cluster-signing-key-file", PKI_FOLDER "/ca.key" },
		{ "--controllers", "*,bootstrapsigner,tokencleaner" },
		{ "--kubeconfig", CONF },
		{ "--leader-elect", "true" },
		{ "--requestheader-client-ca-file", PKI_FOLDER "/front-proxy-ca.crt" },
		{ "--root-ca-file", PKI_FOLDER "/ca.crt" },
		{ "--service-account-private-key-file", PKI_FOLDER "/sa.key" },
		{ "--use-service-account-credentials", "true" },
	};
	struct arguments arguments ARGUMENTS_CLEANUP = { 0 };

	for (size_t i = 0; i < ARRAY_LENGTH(fixed); i++)
		arguments_set(&arguments, fixed[i][0], fixed[i][1]);
	arguments_set(&arguments, "--cluster-name", renderer->tenant->name);
	arguments_set_owned(&arguments, "--cluster-cidr", join(&renderer->tenant->pod_cidrs));
	arguments_set_owned(&arguments, "--service-cluster-ip-range", join(&renderer->tenant->service_cidrs));
	arguments_set_list(&arguments, extra_arguments(renderer, "controllerManager"));
	return arguments_sorted(&arguments);
}

json_t *container_controller_manager(const struct renderer *renderer)
{
	static const struct component component = {
		"controllerManager", CONTAINER_CONTROLLER_MANAGER, "controllerManagerImage", "/healthz", "/healthz", "/healthz", 10257
	};
	json_t *container = container_new(renderer, &component), *mounts = mounts_new(renderer, "controllerManager");

	mounts_add(mounts, VOLUME_CONTROLLER_MANAGER_KUBECONFIG, "/etc/kubernetes", true);
	mounts_add(mounts, renderer->profile == PROFILE_NATIVE ? VOLUME_SIGNER_PKI : VOLUME_PKI, PKI_FOLDER, true);
	mounts_add_trust(mounts);
	json_put(container, "args", command_line(renderer));
	json_put(container, "volumeMounts", mounts);
	return container;
}
