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

/* The certificate's public key as a struct key that borrows nothing. */
int key_of_certificate(X509 *certificate, struct key **key, struct error *err);

/* Next certificate of the reader: 1, 0 or -1. Other kinds of blocks are skipped. */
int certificate_next(struct pem_reader *reader, X509 **certificate, struct error *err);
/* The first certificate; none is ERROR_CORRUPT. */
int certificate_first(struct pem_text pem, X509 **certificate, struct error *err);
/* Seconds since the epoch. */
int certificate_time(const ASN1_TIME *time, int64_t *seconds, struct error *err);
unsigned certificate_usages(X509 *certificate, bool *present);
