/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream's order; names are component labels. Where upstream runs a handler twice (admin.conf, super-admin.conf) one step does both. */
#include "controlplane/pass.h"

const struct step steps[] = {
	{ "migrate", STAGE_SERVICE, migrate_plan, NULL },
	{ "upgrade", STAGE_SERVICE, upgrade_plan, NULL },
	{ "service", STAGE_SERVICE, service_plan, service_observe },
	{ "kubeadmconfig", STAGE_CREDENTIALS, kubeadm_config_plan, NULL },
	{ "ca", STAGE_CREDENTIALS, certificate_authority_plan, NULL },
	{ "front-proxy-ca-certificate", STAGE_CREDENTIALS, front_proxy_ca_plan, NULL },
	{ "sa-certificate", STAGE_CREDENTIALS, service_account_key_plan, NULL },
	{ "api-server-certificate", STAGE_CREDENTIALS, api_server_certificate_plan, NULL },
	{ "api-server-kubelet-client-certificate", STAGE_CREDENTIALS, kubelet_client_certificate_plan, NULL },
	{ "front-proxy-client-certificate", STAGE_CREDENTIALS, front_proxy_client_certificate_plan, NULL },
	{ "admin-kubeconfig", STAGE_CREDENTIALS, admin_kubeconfig_plan, NULL },
	{ "controller-manager-kubeconfig", STAGE_CREDENTIALS, controller_manager_kubeconfig_plan, NULL },
	{ "scheduler-kubeconfig", STAGE_CREDENTIALS, scheduler_kubeconfig_plan, NULL },
	{ "datastore-config", STAGE_CREDENTIALS, data_store_config_plan, NULL },
	{ "datastore-certificate", STAGE_CREDENTIALS, data_store_certificate_plan, NULL },
	{ "konnectivity-egress-selector-configuration", STAGE_CREDENTIALS, konnectivity_egress_plan, NULL },
	{ "konnectivity-certificate", STAGE_CREDENTIALS, konnectivity_certificate_plan, NULL },
	{ "konnectivity-kubeconfig", STAGE_CREDENTIALS, konnectivity_kubeconfig_plan, NULL },
	{ "datastore-setup", STAGE_DATA_STORE, data_store_setup_plan, NULL },
	{ "deployment", STAGE_WORKLOAD, deployment_plan, phase_observe },
	{ "konnectivity-service", STAGE_WORKLOAD, NULL, konnectivity_service_observe },
	{ "ingress", STAGE_ROUTES, ingress_plan, ingress_observe },
	{ "gateway_routes", STAGE_ROUTES, gateway_plan, gateway_observe },
	{ "konnectivity_gateway_routes", STAGE_ROUTES, konnectivity_route_plan, konnectivity_route_observe },
};
const size_t step_count = ARRAY_LENGTH(steps);
