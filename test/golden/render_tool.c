/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one pass of the step table without a cluster: reads a YAML stream (a TenantControlPlane, its DataStores, and what is live: Secrets,
 * Service, ConfigMaps, Deployment ...) from standard input, prints the TenantControlPlane with its status and what would be applied, one JSON
 * document a line.
 *
 *   render_tool [--profile native|upstream] [--cluster-ip ADDRESS] [--describe] [--changes] [--key-algorithm NAME] [--gateway] [--now RFC3339]
 *   render_tool --parse        prints the input's documents, nothing else
 *   render_tool --validate     prints the problems of the first document, an update of the second one when there are two
 *
 * --changes leaves out what is live already. --describe replaces keys, certificates, kubeconfigs, checksums and times by descriptions; one
 * key then serves for all certificates.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/names.h"
#include "api/owned_fields.h"
#include "api/status.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "controlplane/steps.h"
#include "describe.h"
#include "pki/key.h"

enum { MAXIMUM_DOCUMENTS = 256 };

struct world {
	struct arena *arena;
	json_t *documents;
	const char *cluster_ip, *key_algorithm;
	bool describe, changes, parse, validate;
	struct key *key; /* --describe: the one certificate key */
	struct tenant_control_plane tenant;
	struct step_options options;
	struct step_input input;
	struct data_store stores[8];
	struct step_data_store resolved[8];
	const json_t *secrets[MAXIMUM_DOCUMENTS];
};

static struct key *generate_key(void *context, bool service_account, struct error *err)
{
	struct world *world = context;
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };
	struct key *fresh = NULL;
	enum key_algorithm algorithm = KEY_RSA_2048;

	if (!service_account && key_algorithm_parse(world->key_algorithm, "--key-algorithm", &algorithm, err) != 0)
		return NULL;
	if (world->describe && !world->key && key_generate(algorithm, &world->key, err) != 0)
		return NULL;
	if (!world->describe)
		return key_generate(algorithm, &fresh, err) == 0 ? fresh : NULL;
	if (key_write_private(world->key, &text, err) != 0 || key_parse(pem_text(&text), &fresh, err) != 0)
		return NULL;
	return fresh;
}

static const json_t *find(const struct world *world, const char *kind, const char *namespace, const char *name)
{
	json_t *document;
	size_t i;

	json_array_foreach(world->documents, i, document)
		if (string_equal(json_string_at(document, "kind"), kind) &&
		    (!name || string_equal(json_string_at(document, "metadata.name"), name)) &&
		    (!namespace || string_equal(json_string_at(document, "metadata.namespace"), namespace)))
			return document;
	return NULL;
}

static int resolve(struct world *world, const struct content_reference *reference, const char *what, const char **text, struct error *err)
{
	const json_t *secret;
	size_t length;

	*text = NULL;
	if (!reference->present)
		return 0;
	secret = reference->secret_name ? find(world, "Secret", reference->secret_namespace, reference->secret_name) : NULL;
	return content_reference_resolve(world->arena, reference, secret, what, text, &length, err);
}

static int read_store(struct world *world, const char *name, size_t index, struct error *err)
{
	struct data_store *store = &world->stores[index];
	struct step_data_store *resolved = &world->resolved[index];
	const json_t *document = find(world, "DataStore", NULL, name);

	if (!document)
		return error_set(err, ERROR_NOT_FOUND, "DataStore %s is not in the input", name);
	if (data_store_parse(world->arena, document, store, err) != 0)
		return -1;
	resolved->store = store;
	if (resolve(world, &store->ca_certificate, "CA certificate", &resolved->ca_certificate, err) != 0 ||
	    resolve(world, &store->ca_private_key, "CA key", &resolved->ca_private_key, err) != 0 ||
	    resolve(world, &store->client_certificate, "client certificate", &resolved->client_certificate, err) != 0 ||
	    resolve(world, &store->client_private_key, "client key", &resolved->client_private_key, err) != 0 ||
	    resolve(world, &store->username, "user name", &resolved->username, err) != 0 ||
	    resolve(world, &store->password, "password", &resolved->password, err) != 0)
		return -1;
	return 0;
}

