/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconciles DataStores: finalizer, usedBy, validation of references, deletion guard, and a real connection through the store's
 * driver. `status.ready` depends on valid references only, as upstream has it; whether the store answers is condition
 * kamaji.clastix.io/DataStoreConnection (True Connected, False with the driver's cause). A store that does not answer is asked again with
 * back-off up to a minute; when it answers again its tenants are queued.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct manager_context;
struct data_store_controller;

struct data_store_controller *data_store_controller_new(struct manager_context *context, struct error *err);
int data_store_controller_start(struct data_store_controller *controller, struct error *err);
bool data_store_controller_stop(struct data_store_controller *controller, uint64_t deadline_ms);
void data_store_controller_free(struct data_store_controller *controller);

void data_store_controller_enqueue(struct data_store_controller *controller, const char *name); /* any thread */
/* A reconcile found the store unreachable: the next check comes soon. Any thread. */
void data_store_controller_suspect(struct data_store_controller *controller, const char *name);
void data_store_controller_update_metrics(struct data_store_controller *controller); /* before /metrics is written */
/* Between two terms of leading: see worker_group_pause(). */
bool data_store_controller_pause(struct data_store_controller *controller, uint64_t deadline_ms);
void data_store_controller_resume(struct data_store_controller *controller);
