/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant needs in the admin cluster, as a table of ordered steps (upstream's order and names). Steps do no I/O: they read one
 * immutable snapshot and give desired objects for server-side apply, and change the status under construction.
 *
 * One pass over a tenant, driven by the caller:
 *
 *     struct pass *pass = pass_new(arena, &input);
 *     for each stage, in order:
 *         pass_plan(pass, stage, err)     desired objects of this stage are added to pass->objects[pass->stage_begin[stage] ..]
 *         ... apply those that are not settled (api/owned_fields.h), in any order or all at once ...
 *         pass_set_live(pass, kind, name, object)      for the Service and the Deployment: what the server answered, or the cached one
 *         pass_observe(pass, stage, err)  the stage's results go into pass->status
 *     write pass->status when !status_equal(...)
 *
 * pass_plan() and pass_observe() stop at the first step that cannot go on: ERROR_PENDING with pass->blocked filled (wait for a watch event;
 * write the status all the same), or another class. Stages are chosen so that creating a tenant takes few round trips: the Service first
 * (its address is in every certificate), then every ConfigMap and Secret at once and, in parallel, the data store's user and role, then the
 * Deployment in its final form.
 *
 * A tenant whose inputs did not change needs no pass. When only its Deployment or Service changed, pass_refresh() suffices: it needs no
 * Secret. A pass belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/data_store.h"
#include "api/tenant_control_plane.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

struct key;          /* pki/key.h */
struct check_memory; /* pki/check.h */

enum object_kind {
	OBJECT_SERVICE,
	OBJECT_CONFIG_MAP,
	OBJECT_SECRET,
	OBJECT_DEPLOYMENT,
	OBJECT_INGRESS,
	OBJECT_TLS_ROUTE,
	OBJECT_KIND_COUNT
};

enum step_stage {
	STAGE_SERVICE,     /* the Service; observe reads its address */
	STAGE_CREDENTIALS, /* kubeadm ConfigMap, certificates, kubeconfigs, data-store Secrets */
	STAGE_DATA_STORE,  /* external: the caller carries out pass->grant with the datastore driver, between plan and observe */
	STAGE_WORKLOAD,    /* the Deployment; observe computes the phase */
	STAGE_ROUTES,      /* Ingress, TLSRoutes */
	STAGE_COUNT,
};

enum template_profile { PROFILE_NATIVE, PROFILE_UPSTREAM };
const char *template_profile_name(enum template_profile profile);             /* "native", "upstream" */
int template_profile_parse(const char *text, enum template_profile *profile); /* 0 or -1 */

/* What the operator was started with. */
struct step_options {
	enum template_profile profile; /* of Deployments we create; default native */
	int64_t certificate_threshold; /* seconds before the end at which a certificate is renewed (--certificate-expiration-deadline) */
	const char *kine_image;
	bool gateway_served;          /* gateway.networking.k8s.io/v1 TLSRoute is served */
	struct check_memory *checked; /* certificates that were found good stay so from pass to pass; NULL: looked at in each */
	/*
	 * A new private key for a certificate (`service_account` false: the --key-algorithm) or for signing service-account tokens (true:
	 * always RSA-2048, upstream replaces any other and breaks every token), owned by the step. NULL with *err set; ERROR_PENDING when
	 * keys are made elsewhere and this pass should be tried again.
	 */
	struct key *(*generate_key)(void *context, bool service_account, struct error *err);
	void *generate_key_context;
};

/* A DataStore with the bytes behind its references (PEM or text, NULL when absent); content_reference_resolve() makes them. */
struct step_data_store {
	const struct data_store *store;
	const char *ca_certificate, *ca_private_key, *client_certificate, *client_private_key, *username, *password;
};

/* Everything a pass may read. Borrowed until the arena ends; live objects are NULL when they do not exist. */
struct step_input {
	const struct tenant_control_plane *tenant;
	const struct step_options *options;
	struct step_data_store data_store;
	const struct step_data_store *overrides; /* tenant->override_count of them, same order */
	const json_t *service, *deployment, *kubeadm_config_map, *egress_config_map, *ingress, *route, *konnectivity_route;
	const json_t *const *secrets; /* the tenant's Secrets with their data, in any order; those without our labels included */
	size_t secret_count;
	const json_t *const *gateways; /* Gateways that the routes' parents name, as far as they exist */
	size_t gateway_count;
	int64_t now; /* wall seconds */
};

struct desired_object {
	enum object_kind kind;
	const char *name;   /* in the tenant's namespace */
	const char *step;   /* component label, metric label */
	json_t *object;     /* to apply as it is; NULL when it is to be deleted */
	const json_t *live; /* what the input held of that name, or NULL */
	bool sensitive;     /* holds keys: never log */
	bool replace_data;  /* the live object has data we do not want and do not own: replace it guarded by resourceVersion */
};

/* What must exist in the data store before the API server starts. */
struct data_store_grant {
	const struct step_data_store *data_store;
	const char *schema, *user, *password;
	const struct data_store_grant *next; /* the overrides' */
};

/* Why a pass cannot go on: goes into the Ready condition and the Event. */
struct step_block {
	const char *step;    /* name of the blocking step, "" when nothing blocks */
	const char *reason;  /* one CamelCase word */
	const char *message; /* for people: what it waits for and the remedy */
};

struct pass {
	struct arena *arena;
	const struct step_input *input;
	json_t *status; /* under construction; owned by the arena */
	struct desired_object *objects;
	size_t object_count;
	size_t stage_begin[STAGE_COUNT + 1];
	const struct data_store_grant *grant; /* after planning STAGE_DATA_STORE */
	struct step_block blocked;
	bool certificate_authority_replaced; /* tenant clients must be rebuilt */
	bool admin_kubeconfig_changed;
	struct pass_state *state; /* private to the steps */
};

struct step {
	const char *name; /* component label and metric label */
	enum step_stage stage;
	int (*plan)(struct pass *pass, struct error *err);    /* NULL: nothing to plan */
	int (*observe)(struct pass *pass, struct error *err); /* NULL: nothing to observe */
};

extern const struct step steps[];
extern const size_t step_count;

struct pass *pass_new(struct arena *arena, const struct step_input *input);
int pass_plan(struct pass *pass, enum step_stage stage, struct error *err);
void pass_set_live(struct pass *pass, enum object_kind kind, const char *name, const json_t *object);
int pass_observe(struct pass *pass, enum step_stage stage, struct error *err);
/* All steps passed: observedGeneration, the Ready condition. Call before writing the status of a complete pass. */
void pass_complete(struct pass *pass);
/* The pass ended early with `err`: the Ready condition names the step, the reason and the message. */
void pass_fail(struct pass *pass, const struct error *err);

/*
 * The status after a change of the live Service or Deployment alone: endpoint, Service status, Deployment status, phase, condition. When
 * controlPlaneEndpoint comes out different from the stored one, certificates and flags have to follow: run a whole pass.
 */
int pass_refresh(struct pass *pass, struct error *err);

/* Earliest moment (seconds since the epoch) at which a certificate of this tenant must be renewed, 0 when none is known: after STAGE_CREDENTIALS
 * was planned. Call again then; nothing polls. */
int64_t pass_next_renewal(const struct pass *pass);
