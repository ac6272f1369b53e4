/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/certificate_keeper.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "io/file.h"
#include "io/thread.h"
#include "kube/cache.h"
#include "net/tls.h"
#include "pki/certificate.h"
#include "webhook/registration.h"
#include "webhook/serving_state.h"

/* Says that the Secret is ours to rotate. */
#define ANNOTATION_MANAGED "kamaji.clastix.io/webhook-certificate"
#define MANAGED_VALUE "managed"

enum { CALL_MS = 15 * 1000, PEM_FILE_LIMIT = 1024 * 1024, SANS = 8, CONFIGURATIONS = 3 };

struct certificate_keeper {
	struct certificate_keeper_options options;
	struct cancel *stop;
	pthread_t thread;
	bool started;
	pthread_mutex_t mutex; /* guards woken, leading */
	pthread_cond_t changed;
	bool woken, leading;

	/* The thread's own. */
	struct serving_state served; /* what is served: a deleted Secret does not take it away */
	struct buffer published;     /* authorities that all configurations were seen with */
	uint64_t published_at;
	struct kube_cache *configurations[CONFIGURATIONS];
	char *secret_key, *names[SANS];
	const char *sans[SANS + 1];
	char said[600]; /* the problem told last */
};

static void wake(struct certificate_keeper *keeper)
{
	THREAD_LOCKED(&keeper->mutex);
	keeper->woken = true;
	(void)pthread_cond_broadcast(&keeper->changed);
}

static void on_secret(const struct kube_notice *notice, void *argument)
{
	struct certificate_keeper *keeper = argument;

	if (string_equal(notice->key, keeper->secret_key))
		wake(keeper);
}

static void on_configuration(const struct kube_notice *notice, void *argument)
{
	wake(argument);
}

void certificate_keeper_lead(struct certificate_keeper *keeper)
{
	THREAD_LOCKED(&keeper->mutex);
	keeper->leading = keeper->woken = true;
	(void)pthread_cond_broadcast(&keeper->changed);
}

static bool is_leading(struct certificate_keeper *keeper)
{
	THREAD_LOCKED(&keeper->mutex);
	return keeper->leading;
}

static bool same_bytes(const struct buffer *a, const struct buffer *b)
{
	return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

/* Takes the certificate into service when it is another one. */
static int serve_state(struct certificate_keeper *keeper, struct serving_state *state, const char *source, struct error *err)
{
	TLS_IDENTITY_CLEANUP struct tls_identity *identity = NULL;
	bool same = same_bytes(&state->certificate, &keeper->served.certificate) && same_bytes(&state->key, &keeper->served.key);

	if (!same) {
		if (state->certificate.length == 0 || state->key.length == 0)
			return error_set(err, ERROR_INVALID, "%s: tls.crt or tls.key is missing", source);
		identity = tls_server_identity_new(&(struct tls_server_options){ .certificate_pem = state->certificate.data,
		                                                                 .certificate_pem_length = state->certificate.length,
		                                                                 .key_pem = state->key.data,
		                                                                 .key_pem_length = state->key.length,
		                                                                 .http1 = true },
		                                   err);
		if (!identity)
			return error_wrap(err, "%s", source);
		keeper->options.serve(identity, keeper->options.argument);
		log_info("webhook.certificate", "serving certificate in use", LOG_STRING("source", source));
	}
	serving_state_free(&keeper->served);
	keeper->served = *state;
	memset(state, 0, sizeof(*state));
	return 0;
}

static int read_file(const char *folder, const char *name, struct buffer *out, struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, name);

	return file_read(path, PEM_FILE_LIMIT, out, err);
}

/* 1: mounted files are in use; 0: there are none. */
static int use_files(struct certificate_keeper *keeper, struct error *err)
{
	const char *folder = keeper->options.webhook->certificate_folder;
	SERVING_STATE_CLEANUP struct serving_state state = { 0 };

	if (string_empty(folder))
		return 0;
	if (read_file(folder, "tls.crt", &state.certificate, err) < 0 || read_file(folder, "tls.key", &state.key, err) < 0)
		return err->class == ERROR_NOT_FOUND ? 0 : -1;
	return serve_state(keeper, &state, folder, err) < 0 ? -1 : 1;
}

