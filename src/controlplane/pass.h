/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of this room share. Not for other rooms: they include controlplane/steps.h. */
#pragma once

#include "api/names.h"
#include "api/status.h"
#include "base/strings.h"
#include "controlplane/steps.h"
#include "pki/check.h"
#include "pki/digest.h"
#include "pki/key.h"
#include "pki/pem.h"

/* The Secrets of a tenant, in the order of their steps. */
enum credential {
	CREDENTIAL_CA,
	CREDENTIAL_FRONT_PROXY_CA,
	CREDENTIAL_SERVICE_ACCOUNT,
	CREDENTIAL_API_SERVER,
	CREDENTIAL_KUBELET_CLIENT,
	CREDENTIAL_FRONT_PROXY_CLIENT,
	CREDENTIAL_ADMIN_KUBECONFIG,
	CREDENTIAL_CONTROLLER_MANAGER_KUBECONFIG,
	CREDENTIAL_SCHEDULER_KUBECONFIG,
	CREDENTIAL_DATA_STORE_CONFIG,
	CREDENTIAL_DATA_STORE_CERTIFICATE,
	CREDENTIAL_KONNECTIVITY_CERTIFICATE,
	CREDENTIAL_KONNECTIVITY_KUBECONFIG,
	CREDENTIAL_COUNT,
};

/* What is fixed about each. */
struct credential_kind {
	const char *step, *suffix;
	const char *lifecycle;   /* LABEL_CERTIFICATE_LIFECYCLE value, or NULL */
	const char *status_path; /* where secretName and checksum are recorded */
	const char *type;        /* of a Secret we create */
	bool stamp;              /* the status member has lastUpdate */
};
extern const struct credential_kind credential_kinds[CREDENTIAL_COUNT];

/* Decoded data of a Secret, by key. Values live in the arena and are zeroed before it ends; each is followed by a NUL. */
struct secret_entry {
	const char *key, *value;
	size_t length;
};
struct secret_data {
	struct secret_entry *entries;
	size_t count, capacity;
};

struct credential_result {
	const char *name;
	struct secret_data data;           /* wanted: kept or new, foreign keys included */
	char checksum[DIGEST_HEX_SIZE];    /* the annotation */
	char data_digest[DIGEST_HEX_SIZE]; /* the pod label: MD5 over all data */
	bool ready, changed;
};

struct pending_record {
	enum step_stage stage;
	const char *path;
	json_t *members; /* stolen by status_record */
	bool stamp;
	struct pending_record *next;
};

struct pass_state {
	struct endpoint endpoint;
	const json_t *live[OBJECT_KIND_COUNT]; /* Service, Deployment, Ingress and main route, as last told */
	const json_t *live_konnectivity_route;
	const char *init_configuration, *cluster_configuration; /* without the final newline */
	const char *const *certificate_sans;                    /* kubeadm's certSANs; NULL-terminated */
	struct credential_result credentials[CREDENTIAL_COUNT];
	struct pending_record *records, **records_end;
	struct open_authority *authorities; /* those that signed in this pass */
	int64_t next_renewal;
};

