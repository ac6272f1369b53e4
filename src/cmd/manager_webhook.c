/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/manager_webhook.h"

#include <stdlib.h>

#include "controllers/manager_context.h"
#include "controllers/tenant_dry_run.h"
#include "webhook/webhook.h"

struct manager_webhook {
	const struct manager_options *options;
	struct manager_context *context;
	struct webhook *webhook;
};

struct manager_webhook *manager_webhook_new(const struct manager_options *options)
{
	struct manager_webhook *webhook = calloc(1, sizeof(*webhook));

	if (!webhook)
		abort();
	webhook->options = options;
	return webhook;
}

static int check_deployment(const json_t *tenant, struct cancel *cancel, void *argument, struct error *err)
{
	return tenant_dry_run(((struct manager_webhook *)argument)->context, tenant, cancel, err);
}

static int start(struct manager_context *context, void *argument, struct error *err)
{
	struct manager_webhook *webhook = argument;
	const struct manager_options *options = webhook->options;
	const struct webhook_options wanted = {
		.loop = context->loop,
		.client = context->client,
		.data_stores = context->data_stores,
		.secrets = context->references,
		.address = options->webhook_address,
		.namespace_name = options->namespace_name,
		.service = options->webhook_service,
		.url = options->webhook_url,
		.certificate_folder = options->webhook_certificates,
		.data_store = options->data_store,
		.certificate_lifetime_ms = options->webhook_lifetime_ms,
		.check_deployment = check_deployment,
		.argument = webhook,
	};

	webhook->context = context;
	webhook->webhook = webhook_start(&wanted, err);
	return webhook->webhook ? 0 : -1;
}

static void lead(void *argument)
{
	webhook_lead(((struct manager_webhook *)argument)->webhook);
}

static void stop(void *argument)
{
	struct manager_webhook *webhook = argument;

	if (webhook->webhook)
		webhook_stop(webhook->webhook);
}

static void release(void *argument)
{
	struct manager_webhook *webhook = argument;

	webhook_free(webhook->webhook);
	free(webhook);
}

struct manager_extension manager_webhook_extension(struct manager_webhook *webhook)
{
	return (struct manager_extension){ .start = start, .lead = lead, .stop = stop, .release = release, .argument = webhook };
}