static json_t *secret_object(const struct webhook_options *options, const struct serving_state *state)
{
	return json_build("{s:s,s:s,s:{s:s,s:s,s:{s:s}},s:s,s:o}", "apiVersion", "v1", "kind", "Secret", "metadata", "name", WEBHOOK_SECRET,
	                  "namespace", options->namespace_name, "annotations", ANNOTATION_MANAGED, MANAGED_VALUE, "type",
	                  "kubernetes.io/tls", "data", serving_state_data(state));
}

/* Created when there was none, else changed guarded by the resourceVersion read: two writers cannot both win. */
static int store_state(struct certificate_keeper *keeper, const json_t *secret, const struct serving_state *state, struct cancel *cancel,
                       struct error *err)
{
	const struct webhook_options *options = keeper->options.webhook;
	JSON_CLEANUP json_t *wanted = NULL, *result = NULL;

	if (secret) {
		wanted = json_build("[{s:s,s:s,s:s},{s:s,s:s,s:o}]", "op", "test", "path", "/metadata/resourceVersion", "value",
		                    json_string_or(secret, "metadata.resourceVersion", ""), "op", "add", "path", "/data", "value",
		                    serving_state_data(state));
		result = kube_client_patch(options->client, &kube_resource_secret, options->namespace_name, WEBHOOK_SECRET, KUBE_PATCH_JSON,
		                           wanted, NULL, cancel, err);
		if (!result && err->status == 422)
			err->class = ERROR_CONFLICT;
	} else {
		wanted = secret_object(options, state);
		result = kube_client_create(options->client, &kube_resource_secret, wanted, NULL, cancel, err);
	}
	return result ? 0 : error_wrap(err, "Secret %s", keeper->secret_key);
}

static bool is_published(const struct certificate_keeper *keeper, const struct serving_state *state)
{
	return same_bytes(&keeper->published, &state->authorities) && clock_monotonic_ms() - keeper->published_at >= WEBHOOK_PROPAGATION_MS;
}

static void watch_configurations(struct certificate_keeper *keeper)
{
	static const struct {
		const struct kube_resource *resource;
		const char *selector;
	} watched[CONFIGURATIONS] = {
		{ &kube_resource_mutating_webhook_configuration, "metadata.name=" WEBHOOK_MUTATING },
		{ &kube_resource_validating_webhook_configuration, "metadata.name=" WEBHOOK_VALIDATING },
		{ &kube_resource_custom_resource_definition, "metadata.name=" WEBHOOK_CRD },
	};

	if (keeper->configurations[0])
		return;
	for (size_t i = 0; i < CONFIGURATIONS; i++) {
		keeper->configurations[i] = kube_cache_new(&(struct kube_cache_options){ .loop = keeper->options.webhook->loop,
		                                                                         .client = keeper->options.webhook->client,
		                                                                         .resource = watched[i].resource,
		                                                                         .field_selector = watched[i].selector,
		                                                                         .metadata_only = true });
		kube_cache_add_handler(keeper->configurations[i], on_configuration, keeper);
		kube_cache_start(keeper->configurations[i]);
	}
}

/* The authorities in `served` into every configuration. */
static int publish(struct certificate_keeper *keeper, bool foreign, struct cancel *cancel, struct error *err)
{
	const struct webhook_options *options = keeper->options.webhook;
	const struct registration registration = { .authorities = keeper->served.authorities.data,
		                                   .namespace_name = options->namespace_name,
		                                   .service = options->service,
		                                   .url = options->url,
		                                   .foreign = foreign };
	bool wrote = false;

	if (keeper->served.authorities.length == 0)
		return 0;
	watch_configurations(keeper);
	if (registration_publish(options->client, &registration, &wrote, cancel, err) < 0)
		return -1;
	if (wrote)
		log_info("webhook.published", "webhook configurations name our authority");
	if (wrote || !same_bytes(&keeper->published, &keeper->served.authorities)) {
		buffer_clear(&keeper->published);
		(void)buffer_append(&keeper->published, keeper->served.authorities.data, keeper->served.authorities.length);
		keeper->published_at = clock_monotonic_ms();
	}
	return 0;
}

