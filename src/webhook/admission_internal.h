/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind admission.h share. */
#pragma once

#include "api/tenant_control_plane.h"
#include "base/strings.h"
#include "webhook/admission.h"

struct admission_request {
	const struct admission *admission;
	struct arena *arena;
	struct cancel *cancel;
	const char *operation;             /* "CREATE", "UPDATE", "DELETE", "CONNECT" */
	const json_t *object, *old_object; /* NULL when absent */
};

/* Zero: allowed. Texts live in the arena. */
struct admission_verdict {
	bool denied;
	int code; /* of a denial: 403 unless said otherwise */
	const char *message;
	json_t *patch; /* RFC 6902 operations, owned; NULL or empty: none */
	const char *warnings[ADMISSION_MAXIMUM_WARNINGS];
	size_t warning_count;
};

void verdict_deny(struct admission_verdict *verdict, struct arena *arena, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Those that are too many are left out. */
void verdict_warn(struct admission_verdict *verdict, struct arena *arena, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* tenant_mutation.c */
void admission_mutate(const struct admission_request *request, struct admission_verdict *verdict);
/* tenant_admission.c */
void admission_validate(const struct admission_request *request, struct admission_verdict *verdict);

/*
 * upstream_checks.c: each gives upstream's words for what is wrong with the tenant, or NULL. Some words are captured from upstream, others
 * only their sense.
 */
const char *upstream_check_names(struct arena *arena, const struct tenant_control_plane *tenant);
const char *upstream_check_dns(struct arena *arena, const struct tenant_control_plane *tenant);
const char *upstream_check_name(struct arena *arena, const struct tenant_control_plane *tenant);
const char *upstream_check_version(struct arena *arena, const char *version);
const char *upstream_check_upgrade(struct arena *arena, const char *previous, const char *version);

/* json_difference.c: the operations that make `after` of `before`, parents first. New reference, perhaps an empty array. */
json_t *json_difference(const json_t *before, const json_t *after);
/* conversion.c: the response member of a ConversionReview. */
json_t *conversion_response(const json_t *request);
