/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was settled, kept over a restart. The digest of a settled tenant's inputs (tenant_digest.h) names the very revision of every object
 * that a pass would read: if it comes out the same again, the pass would find nothing to do again. So a graceful stop writes all of them into
 * one ConfigMap of the operator's namespace, and a start that finds a tenant as it was left reads no Secret, decodes no certificate and
 * writes nothing. It holds hashes and times, no contents.
 *
 * What was remembered counts only for the same program with the same options; anything missing, unreadable or different costs a pass, no more.
 */
#pragma once

#include "io/cancel.h"

struct tenant_controller;

/* Before the workers start. Without a namespace nothing is kept. */
void tenant_memory_load(struct tenant_controller *controller, struct cancel *cancel);
/* After the workers have ended, while the Lease is still held. Does nothing when all is as it was loaded. */
void tenant_memory_save(struct tenant_controller *controller, struct cancel *cancel);