static void copy(struct buffer *to, const struct buffer *from)
{
	(void)buffer_append(to, from->data, from->length);
}

/* Our own Secret: bring it forward when leading, then serve what is in it. *next_ms: when to look again. */
static int use_own(struct certificate_keeper *keeper, const json_t *secret, struct serving_state *state, uint64_t *next_ms,
                   struct cancel *cancel, struct error *err)
{
	const struct webhook_options *options = keeper->options.webhook;
	struct serving_plan plan = { .common_name = options->service,
		                     .sans = keeper->sans,
		                     .lifetime_seconds = (int64_t)(options->certificate_lifetime_ms / 1000),
		                     .published = is_published(keeper, state) };
	bool changed = false;
	int64_t next = 0;

	if (is_leading(keeper)) {
		if (!secret && keeper->served.certificate.length > 0 && keeper->served.authorities.length > 0) {
			/* Somebody deleted it: what is served goes on until its successor is trusted. */
			copy(&state->authorities, &keeper->served.authorities);
			copy(&state->certificate, &keeper->served.certificate);
			copy(&state->key, &keeper->served.key);
		}
		if (serving_state_advance(state, &plan, &changed, &next, err) < 0 ||
		    ((changed || !secret) && store_state(keeper, secret, state, cancel, err) < 0))
			return -1;
	} else if (!secret) {
		return 0; /* its creation wakes us */
	}
	if (serve_state(keeper, state, "Secret " WEBHOOK_SECRET, err) < 0)
		return -1;
	if (!is_leading(keeper))
		return 0;
	if (publish(keeper, false, cancel, err) < 0)
		return -1;
	next -= clock_wall_seconds();
	*next_ms = !is_published(keeper, &keeper->served) ? WEBHOOK_PROPAGATION_MS + 100 : next > 0 ? (uint64_t)next * 1000 + 500 : 1000;
	return 0;
}

static int look(struct certificate_keeper *keeper, uint64_t *next_ms, struct error *err)
{
	const struct webhook_options *options = keeper->options.webhook;
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(keeper->stop, clock_monotonic_ms() + CALL_MS);
	SERVING_STATE_CLEANUP struct serving_state state = { 0 };
	JSON_CLEANUP json_t *secret = NULL;
	int files = use_files(keeper, err);

	*next_ms = UINT64_MAX;
	if (files != 0)
		return files < 0 ? -1 : 0;
	secret = kube_client_get(options->client, &kube_resource_secret, options->namespace_name, WEBHOOK_SECRET, cancel, err);
	if (!secret && err->class != ERROR_NOT_FOUND)
		return error_wrap(err, "Secret %s", keeper->secret_key);
	if (secret && serving_state_read(&state, secret, err) < 0)
		return error_wrap(err, "Secret %s", keeper->secret_key);
	if (!secret ||
	    string_equal(json_string_value(json_object_get(json_at(secret, "metadata.annotations"), ANNOTATION_MANAGED)), MANAGED_VALUE))
		return use_own(keeper, secret, &state, next_ms, cancel, err);
	if (serve_state(keeper, &state, "Secret " WEBHOOK_SECRET " of another owner", err) < 0)
		return -1;
	return is_leading(keeper) ? publish(keeper, true, cancel, err) : 0;
}

/* Files are looked for by time, everything else only when something was told or is due. */
static uint64_t look_and_tell(struct certificate_keeper *keeper, bool only_files)
{
	uint64_t next_ms = UINT64_MAX;
	struct error err = { 0 };
	int status = only_files ? use_files(keeper, &err) : look(keeper, &next_ms, &err);

	if (status >= 0) {
		keeper->said[0] = '\0';
		return next_ms;
	}
	if (err.class != ERROR_CONFLICT && err.class != ERROR_EXISTS && !cancel_is_triggered(keeper->stop) &&
	    !string_equal(keeper->said, err.message)) {
		log_warning_error("webhook.certificate", "the serving certificate cannot be kept", &err);
		memcpy(keeper->said, err.message, sizeof(keeper->said));
	}
	return err.class == ERROR_CONFLICT || err.class == ERROR_EXISTS ? 50 : WEBHOOK_RETRY_MS;
}

