/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "pki/openssl_int.h"

void certificate_pair_free(struct certificate_pair *pair)
{
	buffer_free(&pair->certificate);
	buffer_free_secret(&pair->key);
}

int openssl_error(struct error *err, enum error_class class, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return error_set(err, class, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

int pem_reader_open(struct pem_reader *reader, struct pem_text pem, const char *what, struct error *err)
{
	*reader = (struct pem_reader){ .what = what };
	if (pem.length == 0 || pem.bytes == NULL)
		return error_set(err, ERROR_CORRUPT, "the %s is empty", what);
	if (pem.length > PEM_MAXIMUM_BYTES)
		return error_set(err, ERROR_EXHAUSTED, "the %s has %zu bytes; at most %d are read", what, pem.length, PEM_MAXIMUM_BYTES);
	reader->bio = BIO_new_mem_buf(pem.bytes, (int)pem.length);
	if (reader->bio == NULL)
		return openssl_error(err, ERROR_SYSTEM, "memory for a PEM reader");
	return 0;
}

void pem_reader_close(struct pem_reader *reader)
{
	BIO_free(reader->bio);
	reader->bio = NULL;
}

void pem_block_free(struct pem_block *block)
{
	OPENSSL_secure_free(block->name);
	OPENSSL_secure_free(block->header);
	OPENSSL_secure_clear_free(block->bytes, block->length > 0 ? (size_t)block->length : 0);
	*block = (struct pem_block){ 0 };
}

int pem_reader_next(struct pem_reader *reader, struct pem_block *block, struct error *err)
{
	unsigned long code;

	pem_block_free(block);
	ERR_clear_error();
	/* The secure flag makes OpenSSL zero its own working copies, also without a secure heap. */
	if (PEM_read_bio_ex(reader->bio, &block->name, &block->header, &block->bytes, &block->length,
	                    PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) == 1)
		return 1;
	*block = (struct pem_block){ 0 };
	code = ERR_peek_last_error();
	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return 0;
	}
	(void)error_set(err, ERROR_CORRUPT, "the %s is not valid PEM: %s", reader->what,
	                ERR_reason_error_string(code) ? ERR_reason_error_string(code) : "unreadable");
	ERR_clear_error();
	return -1;
}
