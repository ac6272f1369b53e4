/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/connection.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "pki/check.h"

enum { VALUE_MAXIMUM_BYTES = 1024 * 1024 };

struct reading {
	const json_t *spec;
	datastore_resolve_function resolve;
	void *argument;
};

static int resolve_reference(const struct reading *reading, const json_t *reference, struct buffer *out, struct error *err)
{
	const char *name = json_string_value(json_object_get(reference, "name"));
	const char *namespace_name = json_string_value(json_object_get(reference, "namespace"));
	const char *key = json_string_value(json_object_get(reference, "keyPath"));

	if (string_empty(name) || string_empty(namespace_name) || string_empty(key))
		return error_set(err, ERROR_INVALID, "secretReference needs name, namespace and keyPath");
	return reading->resolve(reading->argument, namespace_name, name, key, out, err);
}

static int resolve_content(const struct reading *reading, const json_t *source, struct buffer *out, struct error *err)
{
	const json_t *content = json_object_get(source, "content"), *reference = json_object_get(source, "secretReference");
	struct error cause = { 0 };

	out->limit = VALUE_MAXIMUM_BYTES;
	if (json_is_string(content) && json_string_length(content) > 0) {
		if (json_string_length(content) > 2 * VALUE_MAXIMUM_BYTES)
			return error_set(err, ERROR_EXHAUSTED, "content has more than %d bytes", VALUE_MAXIMUM_BYTES);
		(void)buffer_reserve(out, json_string_length(content) * 3 / 4);
		if (base64_decode(json_string_value(content), json_string_length(content), out, &cause) || out->overflow)
			return error_set(err, ERROR_INVALID, "content is not valid base64 of at most %d bytes", VALUE_MAXIMUM_BYTES);
	} else if (json_is_object(reference)) {
		if (resolve_reference(reading, reference, out, err))
			return -1;
	} else {
		return error_set(err, ERROR_INVALID, "neither content nor secretReference is given");
	}
	if (out->length == 0)
		return error_set(err, ERROR_INVALID, "the value is empty");
	return 0;
}

/* path is below spec. Absent and not needed leaves out empty. */
static int read_value(const struct reading *reading, const char *path, bool needed, struct buffer *out, struct error *err)
{
	const json_t *source = json_at(reading->spec, path);

	if (!json_is_object(source))
		return needed ? error_set(err, ERROR_INVALID, "spec.%s is required", path) : 0;
	if (resolve_content(reading, source, out, err))
		return error_wrap(err, "spec.%s", path);
	return 0;
}

static int read_endpoints(const struct reading *reading, struct datastore_connection *connection, struct error *err)
{
	const json_t *endpoints = json_object_get(reading->spec, "endpoints"), *endpoint;
	size_t index;

	if (json_array_size(endpoints) == 0)
		return error_set(err, ERROR_INVALID, "spec.endpoints: at least one host:port is required");
	if (json_array_size(endpoints) > DATASTORE_MAXIMUM_ENDPOINTS)
		return error_set(err, ERROR_INVALID, "spec.endpoints: at most %d are allowed", DATASTORE_MAXIMUM_ENDPOINTS);
	json_array_foreach(endpoints, index, endpoint) {
		const char *text = json_string_value(endpoint);
		char *host = NULL;
		uint16_t port;

		if (string_empty(text) || strstr(text, "://") != NULL)
			return error_set(err, ERROR_INVALID, "spec.endpoints[%zu]: \"%.200s\" must be host:port without a scheme", index,
			                 text ? text : "");
		if (string_split_host_port(text, "endpoint", &host, &port, err))
			return error_wrap(err, "spec.endpoints[%zu]", index);
		free(host);
		string_list_add(&connection->endpoints, text);
	}
	return 0;
}

static int check_pair(const char *path, const struct buffer *certificate, const struct buffer *key, bool authority, struct error *err)
{
	struct check_certificate check = { .certificate = pem_text(certificate), .key = pem_text(key) };
	struct check_reason reason;
	bool good = authority ? check_authority(NULL, check.certificate, check.key, 0, &reason) : check_certificate(NULL, &check, &reason);

	return good ? 0 : error_set(err, ERROR_INVALID, "spec.tlsConfig.%s: %s", path, reason.text);
}

