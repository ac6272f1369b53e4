/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/data_store_credentials.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/data_store.h"
#include "base/base64.h"
#include "base/map.h"
#include "base/strings.h"
#include "controllers/manager_context.h"
#include "io/thread.h"
#include "kube/cache.h"
#include "kube/client.h"

struct data_store_credentials {
	struct manager_context *context;
	pthread_mutex_t mutex; /* guards known */
	struct map known;      /* DataStore name -> struct data_store_access with one reference of ours */
};

/* The references are counted under one process-wide mutex: they change a few times per reconcile. */
static pthread_mutex_t reference_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct data_store_access *access_ref(struct data_store_access *access)
{
	THREAD_LOCKED(&reference_mutex);
	access->references++;
	return access;
}

void data_store_access_unref(struct data_store_access *access)
{
	if (!access)
		return;
	{
		THREAD_LOCKED(&reference_mutex);
		if (--access->references > 0)
			return;
	}
	datastore_connection_free(&access->connection);
	free(access->fingerprint);
	free(access);
}

static void unref_value(void *value)
{
	data_store_access_unref(value);
}

struct data_store_credentials *data_store_credentials_new(struct manager_context *context)
{
	struct data_store_credentials *credentials = calloc(1, sizeof(*credentials));

	if (!credentials)
		abort();
	credentials->context = context;
	(void)pthread_mutex_init(&credentials->mutex, NULL);
	return credentials;
}

void data_store_credentials_free(struct data_store_credentials *credentials)
{
	if (!credentials)
		return;
	map_free(&credentials->known, unref_value);
	(void)pthread_mutex_destroy(&credentials->mutex);
	free(credentials);
}

char *data_store_fingerprint(const struct manager_context *context, const json_t *data_store)
{
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct data_store store;
	struct error err;
	const char *keys[DATA_STORE_REFERENCES];
	struct buffer text = { 0 };

	buffer_printf(&text, "%s@%lld", json_string_or(data_store, "metadata.uid", ""),
	              (long long)json_integer_or(data_store, "metadata.generation", 0));
	if (data_store_parse(arena, data_store, &store, &err) < 0)
		return buffer_take(&text);
	size_t count = data_store_secrets(arena, &store, keys);

	for (size_t i = 0; i < count; i++) {
		KUBE_ENTRY_CLEANUP struct kube_entry *entry = manager_context_secret(context, keys[i]);

		buffer_printf(&text, ";%s@%s", keys[i], entry ? entry->resource_version : "");
	}
	return buffer_take(&text);
}

/* One resolve reads each Secret once, although two keys of it may be wanted. */
struct resolver {
	struct manager_context *context;
	struct cancel *cancel;
	struct map secrets; /* "namespace/name" -> json_t */
};

static void secret_decref(void *value)
{
	json_decref(value);
}

static json_t *read_secret(struct resolver *resolver, const char *namespace_name, const char *name, struct error *err)
{
	FREE_CLEANUP char *key = kube_key(namespace_name, name);
	json_t *secret = map_get(&resolver->secrets, key);

	if (secret)
		return secret;
	secret = kube_client_get(resolver->context->client, &kube_resource_secret, namespace_name, name, resolver->cancel, err);
	if (secret)
		(void)map_put(&resolver->secrets, key, secret);
	else if (err->class == ERROR_NOT_FOUND)
		(void)error_set(err, ERROR_NOT_FOUND, "Secret %s does not exist", key);
	return secret;
}

static int resolve(void *argument, const char *namespace_name, const char *name, const char *key, struct buffer *out, struct error *err)
{
	json_t *secret = read_secret(argument, namespace_name, name, err);

	if (!secret)
		return -1;
	const json_t *value = json_object_get(json_at(secret, "data"), key);

	if (!json_is_string(value))
		return error_set(err, ERROR_NOT_FOUND, "Secret %s/%s has no key %s", namespace_name, name, key);
	return base64_decode(json_string_value(value), json_string_length(value), out, err);
}

static struct data_store_access *known_access(struct data_store_credentials *credentials, const char *name, const char *fingerprint)
{
	THREAD_LOCKED(&credentials->mutex);
	struct data_store_access *access = map_get(&credentials->known, name);

	return access && string_equal(access->fingerprint, fingerprint) ? access_ref(access) : NULL;
}

int data_store_credentials_get(struct data_store_credentials *credentials, const json_t *data_store, struct data_store_access **access,
                               struct cancel *cancel, struct error *err)
{
	const char *name = json_string_or(data_store, "metadata.name", "");
	char *fingerprint = data_store_fingerprint(credentials->context, data_store);
	struct resolver resolver = { .context = credentials->context, .cancel = cancel };

	*access = known_access(credentials, name, fingerprint);
	if (*access) {
		free(fingerprint);
		return 0;
	}
	struct data_store_access *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		abort();
	fresh->references = 1;
	fresh->fingerprint = fingerprint;
	int result = datastore_connection_read(data_store, resolve, &resolver, &fresh->connection, err);

	map_free(&resolver.secrets, secret_decref);
	if (result < 0) {
		data_store_access_unref(fresh);
		return error_wrap(err, "DataStore %s", name);
	}
	struct data_store_access *old;

	{
		THREAD_LOCKED(&credentials->mutex);
		old = map_put(&credentials->known, name, access_ref(fresh));
	}
	data_store_access_unref(old);
	*access = fresh;
	return 0;
}

void data_store_credentials_forget(struct data_store_credentials *credentials, const char *name)
{
	struct data_store_access *old;

	{
		THREAD_LOCKED(&credentials->mutex);
		old = map_remove(&credentials->known, name);
	}
	data_store_access_unref(old);
}
