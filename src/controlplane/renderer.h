/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the Deployment: one container, the volumes, the probes per file. */
#pragma once

#include "controlplane/pass.h"

struct renderer {
	struct pass *pass;
	const struct tenant_control_plane *tenant;
	enum template_profile profile;
	bool kine;         /* the data store is reached through kine */
	bool konnectivity; /* the server runs in the pod */
};

/* Names of volumes and containers others refer to. */
#define VOLUME_PKI "etc-kubernetes-pki"
#define VOLUME_SIGNER_PKI "controller-manager-pki" /* profile native: with the keys that only kube-controller-manager signs with */
#define VOLUME_CONTROLLER_MANAGER_KUBECONFIG "controller-manager-kubeconfig"
#define VOLUME_SCHEDULER_KUBECONFIG "scheduler-kubeconfig"
#define VOLUME_KINE_SOCKET "kine-uds"
#define VOLUME_KINE_CONFIG "kine-config"
#define VOLUME_KINE_CERTIFICATES "kine-certs"
#define VOLUME_KONNECTIVITY_SOCKET "konnectivity-uds"
#define VOLUME_EGRESS "egress-selector-configuration"
#define VOLUME_KONNECTIVITY_KUBECONFIG "konnectivity-server-kubeconfig"
#define CONTAINER_API_SERVER "kube-apiserver"
#define CONTAINER_SCHEDULER "kube-scheduler"
#define CONTAINER_CONTROLLER_MANAGER "kube-controller-manager"
#define CONTAINER_KINE "kine"
#define CONTAINER_KONNECTIVITY "konnectivity-server"
#define PKI_FOLDER "/etc/kubernetes/pki"

/* Each gives a new reference. */
json_t *container_api_server(const struct renderer *renderer);
json_t *container_scheduler(const struct renderer *renderer);
json_t *container_controller_manager(const struct renderer *renderer);
json_t *container_konnectivity(const struct renderer *renderer);
/* `user` is the user's container of that name, or NULL. */
json_t *container_kine(const struct renderer *renderer, const json_t *user);
json_t *container_kine_permissions(const struct renderer *renderer); /* init container "chmod" */
json_t *volumes_render(const struct renderer *renderer);

/* A component's members of the spec: which probes, resources, mounts and security context to use. */
struct component {
	const char *key; /* "apiServer" */
	const char *container;
	const char *image_key; /* in registrySettings */
	const char *liveness_path, *readiness_path, *startup_path;
	int64_t port;
};
/* name, image, command, resources, probes, security context and pull policy: everything but arguments and mounts. */
json_t *container_new(const struct renderer *renderer, const struct component *component);
/* The user's mounts for the component, then ours are appended by mounts_add(). */
json_t *mounts_new(const struct renderer *renderer, const char *key);
void mounts_add(json_t *mounts, const char *volume, const char *path, bool read_only);
void mounts_add_trust(json_t *mounts); /* the three folders of CA certificates */
void probes_render(const struct renderer *renderer, const struct component *component, json_t *container);
/* spec.controlPlane.deployment.extraArgs.<key>, or NULL. */
const json_t *extra_arguments(const struct renderer *renderer, const char *key);
