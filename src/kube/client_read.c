/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that read: get, list, raw paths, discovery. */
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/client_internal.h"
#include "kube/json_bytes.h"

json_t *kube_client_get(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                        struct cancel *cancel, struct error *err)
{
	FREE_CLEANUP char *path = kube_resource_path(resource, namespace, name, NULL);
	FREE_CLEANUP char *what = kube_call_text("get", resource, namespace, name);
	const struct kube_request request = { .path = path, .what = what, .secret = resource == &kube_resource_secret };

	if (kube_call_check(resource, namespace, name, what, err) != 0)
		return NULL;
	return kube_client_send_json(client, &request, cancel, err);
}

/* Gives the items of one page to visit; 1 when it ended the walk. */
static int visit_page(const struct kube_resource *resource, const json_t *page, bool metadata_only,
                      int (*visit)(json_t *item, void *argument), void *argument)
{
	char api_version[128];
	json_t *item;
	size_t index;

	(void)kube_resource_api_version(resource, api_version, sizeof(api_version));
	json_array_foreach(json_object_get(page, "items"), index, item) {
		if (!metadata_only && json_is_object(item)) {
			if (json_object_get(item, "kind") == NULL)
				json_object_set_new(item, "kind", json_string(resource->kind));
			if (json_object_get(item, "apiVersion") == NULL)
				json_object_set_new(item, "apiVersion", json_string(api_version));
		}
		if (visit(item, argument) != 0)
			return 1;
	}
	return 0;
}

static json_t *get_page(struct kube_client *client, const struct kube_resource *resource, const char *namespace,
                        const struct kube_list_options *options, const char *token, struct cancel *cancel, struct error *err)
{
	FREE_CLEANUP char *limit = string_printf("%u", options->page_size != 0 ? options->page_size : KUBE_PAGE_SIZE);
	FREE_CLEANUP char *what = kube_call_text("list", resource, namespace, NULL);
	FREE_CLEANUP char *path = kube_resource_path(resource, namespace, NULL, NULL);
	struct kube_request request = { .what = what, .secret = options->secret || resource == &kube_resource_secret };
	json_t *page;

	path = kube_path_add_query(path, "limit", limit);
	path = kube_path_add_query(path, "labelSelector", options->label_selector);
	path = kube_path_add_query(path, "fieldSelector", options->field_selector);
	path = kube_path_add_query(path, "continue", token);
	request.path = path;
	if (options->metadata_only)
		request.accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
	page = kube_client_send_json(client, &request, cancel, err);
	if (page != NULL && !json_is_array(json_object_get(page, "items")) && !json_is_null(json_object_get(page, "items"))) {
		json_decref(page);
		error_set(err, ERROR_CORRUPT, "%s: the answer is not a list", what);
		return NULL;
	}
	return page;
}

int kube_client_each(struct kube_client *client, const struct kube_resource *resource, const char *namespace,
                     const struct kube_list_options *options, int (*visit)(json_t *item, void *argument), void *argument,
                     struct cancel *cancel, struct error *err)
{
	static const struct kube_list_options none = { 0 };
	const struct kube_list_options *chosen = options != NULL ? options : &none;
	FREE_CLEANUP char *token = NULL;

	for (;;) {
		json_t *page = get_page(client, resource, namespace, chosen, token, cancel, err);
		int ended;

		if (page == NULL)
			return -1;
		ended = visit_page(resource, page, chosen->metadata_only, visit, argument);
		free(token);
		token = string_dup(json_string_at(page, "metadata.continue"));
		json_decref(page);
		if (ended || string_empty(token))
			return 0;
	}
}

static int append_item(json_t *item, void *argument)
{
	json_array_append(argument, item);
	return 0;
}

json_t *kube_client_list(struct kube_client *client, const struct kube_resource *resource, const char *namespace,
                         const struct kube_list_options *options, struct cancel *cancel, struct error *err)
{
	json_t *items = json_array();

	if (kube_client_each(client, resource, namespace, options, append_item, items, cancel, err) == 0)
		return items;
	json_decref(items);
	return NULL;
}

int kube_client_get_raw(struct kube_client *client, const char *path, struct buffer *out, struct cancel *cancel, struct error *err)
{
	FREE_CLEANUP char *what = string_printf("get %s", path);
	const struct kube_request request = { .path = path, .what = what, .accept = "*/*" };
	HTTP_RESPONSE_CLEANUP struct http_response response = { 0 };

	if (kube_client_send(client, &request, &response, cancel, err) != 0)
		return -1;
	if (!buffer_append(out, response.body.data != NULL ? response.body.data : "", response.body.length))
		return error_set(err, ERROR_EXHAUSTED, "%s: the answer is longer than %zu bytes", what, out->limit);
	return 0;
}

json_t *kube_client_version(struct kube_client *client, struct cancel *cancel, struct error *err)
{
	const struct kube_request request = { .path = "/version", .what = "get /version" };

	return kube_client_send_json(client, &request, cancel, err);
}

int kube_client_ready(struct kube_client *client, struct cancel *cancel, struct error *err)
{
	BUFFER_CLEANUP struct buffer text = { 0 };

	return kube_client_get_raw(client, "/readyz", &text, cancel, err);
}

int kube_client_serves(struct kube_client *client, const struct kube_resource *resource, bool *served, struct cancel *cancel,
                       struct error *err)
{
	char api_version[128];
	FREE_CLEANUP char *path = string_printf("/%s/%s", resource->group[0] != '\0' ? "apis" : "api",
	                                        kube_resource_api_version(resource, api_version, sizeof(api_version)));
	FREE_CLEANUP char *what = string_printf("discover %s", api_version);
	const struct kube_request request = { .path = path, .what = what };
	JSON_CLEANUP json_t *list = kube_client_send_json(client, &request, cancel, err);
	json_t *row;
	size_t index;

	*served = false;
	if (list == NULL) {
		if (err->class != ERROR_NOT_FOUND)
			return -1;
		error_clear(err);
		return 0;
	}
	json_array_foreach(json_object_get(list, "resources"), index, row)
		if (string_equal(json_string_at(row, "name"), resource->plural))
			*served = true;
	return 0;
}
