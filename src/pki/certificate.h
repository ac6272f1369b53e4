/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X.509 certificates as kubeadm and upstream make them (kamaji-behaviour 2.1). Validity is anchored at the moment of issue
 * (clock_wall_seconds()), not at process start as upstream does (defect T-1). Extensions come in the order Go's crypto/x509 writes them.
 * ECDSA changes the signature and the key only: kubeadm keeps keyEncipherment in keyUsage for every algorithm, so do we.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "pki/key.h"
#include "pki/pem.h"

enum {
	CERTIFICATE_BACKDATE_SECONDS = 5 * 60,        /* notBefore = now - this */
	CERTIFICATE_AUTHORITY_SECONDS = 87600 * 3600, /* kubeadm's CA period */
	CERTIFICATE_LEAF_SECONDS = 8760 * 3600,       /* kubeadm's leaf period */
	CERTIFICATE_TEMPLATE_YEARS = 10,              /* calendar years of CERTIFICATE_PROFILE_TEN_YEARS */
};

/* Extended key usage, a mask. */
enum certificate_usage {
	CERTIFICATE_SERVER_AUTH = 1,
	CERTIFICATE_CLIENT_AUTH = 2,
	CERTIFICATE_CODE_SIGNING = 4,
};

enum certificate_profile {
	/* digitalSignature + keyEncipherment, basicConstraints CA:false, one year from now; needs usages */
	CERTIFICATE_PROFILE_KUBEADM = 0,
	/* The etcd client and konnectivity certificates: digitalSignature only, no basicConstraints, no SAN, SubjectKeyId 01 02 03 04 06, from
	 * now to ten calendar years later, clientAuth + serverAuth + codeSigning unless usages says otherwise */
	CERTIFICATE_PROFILE_TEN_YEARS,
};

struct certificate_request {
	const char *common_name;          /* needed */
	const char *const *organizations; /* NULL-terminated, or NULL */
	unsigned usages;                  /* enum certificate_usage */
	const char *const *sans; /* NULL-terminated DNS names (a leading "*." is allowed) and IP addresses, or NULL; written sorted, once */
	enum certificate_profile profile;
	int64_t not_before, not_after; /* seconds since the epoch; 0: what the profile says */
};

/* A self-signed CA for the key: CN, DNS SAN = CN, digitalSignature + keyEncipherment + certSign, 10 years. Appends PEM. */
int certificate_create_authority(const char *common_name, const struct key *key, struct buffer *certificate, struct error *err);

/* A CA certificate with its key, parsed and matched, ready to sign. Immutable: any thread. */
struct certificate_authority;
int certificate_authority_open(struct pem_text certificate, struct pem_text key, struct certificate_authority **authority,
                               struct error *err);
void certificate_authority_free(struct certificate_authority *authority); /* NULL is fine */
static inline void certificate_authority_cleanup(struct certificate_authority **authority)
{
	certificate_authority_free(*authority);
}
#define CERTIFICATE_AUTHORITY_CLEANUP __attribute__((cleanup(certificate_authority_cleanup)))

/* Signs a certificate for the key's public part. Appends PEM. ERROR_INVALID names the SAN or field that cannot be used. */
int certificate_issue(const struct certificate_authority *authority, const struct certificate_request *request, const struct key *key,
                      struct buffer *certificate, struct error *err);

/* Everything a reader may want to know; all text lives in the arena. */
struct certificate_facts {
	const char *common_name;          /* "" when the subject has none */
	const char *const *organizations; /* NULL-terminated, never NULL, in order */
	const char *subject, *issuer;     /* RFC 2253-like, "CN=x,O=y" */
	int64_t not_before, not_after;    /* seconds since the epoch */
	const char *const *dns_names;     /* NULL-terminated, never NULL */
	const char *const *ip_addresses;  /* text, likewise */
	bool is_authority;                /* basicConstraints CA:true */
	bool has_basic_constraints;
	unsigned key_usage;                 /* X.509 bits: KEY_USAGE_* below; 0 when the extension is absent */
	unsigned usages;                    /* enum certificate_usage; others are not shown */
	const char *key;                    /* key_description(), "unsupported" for other kinds of key */
	const char *serial;                 /* hex */
	const char *fingerprint;            /* sha256 of the DER, hex */
	const char *public_key_fingerprint; /* sha256 of the SubjectPublicKeyInfo, hex */
};
enum {
	KEY_USAGE_DIGITAL_SIGNATURE = 1,
	KEY_USAGE_KEY_ENCIPHERMENT = 2,
	KEY_USAGE_CERTIFICATE_SIGN = 4,
	KEY_USAGE_CRL_SIGN = 8,
	KEY_USAGE_OTHER = 16
};

/* The first certificate of the text. ERROR_CORRUPT when there is none or it cannot be parsed. */
int certificate_read(struct pem_text pem, struct arena *arena, struct certificate_facts *facts, struct error *err);
/* All certificates of a bundle (PEM_MAXIMUM_CERTIFICATES at most); any malformed one fails the whole. At least one. */
int certificate_read_bundle(struct pem_text pem, struct arena *arena, struct certificate_facts **facts, size_t *count, struct error *err);
/* notAfter of the first certificate, for the expiry watcher: nothing behind the validity is looked at. */
int certificate_not_after(struct pem_text pem, int64_t *not_after, struct error *err);
/* SHA-256 of the SubjectPublicKeyInfo of the first certificate as kubeadm join wants it: "sha256:HEX" in text[72]. */
int certificate_public_key_pin(struct pem_text pem, char text[72], struct error *err);

/* Why a SAN is unfit for certSANs (kubeadm's rule: IP, DNS-1123 subdomain, or wildcard "*." + subdomain): 0 or ERROR_INVALID. */
int certificate_san_validate(const char *san, struct error *err);
