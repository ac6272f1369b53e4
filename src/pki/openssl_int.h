/* SPDX-License-Identifier: Apache-2.0 */
/* Private to this room: what key.c and certificate*.c share about OpenSSL. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/error.h"
#include "pki/key.h"
#include "pki/pem.h"

struct key {
	EVP_PKEY *handle;
	bool has_private;
};

struct certificate_authority {
	X509 *certificate;
	struct key *key;
};

static inline void openssl_x509_cleanup(X509 **certificate)
{
	X509_free(*certificate);
}
#define X509_CLEANUP __attribute__((cleanup(openssl_x509_cleanup)))

/* Adds the first queued OpenSSL reason to the message and empties the thread's queue. Always -1. */
int openssl_error(struct error *err, enum error_class class, const char *what);

/* One block of a PEM text. Free with pem_block_free(), which zeroes. */
struct pem_block {
	char *name; /* "CERTIFICATE" */
	char *header;
	unsigned char *bytes;
	long length;
};
void pem_block_free(struct pem_block *block);
#define PEM_BLOCK_CLEANUP __attribute__((cleanup(pem_block_free)))

/* Reads blocks one after the other. `reader` is zero-initialised with the text. 1: a block, 0: no more, -1: malformed. */
struct pem_reader {
	BIO *bio;
	const char *what; /* "certificate": for errors */
};
int pem_reader_open(struct pem_reader *reader, struct pem_text pem, const char *what, struct error *err);
int pem_reader_next(struct pem_reader *reader, struct pem_block *block, struct error *err);
void pem_reader_close(struct pem_reader *reader);
#define PEM_READER_CLEANUP __attribute__((cleanup(pem_reader_close)))

/* key_ec.c. Each gives up (NULL, 0, false) on what it does not know: then OpenSSL's general ways are taken. */
EVP_PKEY *key_ec_read(const unsigned char *der, long length);      /* SEC1 with named curve and public key; not checked for consistency */
int key_ec_write(const EVP_PKEY *handle, BIO *bio);                /* 1: `EC PRIVATE KEY` was written */
bool key_ec_set_public(const EVP_PKEY *handle, X509_PUBKEY *into); /* into has no key yet */

/* The certificate's public key as a struct key that borrows nothing. */
int key_of_certificate(X509 *certificate, struct key **key, struct error *err);

/* Next certificate of the reader: 1, 0 or -1. Other kinds of blocks are skipped. */
int certificate_next(struct pem_reader *reader, X509 **certificate, struct error *err);
/* The first certificate; none is ERROR_CORRUPT. */
int certificate_first(struct pem_text pem, X509 **certificate, struct error *err);
/* Seconds since the epoch. */
int certificate_time(const ASN1_TIME *time, int64_t *seconds, struct error *err);
/* Of the first certificate, or with `all` the time in which every one of the bundle is valid; keys are not decoded. 0, or -1. */
int certificate_validity(struct pem_text pem, bool all, int64_t *not_before, int64_t *not_after);
unsigned certificate_usages(X509 *certificate, bool *present);
