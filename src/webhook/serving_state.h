/* SPDX-License-Identifier: Apache-2.0 */
/* What the Secret of the serving certificate holds, and the next state of it. Pure: PEM in, PEM out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

/* Zero-initialise; serving_state_free() zeroes the keys. Absent parts are empty. */
struct serving_state {
	struct buffer authorities;      /* ca.crt: the one that signs first, then those that may still be trusted somewhere */
	struct buffer authority_key;    /* ca.key, of the first */
	struct buffer certificate, key; /* tls.crt, tls.key */
};
void serving_state_free(struct serving_state *state);
#define SERVING_STATE_CLEANUP __attribute__((cleanup(serving_state_free)))

struct serving_plan {
	const char *common_name;
	const char *const *sans;  /* NULL-terminated */
	int64_t lifetime_seconds; /* of a certificate; an authority is replaced when it would end before a new certificate */
	bool published;           /* every API server trusts all of state->authorities */
};

/*
 * Makes what is missing, unfit or due: *changed. A working certificate is replaced by one of a new authority only when that is published.
 * *next_seconds: when to look again (wall clock).
 */
int serving_state_advance(struct serving_state *state, const struct serving_plan *plan, bool *changed, int64_t *next_seconds,
                          struct error *err);

/* From a Secret's data; members that are absent stay empty. ERROR_CORRUPT: base64. */
int serving_state_read(struct serving_state *state, const json_t *secret, struct error *err);
/* The Secret's data member, of base64. New reference. */
json_t *serving_state_data(const struct serving_state *state);
