/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the webhooks answer, without a network: AdmissionReview and ConversionReview in, review out. What has to be looked up goes through
 * struct admission, so that tests and fuzzing need no API server.
 *
 *   /mutate-...-tenantcontrolplane     defaults on CREATE; parents that are missing are created by the patch
 *   /validate-...-tenantcontrolplane   upstream's checks in upstream's words, then what can never work (api/tenant_control_plane.h)
 *   /telemetry                         always allowed
 *   /migrate, /write-permission        always denied (CONNECT is allowed): called by tenants' API servers
 *   /convert                           the objects as they are: there is one version
 *
 * An update is refused for what it brings in; what the stored object has already is a warning. Objects being deleted and updates that leave
 * spec alone always pass, so that a finalizer can be removed whatever became of the DataStore.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/names.h" /* ADMISSION_PATH_WRITE_PERMISSION */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "io/cancel.h"

#define ADMISSION_PATH_MUTATE "/mutate-kamaji-clastix-io-v1alpha1-tenantcontrolplane"
#define ADMISSION_PATH_VALIDATE "/validate-kamaji-clastix-io-v1alpha1-tenantcontrolplane"
#define ADMISSION_PATH_TELEMETRY "/telemetry"
#define ADMISSION_PATH_FREEZE "/migrate"
#define ADMISSION_PATH_CONVERT "/convert"

enum {
	ADMISSION_MAXIMUM_BODY = 8 * 1024 * 1024, /* object and old object, each at most what etcd takes */
	ADMISSION_MAXIMUM_WARNINGS = 8,
	ADMISSION_MAXIMUM_WARNING = 240, /* bytes; API servers cut longer ones */
	ADMISSION_MAXIMUM_MESSAGE = 4096,
};

/* Functions may block and come from several threads; any may be NULL: then that check is left out. */
struct admission {
	const char *default_data_store; /* may be NULL */
	/* The driver's name in the arena ("etcd"), or NULL when there is no such DataStore. */
	const char *(*data_store_driver)(const char *name, struct arena *arena, void *argument);
	/* Whether gateway.networking.k8s.io/v1 serves TLSRoute; -1 when that cannot be found out. */
	int (*gateway_served)(bool *group, bool *tls_route, struct cancel *cancel, void *argument, struct error *err);
	/* Whether the Deployment that would come of the tenant is accepted; ERROR_INVALID when it is not. */
	int (*check_deployment)(const json_t *tenant, struct cancel *cancel, void *argument, struct error *err);
	void *argument;
};

/*
 * One request. Returns the HTTP status and appends the body: 200 with a review, 400 for what is no review (text), 404 for an unknown path.
 */
int admission_answer(const struct admission *admission, const char *path, const char *bytes, size_t length, struct cancel *cancel,
                     struct buffer *body);
