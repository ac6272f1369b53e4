/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes keys and certificates in parallel and off the loops. A step asks for all it needs at once and waits for all of it; RSA keys are
 * made on the issuer's own few threads (0.2 s of CPU each), ECDSA ones in the caller (0.1 ms with the signature). A small stock of RSA-2048
 * keys made in advance lets a new tenant's service-account key come at once; the stock is refilled in the background, held in
 * memory that is zeroed on release. Thread-safe.
 *
 *   struct issuer_job jobs[] = {
 *       { .kind = ISSUER_SERVICE_ACCOUNT, .pair = &service_account },
 *       { .kind = ISSUER_AUTHORITY, .algorithm = KEY_ECDSA_P256, .common_name = "kubernetes", .pair = &authority },
 *   };
 *   if (issuer_run(issuer, jobs, ARRAY_LENGTH(jobs), cancel, err)) return -1;
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "io/cancel.h"
#include "pki/certificate.h"
#include "pki/key.h"
#include "pki/pem.h"

struct issuer;

struct issuer_options {
	unsigned threads;   /* 0: 1 */
	unsigned rsa_stock; /* RSA-2048 keys kept ready; 0: none. Good default: 2 */
};

struct issuer *issuer_new(const struct issuer_options *options, struct error *err);
void issuer_free(struct issuer *issuer); /* waits for what is under way; NULL is fine */

enum issuer_kind {
	ISSUER_AUTHORITY,       /* common_name: self-signed CA and key */
	ISSUER_LEAF,            /* request, signed by authority, with a new key */
	ISSUER_SERVICE_ACCOUNT, /* always RSA-2048: pair.key = private key, pair.certificate = `PUBLIC KEY` PEM */
};

struct issuer_job {
	enum issuer_kind kind;
	enum key_algorithm algorithm;                  /* not for ISSUER_SERVICE_ACCOUNT */
	const char *common_name;                       /* ISSUER_AUTHORITY */
	const struct certificate_authority *authority; /* ISSUER_LEAF */
	const struct certificate_request *request;     /* ISSUER_LEAF */
	struct certificate_pair *pair;                 /* result; cleared first */
};
/*
 * Runs all jobs and waits. -1 with the first error (no result is complete then) or when cancel triggers; jobs still being worked on
 * are finished and thrown away in the background.
 */
int issuer_run(struct issuer *issuer, struct issuer_job *jobs, size_t count, struct cancel *cancel, struct error *err);
/* One RSA-2048 key, from the stock when there is one; key_free(). NULL with the error, or when cancel triggers. */
struct key *issuer_key(struct issuer *issuer, struct cancel *cancel, struct error *err);
/* RSA-2048 keys ready in the stock now: for a gauge and for tests. */
unsigned issuer_stock(struct issuer *issuer);
