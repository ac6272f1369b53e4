/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which changes need a pass. Two texts are compared with those of the last pass that had nothing to write:
 *
 *   inputs    everything the steps read. Of objects that others write all the time (Deployment and Service status, most of our own status) only
 *             what the steps look at counts, so a rollout does not make every certificate be verified again.
 *   progress  versions of the tenant, its Service and its Deployment: a change here alone needs a look at the phase, no Secret.
 *
 * Pure. Lines are collected in any order and digested sorted.
 */
#pragma once

#include "base/json.h"
#include "base/strings.h"
#include "pki/digest.h"

/* uid, generation, labels, annotations, deletion, and the parts of status that steps read back. */
void tenant_digest_tenant(struct string_list *lines, const json_t *tenant);
/* uid, metadata that we write, spec, load-balancer address. NULL: absent. */
void tenant_digest_service(struct string_list *lines, const json_t *service);
/* uid, metadata that we write, generation. The API server raises the generation with every change of spec or annotations. */
void tenant_digest_deployment(struct string_list *lines, const json_t *deployment);
/* uid, and what the gateways' cache keeps of it. */
void tenant_digest_gateway(struct string_list *lines, const json_t *gateway);
/* An object whose every change matters. */
void tenant_digest_version(struct string_list *lines, const char *kind, const char *key, const char *uid, const char *resource_version);
/* Sorts the lines. */
void tenant_digest_finish(struct string_list *lines, char hex[DIGEST_HEX_SIZE]);
