/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TenantControlPlane as the rest of the program sees it: defaults applied, the fields everybody needs typed, the rest reachable
 * as JSON. Strings and trees belong to the arena the view was parsed into and are never changed by readers.
 *
 * Defaulting gives what the CRD's defaults and the admission webhook give together, so that reconciling does not depend on the webhook.
 * Two differences of upstream's webhook are kept out: it never fills dataStoreSchema (the UID does not exist yet at that point), and the
 * effective schema and user come from status first (status.storage.setup), then spec, then the UID.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

enum service_type { SERVICE_CLUSTER_IP, SERVICE_NODE_PORT, SERVICE_LOAD_BALANCER };

struct string_array {
	const char **items;
	size_t count;
};

struct data_store_override {
	const char *resource, *data_store;
};

struct tenant_control_plane {
	json_t *object;                                /* defaulted copy; lives as long as the arena */
	json_t *spec, *deployment, *service, *network; /* borrowed from object; never NULL (an empty object stands for an absent one) */
	const json_t *status;                          /* as read; NULL when there is none yet */

	const char *name, *namespace, *uid, *resource_version;
	int64_t generation;
	bool deleting; /* metadata.deletionTimestamp is set */
	bool paused;

	const char *version;    /* spec.kubernetes.version, verbatim */
	const char *data_store; /* spec.dataStore or the operator's default; "" when neither */
	struct data_store_override *overrides;
	size_t override_count;
	const char *schema, *user; /* effective: status.storage.setup, then spec, then the UID */

	int64_t replicas;
	enum service_type service_type;
	int64_t port;
	const char *address;           /* spec.networkProfile.address, "" when absent */
	const char *advertise_address; /* "" when absent */
	bool address_as_external_ip;
	const char *cluster_domain;
	struct string_array service_cidrs, pod_cidrs; /* effective: the list without repeats, sorted as text, else the single field */
	struct string_array dns_service_ips, certificate_names; /* certificate_names: spec.networkProfile.certSANs, in the user's order */
	const char *ingress_hostname, *gateway_hostname;        /* "" when absent; may be "host:port" */
	const json_t *ingress, *gateway;                        /* NULL when absent */
	const json_t *konnectivity, *core_dns, *kube_proxy;     /* spec.addons members; NULL when absent */
	bool write_limited;                                     /* any of spec.writePermissions */

	/* From status; "" when absent. */
	const char *installed_version, *phase, *endpoint, *used_data_store;
};

/*
 * Reads one object, defaults it and fills the view. `default_data_store` (may be NULL) stands in for an empty spec.dataStore.
 * Any JSON is survived; only a missing metadata.name or namespace, or a member of the wrong type, is an error (ERROR_INVALID).
 */
int tenant_parse(struct arena *arena, const json_t *object, const char *default_data_store, struct tenant_control_plane *tenant,
                 struct error *err);

/* Applies the defaults to a TenantControlPlane in place: the CRD's, then the creation webhook's. Wrong types are left alone. */
void tenant_default(json_t *object, const char *default_data_store);

/* What the status says of the address every certificate and flag is made for: host and port of status.controlPlaneEndpoint. */
struct endpoint {
	const char *host; /* without brackets */
	uint16_t port;
};
/* -1 with ERROR_PENDING while the text is empty. */
int endpoint_parse(struct arena *arena, const char *text, struct endpoint *endpoint, struct error *err);

/* networkProfile.advertiseAddress, else the assigned address: --advertise-address. */
const char *tenant_advertised_address(const struct tenant_control_plane *tenant, const struct endpoint *assigned);
/* kubeadm's controlPlaneEndpoint ("host:port"): ingress host, else gateway host, else the advertised address; the port is the assigned
 * one unless the host name is written "host:port". The servers of admin.conf, super-admin.conf and cluster-info. */
const char *tenant_kubeadm_endpoint(struct arena *arena, const struct tenant_control_plane *tenant, const struct endpoint *assigned);

/* One thing a person has to change. */
struct field_problem {
	const char *field;   /* "spec.networkProfile.port" */
	const char *message; /* what is wrong, with the value */
	const char *remedy;  /* what to write instead */
	bool upstream;       /* upstream refuses it as well; otherwise it is accepted there and can never work */
	bool hint;           /* works on some clusters only: say so, never refuse */
	struct field_problem *next;
};

/*
 * All problems of one object, first to last; NULL when there are none. `previous` is the stored object on update, else NULL (version
 * steps are checked against it). What needs the API server (does the DataStore exist, is the Gateway API served) is not checked here.
 */
const struct field_problem *tenant_validate(struct arena *arena, const json_t *object, const json_t *previous);
/* The first problem that is no hint, or NULL. */
const struct field_problem *field_problems_blocking(const struct field_problem *problems);
/* "field: message (remedy)" joined by "; ", hints last. */
const char *field_problems_text(struct arena *arena, const struct field_problem *problems);
