/* SPDX-License-Identifier: Apache-2.0 */
/* Secret <tenant>-datastore-config: where the tenant's data is and who may reach it. */
#include <string.h>

#include "base/random.h"
#include "controlplane/pass.h"

/* The password survives only while the recorded checksum is the data's: an edit by hand gives a new one, as upstream does. */
static const char *password(struct pass *pass, const json_t *live, const struct secret_data *data)
{
	const char *recorded = json_string_value(json_object_get(json_at(live, "metadata.annotations"), ANNOTATION_CHECKSUM));
	const struct secret_entry *entry = secret_data_get(data, KEY_DB_PASSWORD);
	char digest[DIGEST_HEX_SIZE], fresh[37];

	secret_data_digest(pass, data, digest);
	if (entry && entry->length > 0 && string_equal(recorded, digest))
		return entry->value;
	random_uuid(fresh);
	return pass_secret_copy(pass, fresh, strlen(fresh));
}

/* Admission says the same, where it was asked. */
static int check_overrides(struct pass *pass, struct error *err)
{
	const struct step_input *input = pass->input;

	for (size_t i = 0; i < input->tenant->override_count; i++) {
		const struct data_store *store = input->overrides[i].store;

		if (input->data_store.store->driver != DATA_STORE_ETCD)
			return pass_block(
				pass, err, ERROR_INVALID, "InvalidSpec",
				"spec.dataStoreOverrides: the tenant's own DataStore %s is %s, and overrides work beside etcd only",
				input->data_store.store->name, input->data_store.store->driver_name);
		if (store->driver != DATA_STORE_ETCD)
			return pass_block(pass, err, ERROR_INVALID, "InvalidSpec",
			                  "spec.dataStoreOverrides[%zu].dataStore: DataStore %s is %s (name one of driver etcd)", i,
			                  store->name, store->driver_name);
	}
	return 0;
}

int data_store_config_plan(struct pass *pass, struct error *err)
{
	static const char *const keys[] = { KEY_DB_CONNECTION_STRING, KEY_DB_SCHEMA, KEY_DB_USER, KEY_DB_PASSWORD, NULL };
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const struct step_data_store *store = &pass->input->data_store;
	const char *connection = store->store->driver == DATA_STORE_ETCD ? "" : store->store->endpoints.items[0];
	const char *user = tenant->user, *secret;
	struct secret_data data;
	const json_t *live = credential_begin(pass, CREDENTIAL_DATA_STORE_CONFIG, &data);
	struct desired_object *wanted;

	if (check_overrides(pass, err) != 0)
		return -1;
	secret = password(pass, live, &data);
	if (store->store->driver == DATA_STORE_NATS) {
		if (!store->username || !store->password)
			return pass_block(pass, err, ERROR_INVALID, "DataStoreInvalid",
			                  "DataStore %s: the NATS driver needs spec.basicAuth", store->store->name);
		user = store->username;
		secret = store->password;
	}
	secret_data_set(pass, &data, KEY_DB_CONNECTION_STRING, connection, strlen(connection));
	secret_data_set(pass, &data, KEY_DB_SCHEMA, tenant->schema, strlen(tenant->schema));
	secret_data_set(pass, &data, KEY_DB_USER, user, strlen(user));
	secret_data_set(pass, &data, KEY_DB_PASSWORD, secret, strlen(secret));
	credential_finish(pass, CREDENTIAL_DATA_STORE_CONFIG, &data, keys, NULL, false, false);
	wanted = &pass->objects[pass->object_count - 1];
	json_put(wanted->object, "metadata.finalizers", json_build("[s]", FINALIZER_DATA_STORE_SECRET));
	pass_record(pass, STAGE_CREDENTIALS, "storage",
	            json_build("{s:s,s:s}", "driver", store->store->driver_name, "dataStoreName", store->store->name), false);
	return 0;
}

/* The user, role and keyspace themselves: carried out by the caller, whose success is recorded. */
int data_store_setup_plan(struct pass *pass, struct error *err)
{
	const struct step_input *input = pass->input;
	const struct credential_result *config = &pass->state->credentials[CREDENTIAL_DATA_STORE_CONFIG];
	const struct data_store_grant *next = NULL;

	for (size_t i = input->tenant->override_count + 1; i-- > 0;) {
		struct data_store_grant *grant = arena_alloc(pass->arena, sizeof(*grant));

		grant->data_store = i == 0 ? &input->data_store : &input->overrides[i - 1];
		grant->schema = secret_data_get(&config->data, KEY_DB_SCHEMA)->value;
		grant->user = secret_data_get(&config->data, KEY_DB_USER)->value;
		grant->password = secret_data_get(&config->data, KEY_DB_PASSWORD)->value;
		grant->next = next;
		next = grant;
	}
	pass->grant = next;
	pass_record(pass, STAGE_DATA_STORE, "storage.setup",
	            json_build("{s:s,s:s,s:s}", "schema", pass->grant->schema, "user", pass->grant->user, "checksum", config->checksum),
	            true);
	return 0;
}
