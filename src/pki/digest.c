/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct digest {
	EVP_MD_CTX *context;
	const EVP_MD *algorithm;
};

/* Fetching by name on every use costs more than hashing a certificate; fetched once, constant afterwards. */
static EVP_MD *fetched[2];
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	fetched[DIGEST_MD5] = EVP_MD_fetch(NULL, "MD5", NULL);
	if (fetched[DIGEST_MD5] == NULL) /* a FIPS configuration hides it; as a change mark it is fit all the same */
		fetched[DIGEST_MD5] = EVP_MD_fetch(NULL, "MD5", "-fips");
	fetched[DIGEST_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static const EVP_MD *algorithm_of(enum digest_algorithm algorithm)
{
	(void)pthread_once(&fetched_once, fetch);
	if (fetched[algorithm] == NULL)
		abort();
	return fetched[algorithm];
}

static void must(int result)
{
	if (result != 1)
		abort();
}

static void write_hex(const unsigned char *bytes, size_t length, char *hex)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < length; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * length] = '\0';
}

struct digest *digest_new(enum digest_algorithm algorithm)
{
	struct digest *digest = malloc(sizeof(*digest));

	if (digest == NULL)
		abort();
	digest->algorithm = algorithm_of(algorithm);
	digest->context = EVP_MD_CTX_new();
	if (digest->context == NULL)
		abort();
	must(EVP_DigestInit_ex2(digest->context, digest->algorithm, NULL));
	return digest;
}

void digest_free(struct digest *digest)
{
	if (digest == NULL)
		return;
	EVP_MD_CTX_free(digest->context);
	free(digest);
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
	if (length > 0)
		must(EVP_DigestUpdate(digest->context, bytes, length));
}

void digest_add_string(struct digest *digest, const char *text)
{
	if (text != NULL)
		digest_add(digest, text, strlen(text));
}

size_t digest_finish(struct digest *digest, unsigned char bytes[DIGEST_MAXIMUM_SIZE])
{
	unsigned length = 0;

	must(EVP_DigestFinal_ex(digest->context, bytes, &length));
	must(EVP_DigestInit_ex2(digest->context, digest->algorithm, NULL));
	return length;
}

void digest_finish_hex(struct digest *digest, char hex[DIGEST_HEX_SIZE])
{
	unsigned char bytes[DIGEST_MAXIMUM_SIZE];

	write_hex(bytes, digest_finish(digest, bytes), hex);
}

size_t digest_bytes(enum digest_algorithm algorithm, const void *bytes, size_t length, unsigned char out[DIGEST_MAXIMUM_SIZE])
{
	unsigned size = 0;

	must(EVP_Digest(length > 0 ? bytes : "", length, out, &size, algorithm_of(algorithm), NULL));
	return size;
}

void digest_hex(enum digest_algorithm algorithm, const void *bytes, size_t length, char hex[DIGEST_HEX_SIZE])
{
	unsigned char out[DIGEST_MAXIMUM_SIZE];

	write_hex(out, digest_bytes(algorithm, bytes, length, out), hex);
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct digest_entry *)a)->key, ((const struct digest_entry *)b)->key);
}

void digest_entries_hex(struct digest_entry *entries, size_t count, char hex[DIGEST_HEX_SIZE])
{
	struct digest *digest DIGEST_CLEANUP = digest_new(DIGEST_MD5);

	if (count > 1)
		qsort(entries, count, sizeof(*entries), compare_entries);
	for (size_t i = 0; i < count; i++)
		digest_add(digest, entries[i].value, entries[i].length);
	digest_finish_hex(digest, hex);
}

void digest_strings_hex(const char *const *strings, bool nul, char hex[DIGEST_HEX_SIZE])
{
	struct digest *digest DIGEST_CLEANUP = digest_new(DIGEST_MD5);

	for (; *strings != NULL; strings++)
		digest_add(digest, *strings, strlen(*strings) + (nul ? 1 : 0));
	digest_finish_hex(digest, hex);
}
