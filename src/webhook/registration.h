/* SPDX-License-Identifier: Apache-2.0 */
/* Tells API servers whom to trust: the caBundle of the webhook configurations and of the CRD's conversion. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "io/cancel.h"

struct kube_client;

struct registration {
	const char *authorities;              /* PEM */
	const char *namespace_name, *service; /* only stanzas that name this Service are ours */
	const char *url;                      /* "": the Service is asked; else this URL and the path take the place of it */
	bool foreign;                         /* the certificate is another's: objects that cert-manager injects into are left alone */
};

/*
 * The JSON patch that brings one configuration or CRD up to date, guarded by its resourceVersion; an empty array when it is. New reference.
 * Pure.
 */
json_t *registration_operations(const json_t *object, const struct registration *registration);
/* All three objects; those that do not exist are left out. *wrote becomes true when anything was changed. */
int registration_publish(struct kube_client *client, const struct registration *registration, bool *wrote, struct cancel *cancel,
                         struct error *err);