static int read_world(struct world *world, struct error *err)
{
	const json_t *document = find(world, KAMAJI_KIND_TENANT_CONTROL_PLANE, NULL, NULL);
	struct step_input *input = &world->input;
	const char *namespace;
	json_t *item;
	size_t i;

	if (!document || tenant_parse(world->arena, document, "default", &world->tenant, err) != 0)
		return document ? -1 : error_set(err, ERROR_INVALID, "no TenantControlPlane in the input");
	if (read_store(world, world->tenant.data_store, 0, err) != 0)
		return -1;
	for (i = 0; i < world->tenant.override_count && i < ARRAY_LENGTH(world->stores) - 1; i++)
		if (read_store(world, world->tenant.overrides[i].data_store, i + 1, err) != 0)
			return -1;
	namespace = world->tenant.namespace;
	json_array_foreach(world->documents, i, item)
		if (string_equal(json_string_at(item, "kind"), "Secret") &&
		    string_equal(json_string_at(item, "metadata.namespace"), namespace) && input->secret_count < MAXIMUM_DOCUMENTS)
			world->secrets[input->secret_count++] = item;
	input->tenant = &world->tenant;
	input->options = &world->options;
	input->data_store = world->resolved[0];
	input->overrides = &world->resolved[1];
	input->secrets = world->secrets;
	input->service = find(world, "Service", namespace, world->tenant.name);
	input->deployment = find(world, "Deployment", namespace, world->tenant.name);
	input->ingress = find(world, "Ingress", namespace, world->tenant.name);
	input->route = find(world, "TLSRoute", namespace, world->tenant.name);
	input->kubeadm_config_map =
		find(world, "ConfigMap", namespace, names_object(world->arena, world->tenant.name, SUFFIX_KUBEADM_CONFIG));
	input->egress_config_map =
		find(world, "ConfigMap", namespace, names_object(world->arena, world->tenant.name, SUFFIX_KONNECTIVITY_EGRESS));
	input->now = clock_wall_seconds();
	return 0;
}

/* What the API server would answer: the wanted object, with a cluster IP. */
static void answer_service(struct world *world, struct pass *pass)
{
	json_t *answer;

	if (world->input.service || pass->object_count == 0)
		return;
	answer = json_deep_copy(pass->objects[0].object);
	json_put_string(answer, "spec.clusterIP", world->cluster_ip);
	json_array_append_new(world->documents, answer);
	pass_set_live(pass, OBJECT_SERVICE, world->tenant.name, answer);
}

static int run(struct world *world, struct pass *pass, struct error *err)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		if (pass_plan(pass, (enum step_stage)stage, err) != 0)
			return -1;
		if (stage == STAGE_SERVICE)
			answer_service(world, pass);
		if (pass_observe(pass, (enum step_stage)stage, err) != 0)
			return -1;
	}
	pass_complete(pass);
	return 0;
}

static void print_document(const struct world *world, json_t *document)
{
	char *text;

	if (world->describe)
		describe_object(document);
	text = json_canonical(document);
	printf("%s\n", text);
	secret_free(text);
}

static void print_results(struct world *world, struct pass *pass, const struct error *problem)
{
	json_t *tenant JSON_CLEANUP = json_deep_copy(world->tenant.object);

	json_put(tenant, "status", json_deep_copy(pass->status));
	if (problem->class != ERROR_NONE)
		json_put(tenant, "blocked",
		         json_build("{s:s,s:s,s:s}", "step", pass->blocked.step, "reason", pass->blocked.reason, "message",
		                    pass->blocked.message));
	print_document(world, tenant);
	for (size_t i = 0; i < pass->object_count; i++) {
		const struct desired_object *wanted = &pass->objects[i];
		json_t *copy JSON_CLEANUP = wanted->object ? json_deep_copy(wanted->object)
		                                           : json_build("{s:s,s:s}", "delete", wanted->name, "step", wanted->step);

		if (world->changes && wanted->object && owned_fields_settled(wanted->object, wanted->live, KAMAJI_FIELD_MANAGER))
			continue;
		print_document(world, copy);
	}
}

