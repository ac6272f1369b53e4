/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gauges about tenants, DataStores and certificates, under upstream's names. Small records are kept from cache notices and become series
 * when /metrics is asked, so that a change of one object costs nothing per other object. Lives on the loop's thread.
 */
#pragma once

#include <stdint.h>

#include "base/json.h"

struct manager_context;
struct manager_metrics;

/* Registers handlers at the context's caches: after the caches are made, before they start. */
struct manager_metrics *manager_metrics_new(struct manager_context *context);
void manager_metrics_update(struct manager_metrics *metrics); /* on the loop, before metrics_write() */
void manager_metrics_free(struct manager_metrics *metrics);   /* after the caches are gone */

/* How long one step (handler) took. */
void manager_metrics_observe_step(const char *step, double seconds);

/*
 * Transform of the Secret cache: notes when the first certificate in it ends (member SECRET_NOT_AFTER, seconds since the epoch) for Secrets
 * with the lifecycle label, then replaces all values by digests.
 */
#define SECRET_NOT_AFTER "kamajiNotAfter"
void manager_metrics_secret_transform(json_t *secret, void *unused);
/* Earliest end among the certificates of a Secret with its values, 0 when it has none. `data` is base64, as in the API. Pure. */
int64_t manager_metrics_not_after(const json_t *data);