/* Remembers why the pass cannot go on and sets *err; returns -1. */
int pass_block(struct pass *pass, struct error *err, enum error_class class, const char *reason, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* An object to apply, owned by the arena: apiVersion, kind, metadata with our labels and the owner reference. */
json_t *pass_new_object(struct pass *pass, const char *api_version, const char *kind, const char *name, const char *component);
void pass_want(struct pass *pass, const char *step, enum object_kind kind, const char *name, json_t *object, const json_t *live);
void pass_unwant(struct pass *pass, const char *step, enum object_kind kind, const char *name, const json_t *live);
/* Records into the status when the stage was applied. */
void pass_record(struct pass *pass, enum step_stage stage, const char *path, json_t *members, bool stamp);
/* Copies labels and annotations of an additionalMetadata object into metadata, as text. */
void metadata_merge(json_t *object, const json_t *additional);
/* The object lives as long as the pass. */
json_t *pass_own(struct pass *pass, json_t *value);
/* The profile of the tenant's Deployment: as asked by annotation on the tenant, else as the live one was made, else the default. */
enum template_profile pass_profile(const struct pass *pass);
void pass_note_renewal(struct pass *pass, const char *certificate, size_t length);
/* The same with the end of the certificate at hand, as check.h gives it; 0 says nothing. */
void pass_note_end(struct pass *pass, int64_t not_after);

/* Secrets: secret_data.c */
const json_t *pass_secret(const struct pass *pass, const char *name);
struct secret_data secret_data_read(struct pass *pass, const json_t *secret);
const struct secret_entry *secret_data_get(const struct secret_data *data, const char *key);
struct pem_text secret_data_pem(const struct secret_data *data, const char *key);
void secret_data_set(struct pass *pass, struct secret_data *data, const char *key, const char *value, size_t length);
void secret_data_digest(const struct pass *pass, const struct secret_data *data, char hex[DIGEST_HEX_SIZE]);
/* A copy in the arena that is zeroed when the arena ends. */
char *pass_secret_copy(struct pass *pass, const char *bytes, size_t length);
bool secret_rotation_requested(const json_t *secret);
/*
 * Ends a credential's plan: computes digests, wants the Secret with its annotations, records the status. `keys` (NULL-terminated) are
 * the keys we own and send. `checksum` NULL: the digest of the data. `rotated`: stamp the rotation annotation.
 */
void credential_finish(struct pass *pass, enum credential which, const struct secret_data *data, const char *const *keys,
                       const char *checksum, bool changed, bool rotated);
/* Names the Secret and reads the live one: NULL when absent. */
const json_t *credential_begin(struct pass *pass, enum credential which, struct secret_data *data);
/* The authority of CREDENTIAL_CA or CREDENTIAL_FRONT_PROXY_CA. */
struct pem_text credential_authority(const struct pass *pass, enum credential which);
struct pem_text credential_authority_key(const struct pass *pass, enum credential which);
/* A fresh key and the leaf for it, put into data under the two keys. */
int credential_issue(struct pass *pass, struct pem_text authority, struct pem_text authority_key, const struct certificate_request *request,
                     struct secret_data *data, const char *certificate_key, const char *private_key, struct error *err);
int pass_generate_key(struct pass *pass, bool service_account, struct key **key, struct error *err);

/* One per file. */
int service_plan(struct pass *pass, struct error *err);
int service_observe(struct pass *pass, struct error *err);
int upgrade_plan(struct pass *pass, struct error *err);
int migrate_plan(struct pass *pass, struct error *err);
int kubeadm_config_plan(struct pass *pass, struct error *err);
int certificate_authority_plan(struct pass *pass, struct error *err);
int front_proxy_ca_plan(struct pass *pass, struct error *err);
int service_account_key_plan(struct pass *pass, struct error *err);
int api_server_certificate_plan(struct pass *pass, struct error *err);
int kubelet_client_certificate_plan(struct pass *pass, struct error *err);
int front_proxy_client_certificate_plan(struct pass *pass, struct error *err);
int admin_kubeconfig_plan(struct pass *pass, struct error *err);
int controller_manager_kubeconfig_plan(struct pass *pass, struct error *err);
int scheduler_kubeconfig_plan(struct pass *pass, struct error *err);
int data_store_config_plan(struct pass *pass, struct error *err);
int data_store_setup_plan(struct pass *pass, struct error *err);
int data_store_certificate_plan(struct pass *pass, struct error *err);
int konnectivity_egress_plan(struct pass *pass, struct error *err);
int konnectivity_certificate_plan(struct pass *pass, struct error *err);
int konnectivity_kubeconfig_plan(struct pass *pass, struct error *err);
int konnectivity_service_observe(struct pass *pass, struct error *err);
int deployment_plan(struct pass *pass, struct error *err);
int phase_observe(struct pass *pass, struct error *err);
int ingress_plan(struct pass *pass, struct error *err);
int ingress_observe(struct pass *pass, struct error *err);
int gateway_plan(struct pass *pass, struct error *err);
int gateway_observe(struct pass *pass, struct error *err);
int konnectivity_route_plan(struct pass *pass, struct error *err);
int konnectivity_route_observe(struct pass *pass, struct error *err);
