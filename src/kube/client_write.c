/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that write: create, replace, patch, apply, delete. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"
#include "base/strings.h"
#include "kube/client_internal.h"
#include "kube/json_bytes.h"

static const struct kube_write_options no_write_options;
static const struct kube_delete_options no_delete_options;

char *kube_call_text(const char *verb, const struct kube_resource *resource, const char *namespace, const char *name)
{
	FREE_CLEANUP char *key = string_empty(name) ? string_dup(namespace) : kube_key(resource->namespaced ? namespace : NULL, name);

	return string_empty(key) ? string_printf("%s %s", verb, resource->plural) : string_printf("%s %s %s", verb, resource->plural, key);
}

int kube_call_check(const struct kube_resource *resource, const char *namespace, const char *name, const char *what, struct error *err)
{
	/* An empty element would name the whole collection. */
	if (string_empty(name))
		return error_set(err, ERROR_BUG, "%s: the name is empty", what);
	if (resource->namespaced && string_empty(namespace))
		return error_set(err, ERROR_BUG, "%s %s: the namespace is empty", what, name);
	return 0;
}

/* The object's text with apiVersion and kind; secret_free(). */
static char *body_of(const struct kube_resource *resource, const json_t *object)
{
	char api_version[128];
	json_t *copy;
	char *text;

	if (json_object_get(object, "apiVersion") != NULL && json_object_get(object, "kind") != NULL)
		return json_text(object);
	copy = json_copy((json_t *)(uintptr_t)object);
	if (json_object_get(copy, "apiVersion") == NULL)
		json_object_set_new(copy, "apiVersion", json_string(kube_resource_api_version(resource, api_version, sizeof(api_version))));
	if (json_object_get(copy, "kind") == NULL)
		json_object_set_new(copy, "kind", json_string(resource->kind));
	text = json_text(copy);
	json_decref(copy);
	return text;
}

static char *write_path(const struct kube_resource *resource, const char *namespace, const char *name,
                        const struct kube_write_options *options, bool force)
{
	char *path = kube_resource_path(resource, namespace, name, options->subresource);

	path = kube_path_add_query(path, "fieldManager", options->field_manager != NULL ? options->field_manager : "kamaji");
	path = kube_path_add_query(path, "force", force ? "true" : NULL);
	return kube_path_add_query(path, "dryRun", options->dry_run ? "All" : NULL);
}

static json_t *send_object(struct kube_client *client, const struct kube_resource *resource, struct kube_request *request,
                           const struct kube_write_options *options, char *body, struct cancel *cancel, struct error *err)
{
	json_t *result;

	request->body = body;
	request->body_length = strlen(body);
	request->secret = options->secret || resource == &kube_resource_secret;
	result = kube_client_send_json(client, request, cancel, err);
	secret_free(body);
	return result;
}

json_t *kube_client_create(struct kube_client *client, const struct kube_resource *resource, const json_t *object,
                           const struct kube_write_options *options, struct cancel *cancel, struct error *err)
{
	const struct kube_write_options *chosen = options != NULL ? options : &no_write_options;
	const char *namespace = json_string_at(object, "metadata.namespace"), *name = json_string_at(object, "metadata.name");
	const char *shown = name != NULL ? name : json_string_at(object, "metadata.generateName");
	FREE_CLEANUP char *what = kube_call_text("create", resource, namespace, shown);
	FREE_CLEANUP char *path = write_path(resource, namespace, NULL, chosen, false);
	struct kube_request request = { .method = "POST", .path = path, .content_type = "application/json", .what = what };

	if (kube_call_check(resource, namespace, shown, what, err) != 0)
		return NULL;
	return send_object(client, resource, &request, chosen, body_of(resource, object), cancel, err);
}

json_t *kube_client_replace(struct kube_client *client, const struct kube_resource *resource, const json_t *object,
                            const struct kube_write_options *options, struct cancel *cancel, struct error *err)
{
	const struct kube_write_options *chosen = options != NULL ? options : &no_write_options;
	const char *namespace = json_string_at(object, "metadata.namespace"), *name = json_string_at(object, "metadata.name");
	FREE_CLEANUP char *what = kube_call_text("replace", resource, namespace, name);
	FREE_CLEANUP char *path = write_path(resource, namespace, name, chosen, false);
	struct kube_request request = { .method = "PUT", .path = path, .content_type = "application/json", .what = what };

	if (kube_call_check(resource, namespace, name, what, err) != 0)
		return NULL;
	return send_object(client, resource, &request, chosen, body_of(resource, object), cancel, err);
}

