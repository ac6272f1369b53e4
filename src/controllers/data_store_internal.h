/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the DataStore controller that only its own files use. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "controllers/data_store_controller.h"
#include "controllers/manager_context.h"
#include "controllers/worker_group.h"
#include "io/cancel.h"

enum {
	DATA_STORE_CHECK_MS = 60 * 1000, /* a store that answers is asked again after this */
	DATA_STORE_RETRY_MS = 1000,      /* one that does not, first after this, doubling */
	DATA_STORE_RETRY_MAXIMUM_MS = 30 * 1000,
	DATA_STORE_CHECK_TIMEOUT_MS = 5 * 1000,
};

/* Only the worker that owns the name touches one. */
struct data_store_record {
	char *fingerprint; /* credentials and endpoints that were seen last (free()) */
	bool usable;       /* valid and answering at the last look */
	bool known;        /* there was a last look */
	uint64_t retry_ms; /* next delay while it does not answer */
	char problem[256]; /* what the last Event told */
};

struct data_store_controller {
	struct manager_context *context;
	struct worker_group *group;
	pthread_mutex_t mutex; /* guards records, not what they point to */
	struct map records;    /* name -> struct data_store_record */
};

struct data_store_record *data_store_record_of(struct data_store_controller *controller, const char *name);
void data_store_record_forget(struct data_store_controller *controller, const char *name);

int data_store_reconcile(const char *name, struct cancel *cancel, void *controller, struct error *err);