static void print_problems(struct world *world)
{
	const struct field_problem *problem =
		tenant_validate(world->arena, json_array_get(world->documents, 0), json_array_get(world->documents, 1));

	for (; problem; problem = problem->next) {
		json_t *line JSON_CLEANUP = json_build("{s:s,s:s,s:s,s:b,s:b}", "field", problem->field, "message", problem->message,
		                                       "remedy", problem->remedy, "upstream", problem->upstream, "hint", problem->hint);

		print_document(world, line);
	}
}

static int64_t fixed_seconds; /* --now */

static int64_t fixed_clock(void)
{
	return fixed_seconds * 1000000;
}

static int read_options(struct world *world, int count, char **arguments)
{
	for (int i = 1; i < count; i++) {
		const char *next = i + 1 < count ? arguments[i + 1] : "";

		if (strcmp(arguments[i], "--describe") == 0)
			world->describe = true;
		else if (strcmp(arguments[i], "--changes") == 0)
			world->changes = true;
		else if (strcmp(arguments[i], "--parse") == 0)
			world->parse = true;
		else if (strcmp(arguments[i], "--validate") == 0)
			world->validate = true;
		else if (strcmp(arguments[i], "--gateway") == 0)
			world->options.gateway_served = true;
		else if (strcmp(arguments[i], "--cluster-ip") == 0 && ++i)
			world->cluster_ip = next;
		else if (strcmp(arguments[i], "--key-algorithm") == 0 && ++i)
			world->key_algorithm = next;
		else if (strcmp(arguments[i], "--now") == 0 && clock_parse_rfc3339(next, &fixed_seconds) == 0 && ++i)
			clock_set_for_test(NULL, fixed_clock);
		else if (strcmp(arguments[i], "--profile") == 0 && template_profile_parse(next, &world->options.profile) == 0)
			i++;
		else
			return -1;
	}
	return 0;
}

static json_t *read_input(struct error *err)
{
	struct buffer text BUFFER_SECRET_CLEANUP = { .limit = YAML_MAXIMUM_BYTES };
	char block[65536];
	ssize_t length;

	while ((length = read(STDIN_FILENO, block, sizeof(block))) > 0)
		if (!buffer_append(&text, block, (size_t)length)) {
			error_set(err, ERROR_EXHAUSTED, "the input is over %d bytes", YAML_MAXIMUM_BYTES);
			return NULL;
		}
	return yaml_parse_all(text.data ? text.data : "", text.length, err);
}

int main(int count, char **arguments)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct world *world = arena_alloc(arena, sizeof(*world));
	struct error err = { 0 }, problem = { 0 };
	struct pass *pass;

	world->arena = arena;
	world->cluster_ip = "10.96.0.99";
	world->key_algorithm = "ECDSA-P256";
	world->options = (struct step_options){ .profile = PROFILE_NATIVE,
		                                .certificate_threshold = 24 * 3600,
		                                .kine_image = "rancher/kine:v0.11.10-amd64",
		                                .generate_key = generate_key,
		                                .generate_key_context = world };
	if (read_options(world, count, arguments) != 0) {
		fprintf(stderr,
		        "usage: %s [--profile native|upstream] [--cluster-ip ADDRESS] [--describe] [--changes] [--key-algorithm NAME] "
		        "[--gateway] [--now RFC3339]\n",
		        arguments[0]);
		return 2;
	}
	world->documents = read_input(&err);
	if (world->documents && (world->parse || world->validate)) {
		if (world->validate)
			print_problems(world);
		for (size_t i = 0; world->parse && i < json_array_size(world->documents); i++)
			print_document(world, json_array_get(world->documents, i));
		json_decref(world->documents);
		return 0;
	}
	if (!world->documents || read_world(world, &err) != 0) {
		fprintf(stderr, "%s\n", err.message);
		json_decref(world->documents);
		return 1;
	}
	pass = pass_new(arena, &world->input);
	if (run(world, pass, &problem) != 0)
		pass_fail(pass, &problem);
	else
		error_clear(&problem);
	print_results(world, pass, &problem);
	json_decref(world->documents);
	key_free(world->key);
	return 0;
}
