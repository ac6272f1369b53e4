/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "api/data_store.h"
#include "api/field_problem.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "base/strings.h"

#define TLS "spec.tlsConfig."
static const char secret_remedy[] = "give a secretReference (name, namespace, keyPath) or base64 content";

static void need(struct problem_list *list, const struct content_reference *reference, const char *field, const char *why)
{
	if (!reference->present)
		problem_add(list, PROBLEM_UPSTREAM, field, secret_remedy, "%s", why);
}

/* D1 to D3, and the CA certificate, which the schema asks for. */
static void check_etcd(struct problem_list *list, const struct data_store *store)
{
	need(list, &store->ca_certificate, TLS "certificateAuthority.certificate", "the etcd driver verifies the servers with it");
	need(list, &store->ca_private_key, TLS "certificateAuthority.privateKey",
	     "the etcd driver signs the tenants' client certificates with it");
	need(list, &store->client_certificate, TLS "clientCertificate.certificate", "the etcd driver logs in with it");
	need(list, &store->client_private_key, TLS "clientCertificate.privateKey", "the etcd driver logs in with it");
}

/* D4 to D7. */
static void check_other(struct problem_list *list, const struct data_store *store)
{
	if (store->has_client_certificate)
		need(list, &store->client_certificate, TLS "clientCertificate.certificate", "a client certificate needs a source");
	if (store->has_basic_auth) {
		need(list, &store->username, "spec.basicAuth.username", "a user name needs a source");
		need(list, &store->password, "spec.basicAuth.password", "a password needs a source");
	}
	if (!store->has_tls && !store->has_basic_auth)
		problem_add(list, PROBLEM_UPSTREAM, "spec", "add tlsConfig or basicAuth", "driver %s needs TLS or a user and password",
		            store->driver_name);
}

static void check_reference(struct problem_list *list, const struct content_reference *reference, const char *field)
{
	struct buffer decoded BUFFER_SECRET_CLEANUP = { 0 };
	struct error err;

	if (reference->content) {
		if (base64_decode(reference->content, strlen(reference->content), &decoded, &err) != 0)
			problem_add(list, PROBLEM_OURS, field, "encode the content with base64", "the content is no base64 text");
		return;
	}
	if (reference->present &&
	    (string_empty(reference->secret_name) || string_empty(reference->secret_namespace) || string_empty(reference->key_path)))
		problem_add(list, PROBLEM_OURS, field, "write name, namespace and keyPath", "the secretReference is not complete");
}

static void check_endpoints(struct problem_list *list, const struct data_store *store)
{
	for (size_t i = 0; i < store->endpoints.count; i++) {
		const char *endpoint = store->endpoints.items[i];
		char *host FREE_CLEANUP = NULL;
		struct error err;
		uint16_t port;

		if (strstr(endpoint, "://"))
			problem_add(list, PROBLEM_OURS, "spec.endpoints", "write host:port alone", "%s carries a scheme", endpoint);
		else if (string_split_host_port(endpoint, "endpoint", &host, &port, &err) != 0)
			problem_add(list, PROBLEM_OURS, "spec.endpoints", "write it as host:port", "%s is no host with a port", endpoint);
	}
}

const struct field_problem *data_store_validate(struct arena *arena, const json_t *object, const json_t *previous)
{
	const char *before = json_string_at(previous, "spec.driver");
	struct data_store store;
	struct problem_list list;
	struct error err;

	problem_list_init(&list, arena);
	if (data_store_parse(arena, object, &store, &err) != 0) {
		problem_add(&list, PROBLEM_UPSTREAM, "spec", "send a complete DataStore", "%s", err.message);
		return list.first;
	}
	if (before && strcmp(before, store.driver_name) != 0)
		problem_add(&list, PROBLEM_UPSTREAM, "spec.driver", "create another DataStore", "the driver cannot change from %s to %s",
		            before, store.driver_name);
	if (store.driver == DATA_STORE_ETCD)
		check_etcd(&list, &store);
	else
		check_other(&list, &store);
	check_reference(&list, &store.ca_certificate, TLS "certificateAuthority.certificate");
	check_reference(&list, &store.ca_private_key, TLS "certificateAuthority.privateKey");
	check_reference(&list, &store.client_certificate, TLS "clientCertificate.certificate");
	check_reference(&list, &store.client_private_key, TLS "clientCertificate.privateKey");
	check_reference(&list, &store.username, "spec.basicAuth.username");
	check_reference(&list, &store.password, "spec.basicAuth.password");
	check_endpoints(&list, &store);
	return list.first;
}
