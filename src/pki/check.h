/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Is this still good": the reuse rules of kamaji-behaviour 2.2. Each returns true when the stored thing may be kept, else false with the
 * reason in words fit for an Event ("expires in 3h", "signed by another CA", "SAN 10.0.0.5 is missing", "key does not match"). Anything
 * malformed is just not good, with its reason; these functions have no errors. The clock is clock_wall_seconds(). Any thread.
 *
 * What was found good is remembered by the digest of all that was looked at, and is not decoded and verified again; its times are compared
 * with the clock each time. The functions ..._made() note what the caller has just made itself, of these very parts: it is good. Whoever asks
 * often for the same owns a memory and gives it along; with NULL nothing is remembered.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pki/certificate.h"
#include "pki/pem.h"

enum { CHECK_REASON_SIZE = 256 };

/* Good findings, 3 MiB at most: then a new one takes the place of an older. Any thread; it must outlive the checks that are given it. */
struct check_memory *check_memory_new(void);
void check_memory_free(struct check_memory *memory); /* NULL is fine */

struct check_reason {
	char text[CHECK_REASON_SIZE]; /* "" when good */
	int64_t not_after;            /* when good: the certificate's, seconds since the epoch; 0 for keys without one */
};

/* A leaf and its key. Fields left zero are not checked; certificate is needed. */
struct check_certificate {
	struct pem_text certificate;
	struct pem_text key;       /* must be the certificate's */
	struct pem_text authority; /* the certificate must chain to a certificate of this bundle ... */
	unsigned usage;            /* ... and allow all of these usages (enum certificate_usage) */
	const char *const *sans;   /* NULL-terminated; each must be among the SANs; more SANs than these are fine */
	const char *common_name;   /* must be equal */
	int64_t threshold_seconds; /* not good when notAfter <= now + this */
};
bool check_certificate(struct check_memory *memory, const struct check_certificate *check, struct check_reason *reason);
void check_certificate_made(struct check_memory *memory, const struct check_certificate *check);

/* CA and front-proxy CA: parses, is a CA, key matches, notBefore < now, notAfter > now + threshold. */
bool check_authority(struct check_memory *memory, struct pem_text certificate, struct pem_text key, int64_t threshold_seconds,
                     struct check_reason *reason);
void check_authority_made(struct check_memory *memory, struct pem_text certificate, struct pem_text key);

/* Service-account pair: both parse, the public key is RSA and is the private key's. Keys of other algorithms are not good: upstream would
 * replace them. */
bool check_service_account(struct check_memory *memory, struct pem_text public_key, struct pem_text private_key,
                           struct check_reason *reason);
void check_service_account_made(struct check_memory *memory, struct pem_text public_key, struct pem_text private_key);

/* A kubeconfig text: parses, embeds exactly this CA, its client certificate and key match, verify against the CA for clientAuth and are
 * valid beyond the threshold; server, cluster and user are compared when not NULL. */
struct check_kubeconfig {
	struct pem_text text;
	struct pem_text authority;
	const char *server, *cluster, *user;
	int64_t threshold_seconds;
};
bool check_kubeconfig(struct check_memory *memory, const struct check_kubeconfig *check, struct check_reason *reason);
void check_kubeconfig_made(struct check_memory *memory, const struct check_kubeconfig *check,
                           struct pem_text certificate); /* certificate: the one inside */
