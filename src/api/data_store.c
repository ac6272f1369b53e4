/* SPDX-License-Identifier: Apache-2.0 */
#include "api/data_store.h"

#include <string.h>

#include "api/names.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "base/strings.h"

static const char *const driver_names[] = { "etcd", "MySQL", "PostgreSQL", "NATS" };

static void release(void *value)
{
	json_decref(value);
}

static struct content_reference read_reference(const json_t *spec, const char *path)
{
	const json_t *member = json_at(spec, path);
	const json_t *secret = json_object_get(member, "secretReference");
	struct content_reference reference = {
		.content = json_string_at(member, "content"),
		.secret_name = json_string_at(secret, "name"),
		.secret_namespace = json_string_at(secret, "namespace"),
		.key_path = json_string_at(secret, "keyPath"),
	};

	if (string_empty(reference.content))
		reference.content = NULL;
	reference.present = reference.content || json_is_object(secret);
	return reference;
}

static int read_endpoints(struct arena *arena, struct data_store *store, struct error *err)
{
	json_t *list = json_at(store->object, "spec.endpoints"), *item;
	size_t i;

	if (json_array_size(list) == 0)
		return error_set(err, ERROR_INVALID, "spec.endpoints of DataStore %s needs at least one host:port", store->name);
	store->endpoints.items = arena_alloc(arena, json_array_size(list) * sizeof(*store->endpoints.items));
	json_array_foreach(list, i, item) {
		if (!json_is_string(item))
			return error_set(err, ERROR_INVALID, "spec.endpoints[%zu] of DataStore %s must be text", i, store->name);
		store->endpoints.items[store->endpoints.count++] = json_string_value(item);
	}
	return 0;
}

static int read_driver(struct data_store *store, struct error *err)
{
	const char *name = json_string_or(store->object, "spec.driver", "");

	for (size_t i = 0; i < ARRAY_LENGTH(driver_names); i++)
		if (strcmp(name, driver_names[i]) == 0) {
			store->driver = (enum data_store_driver)i;
			store->driver_name = driver_names[i];
			return 0;
		}
	return error_set(err, ERROR_INVALID, "spec.driver of DataStore %s is \"%s\"; use etcd, MySQL, PostgreSQL or NATS", store->name,
	                 name);
}

static bool has_item(const json_t *list, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (string_equal(json_string_value(item), text))
			return true;
	return false;
}

int data_store_parse(struct arena *arena, const json_t *object, struct data_store *store, struct error *err)
{
	const json_t *spec;

	memset(store, 0, sizeof(*store));
	store->object = json_is_object(object) ? json_deep_copy(object) : NULL;
	if (!store->object)
		return error_set(err, ERROR_INVALID, "a DataStore must be an object");
	arena_defer(arena, release, store->object);
	store->name = json_string_or(store->object, "metadata.name", "");
	if (string_empty(store->name))
		return error_set(err, ERROR_INVALID, "metadata.name is required");
	store->uid = json_string_or(store->object, "metadata.uid", "");
	store->resource_version = json_string_or(store->object, "metadata.resourceVersion", "");
	store->generation = json_integer_or(store->object, "metadata.generation", 0);
	store->deleting = json_string_at(store->object, "metadata.deletionTimestamp") != NULL;
	store->paused = json_object_get(json_at(store->object, "metadata.annotations"), ANNOTATION_PAUSED) != NULL;
	store->has_finalizer = has_item(json_at(store->object, "metadata.finalizers"), FINALIZER_DATA_STORE);
	if (read_driver(store, err) != 0 || read_endpoints(arena, store, err) != 0)
		return -1;
	spec = json_object_get(store->object, "spec");
	store->has_tls = json_is_object(json_at(spec, "tlsConfig"));
	store->has_client_certificate = json_is_object(json_at(spec, "tlsConfig.clientCertificate"));
	store->has_basic_auth = json_is_object(json_at(spec, "basicAuth"));
	store->ca_certificate = read_reference(spec, "tlsConfig.certificateAuthority.certificate");
	store->ca_private_key = read_reference(spec, "tlsConfig.certificateAuthority.privateKey");
	store->client_certificate = read_reference(spec, "tlsConfig.clientCertificate.certificate");
	store->client_private_key = read_reference(spec, "tlsConfig.clientCertificate.privateKey");
	store->username = read_reference(spec, "basicAuth.username");
	store->password = read_reference(spec, "basicAuth.password");
	store->status = json_object_get(store->object, "status");
	store->ready = json_boolean_or(store->status, "ready", false);
	return 0;
}

size_t data_store_secrets(struct arena *arena, const struct data_store *store, const char *keys[DATA_STORE_REFERENCES])
{
	const struct content_reference *references[DATA_STORE_REFERENCES] = { &store->ca_certificate,     &store->ca_private_key,
		                                                              &store->client_certificate, &store->client_private_key,
		                                                              &store->username,           &store->password };
	size_t count = 0;

	for (size_t i = 0; i < DATA_STORE_REFERENCES; i++) {
		const struct content_reference *reference = references[i];
		const char *key;
		bool known = false;

		if (reference->content || string_empty(reference->secret_name) || string_empty(reference->secret_namespace))
			continue;
		key = arena_printf(arena, "%s/%s", reference->secret_namespace, reference->secret_name);
		for (size_t j = 0; j < count && !known; j++)
			known = strcmp(keys[j], key) == 0;
		if (!known)
			keys[count++] = key;
	}
	return count;
}

static int decode_into(struct arena *arena, const char *text, const char *what, const char **bytes, size_t *length, struct error *err)
{
	struct buffer decoded BUFFER_SECRET_CLEANUP = { 0 };

	if (base64_decode(text, strlen(text), &decoded, err) != 0)
		return error_wrap(err, "%s", what);
	*bytes = arena_strndup(arena, decoded.data ? decoded.data : "", decoded.length);
	*length = decoded.length;
	return 0;
}

int content_reference_resolve(struct arena *arena, const struct content_reference *reference, const json_t *secret, const char *what,
                              const char **bytes, size_t *length, struct error *err)
{
	const char *value;

	*bytes = NULL;
	*length = 0;
	if (reference->content)
		return decode_into(arena, reference->content, what, bytes, length, err);
	if (!reference->present || string_empty(reference->secret_name))
		return error_set(err, ERROR_INVALID, "%s has neither content nor secretReference", what);
	if (!secret)
		return error_set(err, ERROR_PENDING, "%s: Secret %s/%s does not exist", what,
		                 reference->secret_namespace ? reference->secret_namespace : "", reference->secret_name);
	value = json_string_value(json_object_get(json_object_get(secret, "data"), reference->key_path ? reference->key_path : ""));
	if (!value)
		return error_set(err, ERROR_PENDING, "%s: Secret %s/%s has no key %s", what, reference->secret_namespace,
		                 reference->secret_name, reference->key_path ? reference->key_path : "");
	return decode_into(arena, value, what, bytes, length, err);
}
