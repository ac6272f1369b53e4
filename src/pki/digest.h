/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MD5 and SHA-256. MD5 is no protection here: it is the change mark that upstream keeps in annotations, pod labels and status
 * (`checksum`), and it must come out equal to the byte, else a switch of operators restarts every tenant. The algorithms are
 * fetched once per process. All functions: any thread; a struct digest belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum digest_algorithm { DIGEST_MD5, DIGEST_SHA256 };
enum { DIGEST_MAXIMUM_SIZE = 32, DIGEST_HEX_SIZE = 65 /* holds both, with NUL: 32 or 64 digits */ };

struct digest;

struct digest *digest_new(enum digest_algorithm algorithm); /* never NULL */
void digest_free(struct digest *digest);                    /* NULL is fine */
void digest_add(struct digest *digest, const void *bytes, size_t length);
void digest_add_string(struct digest *digest, const char *text); /* without the NUL; NULL adds nothing */
/* Ends the computation; the digest may be used again from its start afterwards. */
void digest_finish_hex(struct digest *digest, char hex[DIGEST_HEX_SIZE]);
size_t digest_finish(struct digest *digest, unsigned char bytes[DIGEST_MAXIMUM_SIZE]);

static inline void digest_cleanup(struct digest **digest)
{
	digest_free(*digest);
}
#define DIGEST_CLEANUP __attribute__((cleanup(digest_cleanup)))

/* The whole in one call. */
void digest_hex(enum digest_algorithm algorithm, const void *bytes, size_t length, char hex[DIGEST_HEX_SIZE]);
size_t digest_bytes(enum digest_algorithm algorithm, const void *bytes, size_t length, unsigned char out[DIGEST_MAXIMUM_SIZE]);

/*
 * Upstream's checksum of a Secret's or ConfigMap's data (kamaji-api 4.5): hex MD5 of the values (decoded bytes) one after the other, in
 * bytewise order of their keys; the keys are not hashed. No entries give the MD5 of nothing. The array is sorted in place.
 */
struct digest_entry {
	const char *key;
	const void *value;
	size_t length;
};
void digest_entries_hex(struct digest_entry *entries, size_t count, char hex[DIGEST_HEX_SIZE]);
/* The same over all values of a NULL-terminated list of strings, in the given order, each followed by a NUL byte when `nul` is set
 * (the args annotation of the Deployment). */
void digest_strings_hex(const char *const *strings, bool nul, char hex[DIGEST_HEX_SIZE]);
