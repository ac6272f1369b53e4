/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/etcd.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/etcd_client.h"
#include "net/tls.h"
#include "pki/certificate.h"

enum { NAME_MAXIMUM_BYTES = 512, AUTH_ATTEMPTS = 8, AUTH_RETRY_MS = 10 };

struct etcd_store {
	struct etcd_client *client;
	char *user;                /* CN of the operator's certificate */
	int64_t not_after;         /* its end */
	atomic_bool authenticated; /* authentication was seen enabled by this client */
};

static void etcd_close(void *client)
{
	struct etcd_store *store = client;

	etcd_client_free(store->client);
	free(store->user);
	free(store);
}

static int read_own_certificate(const struct datastore_connection *connection, struct etcd_store *store, struct error *err)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct certificate_facts facts;

	if (certificate_read(pem_text(&connection->client_certificate), arena, &facts, err))
		return error_wrap(err, "spec.tlsConfig.clientCertificate.certificate");
	store->user = string_dup(facts.common_name);
	store->not_after = facts.not_after;
	return 0;
}

static int etcd_open(struct loop *loop, const struct datastore_connection *connection, void **client, struct error *err)
{
	struct tls_client_options tls = {
		.ca_pem = connection->authority_certificate.data,
		.ca_pem_length = connection->authority_certificate.length,
		.certificate_pem = connection->client_certificate.data,
		.certificate_pem_length = connection->client_certificate.length,
		.key_pem = connection->client_key.data,
		.key_pem_length = connection->client_key.length,
	};
	struct tls_identity *identity TLS_IDENTITY_CLEANUP = tls_client_identity_new(&tls, err);
	struct etcd_client_options options = {
		.loop = loop,
		.endpoints = (const char *const *)connection->endpoints.items,
		.endpoint_count = connection->endpoints.count,
		.identity = identity,
	};
	struct etcd_store *store;

	if (identity == NULL)
		return -1;
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		abort();
	if (read_own_certificate(connection, store, err) || (store->client = etcd_client_new(&options, err)) == NULL) {
		etcd_close(store);
		return -1;
	}
	*client = store;
	return 0;
}

/* Puts what was tried in front ("delete etcd user \"x\""), and what to do about refusals whose text does not say it. Always -1. */
static int explain(const struct etcd_store *store, struct error *err, const char *what, const char *name)
{
	(void)error_wrap(err, "%s \"%s\"", what, name);
	if (err->class != ERROR_FORBIDDEN || string_has_prefix(err->reason, "Certificate")) /* the TLS layer named certificate and cause */
		return -1;
	return error_wrap(err, "etcd user \"%s\" (the CN of spec.tlsConfig.clientCertificate) must exist and have the role root",
	                  store->user);
}

static int see_certificate_is_valid(const struct etcd_store *store, struct error *err)
{
	char text[32];

	if (store->not_after > clock_wall_seconds())
		return 0;
	clock_format_rfc3339(store->not_after, text, sizeof(text));
	return error_set(err, ERROR_INVALID, "the client certificate in spec.tlsConfig.clientCertificate expired on %s; renew it", text);
}

/* Anybody may ask for the status of authentication and for himself: the role shows whether we may manage users. */
static int see_we_are_root(struct etcd_store *store, struct cancel *cancel, struct error *err)
{
	struct string_list roles STRING_LIST_CLEANUP = { 0 };

	if (etcd_client_user_get(store->client, store->user, &roles, cancel, err)) {
		if (err->class == ERROR_NOT_FOUND)
			err->class = ERROR_FORBIDDEN;
		return explain(store, err, "roles of etcd user", store->user);
	}
	if (string_list_contains(&roles, "root"))
		return 0;
	(void)error_set(err, ERROR_FORBIDDEN, "the role root is missing");
	return explain(store, err, "roles of etcd user", store->user);
}