static const char *patch_content_type(enum kube_patch_type type)
{
	switch (type) {
	case KUBE_PATCH_MERGE:
		return "application/merge-patch+json";
	case KUBE_PATCH_JSON:
		return "application/json-patch+json";
	case KUBE_PATCH_STRATEGIC:
		return "application/strategic-merge-patch+json";
	case KUBE_PATCH_APPLY:
		break;
	}
	return "application/apply-patch+yaml"; /* JSON is YAML; every server version takes this name */
}

json_t *kube_client_patch(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                          enum kube_patch_type type, const json_t *patch, const struct kube_write_options *options, struct cancel *cancel,
                          struct error *err)
{
	const struct kube_write_options *chosen = options != NULL ? options : &no_write_options;
	FREE_CLEANUP char *what = kube_call_text(type == KUBE_PATCH_APPLY ? "apply" : "patch", resource, namespace, name);
	FREE_CLEANUP char *path = write_path(resource, namespace, name, chosen, type == KUBE_PATCH_APPLY && chosen->force);
	struct kube_request request = { .method = "PATCH", .path = path, .content_type = patch_content_type(type), .what = what };

	if (kube_call_check(resource, namespace, name, what, err) != 0)
		return NULL;
	return send_object(client, resource, &request, chosen, type == KUBE_PATCH_APPLY ? body_of(resource, patch) : json_text(patch),
	                   cancel, err);
}

json_t *kube_client_apply(struct kube_client *client, const struct kube_resource *resource, const json_t *object,
                          const struct kube_write_options *options, struct cancel *cancel, struct error *err)
{
	return kube_client_patch(client, resource, json_string_at(object, "metadata.namespace"), json_string_at(object, "metadata.name"),
	                         KUBE_PATCH_APPLY, object, options, cancel, err);
}

static char *delete_body(const struct kube_delete_options *options)
{
	JSON_CLEANUP json_t *body = json_build("{s:s, s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions", "propagationPolicy",
	                                       options->propagation != NULL ? options->propagation : "Background");

	json_put_string(body, "preconditions.uid", options->uid);
	json_put_string(body, "preconditions.resourceVersion", options->resource_version);
	if (options->grace_seconds != 0)
		json_object_set_new(body, "gracePeriodSeconds", json_integer(options->grace_seconds > 0 ? options->grace_seconds : 0));
	if (options->dry_run)
		json_object_set_new(body, "dryRun", json_build("[s]", "All"));
	return json_text(body);
}

/* The answer is a Status when the object is gone, and the object itself while it waits for something. */
static int send_delete(struct kube_client *client, const char *path, const char *what, bool secret,
                       const struct kube_delete_options *options, struct cancel *cancel, struct error *err)
{
	FREE_CLEANUP char *body = delete_body(options);
	const struct kube_request request = {
		.method = "DELETE",
		.path = path,
		.content_type = "application/json",
		.body = body,
		.body_length = strlen(body),
		.what = what,
		.secret = secret,
	};
	JSON_SCRUB_CLEANUP json_t *answer = kube_client_send_json(client, &request, cancel, err);

	if (options->completed != NULL)
		*options->completed = answer != NULL && string_equal(json_string_at(answer, "kind"), "Status") &&
		                      string_equal(json_string_at(answer, "status"), "Success");
	return answer != NULL ? 0 : -1;
}

int kube_client_delete(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                       const struct kube_delete_options *options, struct cancel *cancel, struct error *err)
{
	FREE_CLEANUP char *what = kube_call_text("delete", resource, namespace, name);
	FREE_CLEANUP char *path = kube_resource_path(resource, namespace, name, NULL);

	if (kube_call_check(resource, namespace, name, what, err) != 0)
		return -1;
	return send_delete(client, path, what, resource == &kube_resource_secret, options != NULL ? options : &no_delete_options, cancel,
	                   err);
}

int kube_client_delete_collection(struct kube_client *client, const struct kube_resource *resource, const char *namespace,
                                  const struct kube_list_options *list, const struct kube_delete_options *options, struct cancel *cancel,
                                  struct error *err)
{
	FREE_CLEANUP char *what = kube_call_text("delete all", resource, namespace, NULL);
	FREE_CLEANUP char *path = kube_resource_path(resource, namespace, NULL, NULL);

	if (resource->namespaced && string_empty(namespace))
		return error_set(err, ERROR_BUG, "%s: the namespace is empty", what);
	path = kube_path_add_query(path, "labelSelector", list != NULL ? list->label_selector : NULL);
	path = kube_path_add_query(path, "fieldSelector", list != NULL ? list->field_selector : NULL);
	return send_delete(client, path, what, resource == &kube_resource_secret, options != NULL ? options : &no_delete_options, cancel,
	                   err);
}
