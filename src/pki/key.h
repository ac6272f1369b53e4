/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private and public keys. Read: PKCS#1, SEC1 and PKCS#8 PEM (upstream adopts all three, cert-manager writes EC CAs), unencrypted only.
 * Written as Go and kubeadm write them: `RSA PRIVATE KEY` (PKCS#1), `EC PRIVATE KEY` (SEC1, named curve), `PUBLIC KEY` (PKIX).
 * Key material is zeroed when freed and never logged; errors never quote input bytes. A struct key is immutable: any thread may use
 * it; the owner frees it once.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "pki/pem.h"

/* Names as kubeadm's ClusterConfiguration.encryptionAlgorithm has them. */
enum key_algorithm {
	KEY_ECDSA_P256, /* "ECDSA-P256": about 0.03 ms to make */
	KEY_ECDSA_P384, /* "ECDSA-P384" */
	KEY_RSA_2048,   /* "RSA-2048": about 0.2 s of CPU to make */
	KEY_RSA_3072,   /* "RSA-3072" */
	KEY_RSA_4096,   /* "RSA-4096" */
};

struct key;

/* `what` names the option in the error ("--key-algorithm"). */
int key_algorithm_parse(const char *text, const char *what, enum key_algorithm *algorithm, struct error *err);
const char *key_algorithm_name(enum key_algorithm algorithm);
bool key_algorithm_is_rsa(enum key_algorithm algorithm);

/* RSA takes its time on the calling thread: see pki/issuer.h. */
int key_generate(enum key_algorithm algorithm, struct key **key, struct error *err);
/* The first private key in the PEM text; certificates or parameters before it are skipped. ERROR_CORRUPT for anything that is no
 * RSA (1024 bits at least) or EC (P-256, P-384, P-521) key, is encrypted, or is inconsistent in itself. */
int key_parse(struct pem_text pem, struct key **key, struct error *err);
/* The first `PUBLIC KEY` or `RSA PUBLIC KEY`. */
int key_parse_public(struct pem_text pem, struct key **key, struct error *err);
void key_free(struct key *key); /* NULL is fine */

int key_write_private(const struct key *key, struct buffer *out, struct error *err); /* appends; free out with buffer_free_secret() */
int key_write_public(const struct key *key, struct buffer *out, struct error *err);  /* appends */

bool key_is_rsa(const struct key *key);
unsigned key_bits(const struct key *key);
/* "RSA 2048", "ECDSA P-256". The text is static. */
const char *key_description(const struct key *key);
/* True when both have the same public part (a private key matches its public key and its certificate's). */
bool key_matches(const struct key *a, const struct key *b);

static inline void key_cleanup(struct key **key)
{
	key_free(*key);
}
#define KEY_CLEANUP __attribute__((cleanup(key_cleanup)))