static bool take_wake(struct certificate_keeper *keeper)
{
	THREAD_LOCKED(&keeper->mutex);
	bool woken = keeper->woken;

	keeper->woken = false;
	return woken;
}

static void sleep_until(struct certificate_keeper *keeper, uint64_t deadline_ms)
{
	THREAD_LOCKED(&keeper->mutex);
	while (!keeper->woken && !cancel_is_triggered(keeper->stop) &&
	       thread_condition_wait(&keeper->changed, &keeper->mutex, deadline_ms) == 0)
		;
}

static void *run(void *argument)
{
	struct certificate_keeper *keeper = argument;
	bool files = !string_empty(keeper->options.webhook->certificate_folder);
	uint64_t due = 0; /* of a whole look */

	while (!cancel_is_triggered(keeper->stop)) {
		bool whole = take_wake(keeper) || clock_monotonic_ms() >= due;
		uint64_t next = look_and_tell(keeper, !whole), now = clock_monotonic_ms();

		if (whole)
			due = next == UINT64_MAX ? UINT64_MAX : now + next;
		sleep_until(keeper, files && now + WEBHOOK_FILE_POLL_MS < due ? now + WEBHOOK_FILE_POLL_MS : due);
	}
	return NULL;
}

static void make_names(struct certificate_keeper *keeper)
{
	const struct webhook_options *options = keeper->options.webhook;
	const char *service = options->service, *namespace_name = options->namespace_name;
	size_t count = 0;

	keeper->secret_key = string_printf("%s/" WEBHOOK_SECRET, namespace_name);
	keeper->names[count++] = string_printf("%s.%s.svc", service, namespace_name);
	keeper->names[count++] = string_printf("%s.%s.svc.cluster.local", service, namespace_name);
	keeper->names[count++] = string_printf("%s.%s", service, namespace_name);
	if (!string_empty(options->url)) {
		struct error ignored;
		uint16_t port;
		char *host = NULL;

		if (string_split_host_port(options->url + strlen("https://"), "url", &host, &port, &ignored) == 0)
			keeper->names[count++] = host;
	}
	for (size_t i = 0; i < count; i++)
		keeper->sans[i] = keeper->names[i];
}

struct certificate_keeper *certificate_keeper_start(const struct certificate_keeper_options *options, struct error *err)
{
	struct certificate_keeper *keeper = calloc(1, sizeof(*keeper));

	if (!keeper)
		abort();
	keeper->options = *options;
	keeper->stop = cancel_new(NULL, UINT64_MAX);
	(void)pthread_mutex_init(&keeper->mutex, NULL);
	thread_condition_init(&keeper->changed);
	make_names(keeper);
	(void)look_and_tell(keeper, false);
	if (thread_start(&keeper->thread, "webhook-cert", run, keeper, err) < 0) {
		certificate_keeper_free(keeper);
		return NULL;
	}
	keeper->started = true;
	kube_cache_add_handler(options->webhook->secrets, on_secret, keeper);
	return keeper;
}

void certificate_keeper_stop(struct certificate_keeper *keeper)
{
	cancel_trigger(keeper->stop);
	wake(keeper);
	if (keeper->started)
		(void)pthread_join(keeper->thread, NULL);
	keeper->started = false;
	for (size_t i = 0; i < CONFIGURATIONS; i++) {
		kube_cache_free(keeper->configurations[i]);
		keeper->configurations[i] = NULL;
	}
}

void certificate_keeper_free(struct certificate_keeper *keeper)
{
	if (!keeper)
		return;
	serving_state_free(&keeper->served);
	buffer_free(&keeper->published);
	for (size_t i = 0; i < SANS; i++)
		free(keeper->names[i]);
	free(keeper->secret_key);
	cancel_free(keeper->stop);
	(void)pthread_cond_destroy(&keeper->changed);
	(void)pthread_mutex_destroy(&keeper->mutex);
	free(keeper);
}
