/* SPDX-License-Identifier: Apache-2.0 */
/* What a DataStore's status says, as a pure function of what was found out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/strings.h"

/* Ours: does the store answer. Readiness does not depend on it, as upstream's does not. */
#define CONDITION_DATA_STORE_CONNECTION "kamaji.clastix.io/DataStoreConnection"

struct data_store_findings {
	const struct string_list *used_by; /* sorted "namespace/name" */
	const char *invalid_reason;        /* reason of DataStoreValidation=False, NULL when valid */
	const char *invalid_message;
	bool connection_known;         /* the store was asked */
	const char *connection_reason; /* "Connected", or why not */
	const char *connection_message;
	bool connected;
	bool deletion_refused; /* being deleted while in use */
};

/* The whole status (new reference): `stored` (may be NULL) with the findings in it. */
json_t *data_store_status(const json_t *stored, const struct data_store_findings *findings, int64_t generation, int64_t now);