static int read_tls(const struct reading *reading, struct datastore_connection *connection, struct error *err)
{
	bool etcd = strcmp(connection->driver, "etcd") == 0;
	bool tls = json_is_object(json_object_get(reading->spec, "tlsConfig"));

	if (!tls && etcd)
		return error_set(err, ERROR_INVALID,
		                 "spec.tlsConfig is required for etcd: tenants are told apart by their client certificates");
	if (!tls)
		return 0;
	if (read_value(reading, "tlsConfig.certificateAuthority.certificate", true, &connection->authority_certificate, err) ||
	    read_value(reading, "tlsConfig.certificateAuthority.privateKey", etcd, &connection->authority_key, err) ||
	    read_value(reading, "tlsConfig.clientCertificate.certificate", etcd, &connection->client_certificate, err) ||
	    read_value(reading, "tlsConfig.clientCertificate.privateKey", connection->client_certificate.length > 0,
	               &connection->client_key, err))
		return -1;
	if (connection->authority_key.length > 0 &&
	    check_pair("certificateAuthority", &connection->authority_certificate, &connection->authority_key, true, err))
		return -1;
	if (connection->client_certificate.length > 0 &&
	    check_pair("clientCertificate", &connection->client_certificate, &connection->client_key, false, err))
		return -1;
	return 0;
}

static void digest_part(struct digest *digest, const void *bytes, size_t length)
{
	char lead[32];

	(void)snprintf(lead, sizeof(lead), "%zu:", length); /* so that no bytes can move from one part to the next */
	digest_add_string(digest, lead);
	digest_add(digest, bytes, length);
}

static void set_digest(struct datastore_connection *connection)
{
	const struct buffer *values[] = { &connection->authority_certificate,
		                          &connection->authority_key,
		                          &connection->client_certificate,
		                          &connection->client_key,
		                          &connection->username,
		                          &connection->password };
	struct digest *digest DIGEST_CLEANUP = digest_new(DIGEST_SHA256);

	digest_part(digest, connection->driver, strlen(connection->driver));
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		digest_part(digest, values[i]->data, values[i]->length);
	for (size_t i = 0; i < connection->endpoints.count; i++)
		digest_part(digest, connection->endpoints.items[i], strlen(connection->endpoints.items[i]));
	digest_finish_hex(digest, connection->digest);
}

static int read_connection(const struct reading *reading, const json_t *data_store, struct datastore_connection *connection,
                           struct error *err)
{
	const char *name = json_string_at(data_store, "metadata.name"),
		   *driver = json_string_value(json_object_get(reading->spec, "driver"));

	if (string_empty(name))
		return error_set(err, ERROR_INVALID, "metadata.name is required");
	if (string_empty(driver))
		return error_set(err, ERROR_INVALID, "spec.driver is required");
	connection->name = string_dup(name);
	connection->driver = string_dup(driver);
	if (read_endpoints(reading, connection, err) || read_tls(reading, connection, err) ||
	    read_value(reading, "basicAuth.username", false, &connection->username, err) ||
	    read_value(reading, "basicAuth.password", false, &connection->password, err))
		return -1;
	set_digest(connection);
	return 0;
}

int datastore_connection_read(const json_t *data_store, datastore_resolve_function resolve, void *argument,
                              struct datastore_connection *connection, struct error *err)
{
	struct reading reading = { .spec = json_object_get(data_store, "spec"), .resolve = resolve, .argument = argument };
	struct datastore_connection found = { 0 };

	if (read_connection(&reading, data_store, &found, err)) {
		datastore_connection_free(&found);
		return -1;
	}
	*connection = found;
	return 0;
}

void datastore_connection_free(struct datastore_connection *connection)
{
	free(connection->name);
	free(connection->driver);
	string_list_free(&connection->endpoints);
	buffer_free(&connection->authority_certificate);
	buffer_free_secret(&connection->authority_key);
	buffer_free(&connection->client_certificate);
	buffer_free_secret(&connection->client_key);
	buffer_free_secret(&connection->username);
	buffer_free_secret(&connection->password);
	*connection = (struct datastore_connection){ 0 };
}