static int etcd_check(void *client, struct cancel *cancel, struct error *err)
{
	struct etcd_store *store = client;
	struct etcd_auth_status status = { 0 };

	if (see_certificate_is_valid(store, err))
		return -1;
	if (etcd_client_auth_status(store->client, &status, cancel, err))
		return explain(store, err, "authentication status as", store->user);
	atomic_store(&store->authenticated, status.enabled);
	if (!status.enabled)
		return error_set(
			err, ERROR_INVALID,
			"authentication is not enabled in etcd, so tenants would see each other's data; enable it: etcdctl user add root "
			"--no-password; etcdctl role add root; etcdctl user grant-role root root; etcdctl auth enable");
	return see_we_are_root(store, cancel, err);
}

/* "root" as a tenant's role or user would open the whole store to it, and its deletion would lock everybody out. */
static int see_names_are_usable(const struct datastore_tenant *tenant, struct error *err)
{
	const struct {
		const char *what, *name;
	} names[] = { { "schema", tenant->schema }, { "user", tenant->user } };

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (string_empty(names[i].name) || strlen(names[i].name) > NAME_MAXIMUM_BYTES)
			return error_set(err, ERROR_INVALID, "the tenant's %s must have 1 to %d characters", names[i].what,
			                 NAME_MAXIMUM_BYTES);
		if (strcmp(names[i].name, "root") == 0)
			return error_set(err, ERROR_INVALID, "the tenant's %s must not be \"root\"", names[i].what);
	}
	return 0;
}

/* Runs a call that makes something: that it exists already (another worker, an attempt before) is as good. */
static int made(int result, bool *changed, struct error *err)
{
	if (result == 0)
		*changed = true;
	else if (err->class == ERROR_EXISTS)
		error_clear(err);
	else
		return -1;
	return 0;
}

/* Runs a call that removes something: that it is absent already is as good. */
static int removed(int result, struct error *err)
{
	if (result != 0 && err->class == ERROR_NOT_FOUND) {
		error_clear(err);
		return 0;
	}
	return result;
}

static char *prefix_of(const struct datastore_tenant *tenant)
{
	return string_printf("/%s/", tenant->schema);
}

static bool allows(const struct etcd_role *role, const char *key, const char *range_end)
{
	for (size_t i = 0; i < role->permission_count; i++) {
		const struct etcd_permission *permission = &role->permissions[i];

		if (permission->type == ETCD_PERMISSION_READ_WRITE && !permission->from_key && strcmp(permission->key, key) == 0 &&
		    string_equal(permission->range_end, range_end))
			return true;
	}
	return false;
}

static int add_role(struct etcd_store *store, const char *name, bool *changed, struct cancel *cancel, struct error *err)
{
	/* "a" reaches "/a/b/": a schema with a slash could lie inside another tenant's. One that exists is left as it is. */
	if (strchr(name, '/') != NULL)
		return error_set(err, ERROR_INVALID, "the tenant's schema \"%.200s\" must not contain a slash", name);
	return made(etcd_client_role_add(store->client, name, cancel, err), changed, err);
}

static int ensure_role(struct etcd_store *store, const struct datastore_tenant *tenant, bool *changed, struct cancel *cancel,
                       struct error *err)
{
	char *prefix FREE_CLEANUP = prefix_of(tenant), *range_end FREE_CLEANUP = etcd_prefix_end(prefix);
	struct etcd_role role __attribute__((cleanup(etcd_role_free))) = { 0 };
	int result = etcd_client_role_get(store->client, tenant->schema, &role, cancel, err);

	if (result != 0 && err->class != ERROR_NOT_FOUND)
		return -1;
	if (result == 0 && allows(&role, prefix, range_end))
		return 0;
	if (result != 0 && add_role(store, tenant->schema, changed, cancel, err))
		return -1;
	*changed = true;
	return etcd_client_role_grant_permission(store->client, tenant->schema, ETCD_PERMISSION_READ_WRITE, prefix, range_end, cancel, err);
}

