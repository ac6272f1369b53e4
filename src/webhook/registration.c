/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/registration.h"

#include <string.h>

#include "base/base64.h"
#include "base/strings.h"
#include "kube/client.h"
#include "webhook/webhook.h"

static bool cert_manager_injects(const json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_at(object, "metadata.annotations"), name, value)
		if (string_has_prefix(name, "cert-manager.io/inject-"))
			return true;
	return false;
}

/* The path that is asked, when the stanza is ours; else NULL. free() it. */
static char *stanza_path(const json_t *stanza, const struct registration *registration)
{
	const json_t *service = json_object_get(stanza, "service");
	const char *url = json_string_or(stanza, "url", "");

	if (json_is_object(service) && string_equal(json_string_at(service, "name"), registration->service) &&
	    string_equal(json_string_at(service, "namespace"), registration->namespace_name))
		return string_dup(json_string_or(service, "path", "/"));
	if (!string_empty(registration->url) && string_has_prefix(url, registration->url) && url[strlen(registration->url)] == '/')
		return string_dup(url + strlen(registration->url));
	return NULL;
}

/* Makes one clientConfig what it should be, at the pointer `path`. */
static void add_stanza(json_t *operations, const json_t *stanza, const char *path, const char *bundle,
                       const struct registration *registration)
{
	FREE_CLEANUP char *asked = stanza_path(stanza, registration);

	if (!asked)
		return;
	if (!string_empty(registration->url)) {
		FREE_CLEANUP char *url = string_printf("%s%s", registration->url, asked);
		JSON_CLEANUP json_t *wanted = json_build("{s:s,s:s}", "url", url, "caBundle", bundle);

		if (!json_equal(wanted, stanza))
			json_array_append_new(operations, json_build("{s:s,s:s,s:O}", "op", "add", "path", path, "value", wanted));
	} else if (!string_equal(json_string_at(stanza, "caBundle"), bundle)) {
		FREE_CLEANUP char *member = string_printf("%s/caBundle", path);

		json_array_append_new(operations, json_build("{s:s,s:s,s:s}", "op", "add", "path", member, "value", bundle));
	}
}

json_t *registration_operations(const json_t *object, const struct registration *registration)
{
	FREE_CLEANUP char *bundle = base64_encode_new(registration->authorities, strlen(registration->authorities));
	json_t *operations = json_array(), *webhook;
	size_t i;

	if (registration->foreign && cert_manager_injects(object))
		return operations;
	json_array_foreach(json_object_get(object, "webhooks"), i, webhook) {
		FREE_CLEANUP char *path = string_printf("/webhooks/%zu/clientConfig", i);

		add_stanza(operations, json_object_get(webhook, "clientConfig"), path, bundle, registration);
	}
	if (string_equal(json_string_at(object, "spec.conversion.strategy"), "Webhook"))
		add_stanza(operations, json_at(object, "spec.conversion.webhook.clientConfig"), "/spec/conversion/webhook/clientConfig",
		           bundle, registration);
	if (json_array_size(operations) > 0)
		json_array_insert_new(operations, 0,
		                      json_build("{s:s,s:s,s:s}", "op", "test", "path", "/metadata/resourceVersion", "value",
		                                 json_string_or(object, "metadata.resourceVersion", "")));
	return operations;
}

static int publish_one(struct kube_client *client, const struct kube_resource *resource, const char *name,
                       const struct registration *registration, bool *wrote, struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *object = kube_client_get(client, resource, NULL, name, cancel, err);
	JSON_CLEANUP json_t *operations = object ? registration_operations(object, registration) : NULL;
	JSON_CLEANUP json_t *result = NULL;

	if (!object)
		return err->class == ERROR_NOT_FOUND ? 0 : error_wrap(err, "%s %s", resource->plural, name);
	if (json_array_size(operations) == 0)
		return 0;
	result = kube_client_patch(client, resource, NULL, name, KUBE_PATCH_JSON, operations, NULL, cancel, err);
	if (!result)
		return error_wrap(err, "caBundle of %s %s", resource->plural, name);
	*wrote = true;
	return 0;
}

int registration_publish(struct kube_client *client, const struct registration *registration, bool *wrote, struct cancel *cancel,
                         struct error *err)
{
	if (publish_one(client, &kube_resource_mutating_webhook_configuration, WEBHOOK_MUTATING, registration, wrote, cancel, err) < 0 ||
	    publish_one(client, &kube_resource_validating_webhook_configuration, WEBHOOK_VALIDATING, registration, wrote, cancel, err) < 0)
		return -1;
	return publish_one(client, &kube_resource_custom_resource_definition, WEBHOOK_CRD, registration, wrote, cancel, err);
}
