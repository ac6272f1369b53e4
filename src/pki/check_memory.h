/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the room: what was found good, remembered by the digest of everything that was looked at, so that the same certificates are not
 * decoded and verified again in every pass. Times are not part of what is remembered but beside it: whoever asks compares them with now.
 * Only good findings are kept. Making and freeing a memory: check.h. A memory that is NULL holds nothing and keeps nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pki/check.h"
#include "pki/digest.h"
#include "pki/pem.h"

struct check_finding {
	int64_t not_before, not_after;   /* of the certificate */
	int64_t chain_from, chain_until; /* when all certificates it was verified with are valid */
};

/* The digest of a question: every part with its length. */
struct check_question {
	unsigned char digest[DIGEST_MAXIMUM_SIZE];
};
struct digest *check_question_begin(const char *kind);
void check_question_add(struct digest *question, struct pem_text text);
void check_question_add_string(struct digest *question, const char *text); /* NULL is not "" */
void check_question_end(struct digest *question, struct check_question *ret_question);

bool check_memory_find(struct check_memory *memory, const struct check_question *question, struct check_finding *ret_finding);
void check_memory_put(struct check_memory *memory, const struct check_question *question, const struct check_finding *finding);
