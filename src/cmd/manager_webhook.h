/* SPDX-License-Identifier: Apache-2.0 */
/* The webhooks as a part of the manager: the two rooms do not know each other, so they are joined here. */
#pragma once

#include "controllers/manager.h"
#include "controllers/manager_options.h"

struct manager_webhook;

/* Not started. options outlives it. */
struct manager_webhook *manager_webhook_new(const struct manager_options *options);
/* What manager_set_extension() wants; it frees the webhook with the manager. */
struct manager_extension manager_webhook_extension(struct manager_webhook *webhook);