static int ensure_user(struct etcd_store *store, const struct datastore_tenant *tenant, struct string_list *roles, bool *changed,
                       struct cancel *cancel, struct error *err)
{
	if (etcd_client_user_get(store->client, tenant->user, roles, cancel, err) == 0)
		return 0;
	if (err->class != ERROR_NOT_FOUND)
		return -1;
	return made(etcd_client_user_add(store->client, tenant->user, NULL, cancel, err), changed, err);
}

static int ensure_once(void *client, const struct datastore_tenant *tenant, bool *changed, struct cancel *cancel, struct error *err)
{
	struct string_list roles STRING_LIST_CLEANUP = { 0 };
	struct etcd_store *store = client;

	*changed = false;
	if (see_names_are_usable(tenant, err))
		return -1;
	if (see_certificate_is_valid(store, err) || (!atomic_load(&store->authenticated) && etcd_check(store, cancel, err)))
		return -1;
	if (ensure_user(store, tenant, &roles, changed, cancel, err))
		return explain(store, err, "etcd user", tenant->user);
	if (ensure_role(store, tenant, changed, cancel, err))
		return explain(store, err, "etcd role", tenant->schema);
	if (string_list_contains(&roles, tenant->schema))
		return 0;
	*changed = true;
	if (etcd_client_user_grant_role(store->client, tenant->user, tenant->schema, cancel, err))
		return explain(store, err, "grant of etcd role to user", tenant->user);
	return 0;
}

static int delete_once(void *client, const struct datastore_tenant *tenant, struct cancel *cancel, struct error *err)
{
	struct etcd_store *store = client;
	char *prefix FREE_CLEANUP = NULL, *range_end FREE_CLEANUP = NULL;

	if (see_names_are_usable(tenant, err) || see_certificate_is_valid(store, err))
		return -1;
	prefix = prefix_of(tenant);
	range_end = etcd_prefix_end(prefix);
	/* The role goes first: from then on an API server that still runs cannot write behind the deletion. */
	if (removed(etcd_client_role_delete(store->client, tenant->schema, cancel, err), err))
		return explain(store, err, "delete etcd role", tenant->schema);
	if (etcd_client_delete_range(store->client, prefix, range_end, NULL, cancel, err))
		return explain(store, err, "delete etcd keys", prefix);
	if (removed(etcd_client_user_delete(store->client, tenant->user, cancel, err), err))
		return explain(store, err, "delete etcd user", tenant->user);
	return 0;
}

/*
 * True when another change of users or roles overtook the call, which etcd then did not carry out: "revision of auth store is old". With many
 * tenants coming and going at once that is ordinary. Waits a little, longer each time.
 */
static bool overtaken(const struct error *err, unsigned attempt, struct cancel *cancel)
{
	struct error ignored;

	if (attempt >= AUTH_ATTEMPTS || strstr(err->message, "revision of auth store is old") == NULL)
		return false;
	return cancel_sleep(cancel, AUTH_RETRY_MS * attempt, &ignored) == 0;
}

static int etcd_ensure(void *client, const struct datastore_tenant *tenant, bool *changed, struct cancel *cancel, struct error *err)
{
	bool any = false;
	int result;
	unsigned attempt = 1;

	do {
		result = ensure_once(client, tenant, changed, cancel, err);
		any = any || *changed;
	} while (result && overtaken(err, attempt++, cancel));
	*changed = any;
	return result;
}

static int etcd_delete_all(void *client, const struct datastore_tenant *tenant, struct cancel *cancel, struct error *err)
{
	unsigned attempt = 1;

	while (delete_once(client, tenant, cancel, err)) {
		if (!overtaken(err, attempt++, cancel))
			return -1;
	}
	return 0;
}

const struct datastore_driver datastore_driver_etcd = {
	.name = "etcd",
	.open = etcd_open,
	.close = etcd_close,
	.check = etcd_check,
	.ensure = etcd_ensure,
	.delete_all = etcd_delete_all,
};
