/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji manager`: the operator. Its flags are upstream's, so that a Deployment can switch images, and a few of ours. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "cmd/commands.h"
#include "cmd/manager_webhook.h"
#include "cmd/options.h"
#include "controllers/manager.h"
#include "io/signals.h"
#include "io/thread.h"
#include "pki/key.h"

#define HALF_CERTIFICATE_MS (INT64_C(4380) * 3600 * 1000) /* of a year: a new certificate must not be due at once */
#define WEBHOOK_AUTO "auto"                               /* inside a cluster, or where somebody is told how to reach us */
#define WEBHOOK_ADDRESS ":9443"
enum { DAY_MS = 24 * 3600 * 1000, CONCURRENCY_MAXIMUM = 64 };

/* Flags that are taken for compatibility and change nothing. */
struct ignored_flags {
	const char *pprof_address, *temporary_directory, *webhook_ca_path, *zap_encoder, *zap_level, *zap_stacktrace, *zap_time;
	bool disable_telemetry, zap_devel;
};

struct command_line {
	struct manager_options manager;
	struct ignored_flags ignored;
	const char *log_format, *log_level;
};

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

static void set_defaults(struct command_line *line)
{
	manager_options_default(&line->manager);
	line->manager.namespace_name = from_environment("POD_NAMESPACE");
	line->manager.service_account = from_environment("SERVICE_ACCOUNT");
	line->manager.migrate_image = "docker.io/clastix/kamaji";
	line->manager.webhook_address = WEBHOOK_AUTO;
	line->ignored = (struct ignored_flags){
		.pprof_address = "",
		.temporary_directory = "/tmp/kamaji",
		.webhook_ca_path = "",
		.zap_encoder = "",
		.zap_level = "",
		.zap_stacktrace = "",
		.zap_time = "",
		.disable_telemetry = true,
		.zap_devel = false,
	};
	line->log_format = "json";
	line->log_level = "info";
}

#define TEXT(flag, field, text) { .name = flag, .type = OPTION_STRING, .target = &(field), .help = text }
#define YES_NO(flag, field, text) { .name = flag, .type = OPTION_BOOLEAN, .target = &(field), .help = text }
#define DURATION(flag, field, least, text) \
	{ .name = flag, .type = OPTION_DURATION, .target = &(field), .minimum = (least), .maximum = INT64_MAX, .help = text }
#define WORKERS(flag, field, text) \
	{ .name = flag, .type = OPTION_INTEGER, .target = &(field), .minimum = 1, .maximum = CONCURRENCY_MAXIMUM, .help = text }
#define CHOICE(flag, field, words, text) { .name = flag, .type = OPTION_CHOICE, .target = &(field), .choices = words, .help = text }
#define IGNORED(flag, kind, field) { .name = flag, .type = kind, .target = &(field), .help = "accepted, not used", .hidden = true }

static int parse(struct command_line *line, int argc, char **argv, bool *help, bool print, struct error *err)
{
	struct manager_options *manager = &line->manager;
	struct ignored_flags *ignored = &line->ignored;
	const struct option_definition definitions[] = {
		TEXT("metrics-bind-address", manager->metrics_address, "where /metrics is served; 0 turns it off"),
		TEXT("health-probe-bind-address", manager->probe_address, "where /healthz and /readyz are served; 0 turns them off"),
		YES_NO("leader-elect", manager->leader_elect, "work only while holding the Lease kamaji.clastix.io"),
		TEXT("pod-namespace", manager->namespace_name, "the operator's own namespace; also env POD_NAMESPACE"),
		TEXT("serviceaccount-name", manager->service_account, "the operator's own ServiceAccount; also env SERVICE_ACCOUNT"),
		TEXT("datastore", manager->data_store, "DataStore of tenants that name none"),
		WORKERS("max-concurrent-tcp-reconciles", manager->tenant_workers, "tenants reconciled at once"),
		WORKERS("max-concurrent-cluster-reconciles", manager->cluster_workers, "tenant clusters written to at once"),
		DURATION("controller-reconcile-timeout", manager->reconcile_timeout_ms, 1000, "limit of one reconcile"),
		DURATION("cache-resync-period", manager->resync_ms, 60 * 1000, "every object is looked at once in this time, from caches"),
		{ .name = "certificate-expiration-deadline",
		  .type = OPTION_DURATION,
		  .target = &manager->certificate_deadline_ms,
		  .minimum = DAY_MS,
		  .maximum = HALF_CERTIFICATE_MS,
		  .help = "certificates are renewed this long before their end" },
		CHOICE("key-algorithm", manager->key_algorithm, "ECDSA-P256|RSA-2048", "of new certificate keys; existing keys stay"),
		CHOICE("template-profile", manager->template_profile, "native|upstream", "pod template of new tenants"),
		TEXT("kine-image", manager->kine_image, "image of the kine container for SQL and NATS DataStores"),
		TEXT("migrate-image", manager->migrate_image, "image of migration Jobs"),
		TEXT("webhook-service-name", manager->webhook_service, "Service of the admission webhooks"),
		TEXT("webhook-bind-address", manager->webhook_address,
		     "where the webhooks are served; auto: :9443 inside a cluster; 0 turns them off"),
		TEXT("webhook-url", manager->webhook_url,
		     "https://HOST:PORT at which API servers reach the webhooks, in place of the Service"),
		TEXT("webhook-cert-dir", manager->webhook_certificates,
		     "tls.crt and tls.key there are served in place of our own certificate"),
		DURATION("webhook-certificate-lifetime", manager->webhook_lifetime_ms, 60 * 1000,
		         "of our own serving certificates; renewed when a third is left"),
		DURATION("lease-duration", manager->lease_duration_ms, 3000, "a Lease that was not renewed for this long may be taken"),
		DURATION("lease-renew-deadline", manager->lease_renew_ms, 2000, "a leader that cannot renew for this long gives up"),
		DURATION("lease-retry-period", manager->lease_retry_ms, 500, "pause between attempts"),
		DURATION("shutdown-grace-period", manager->stop_grace_ms, 0, "a stop waits this long for reconciles under way"),
		CHOICE("log-format", line->log_format, "json|text", "form of log lines on stderr"),
		CHOICE("log-level", line->log_level, "debug|info|warning|error", "least level that is logged"),
		IGNORED("pprof-bind-address", OPTION_STRING, ignored->pprof_address),
		IGNORED("tmp-directory", OPTION_STRING, ignored->temporary_directory),
		IGNORED("webhook-ca-path", OPTION_STRING, ignored->webhook_ca_path),
		IGNORED("disable-telemetry", OPTION_BOOLEAN, ignored->disable_telemetry),
		IGNORED("zap-devel", OPTION_BOOLEAN, ignored->zap_devel),
		IGNORED("zap-encoder", OPTION_STRING, ignored->zap_encoder),
		IGNORED("zap-log-level", OPTION_STRING, ignored->zap_level),
		IGNORED("zap-stacktrace-level", OPTION_STRING, ignored->zap_stacktrace),
		IGNORED("zap-time-encoding", OPTION_STRING, ignored->zap_time),
		{ 0 },
	};

	if (print) {
		options_print(definitions, stdout);
		return 0;
	}
	return options_parse(definitions, argc, argv, NULL, help, err);
}

/* Webhooks that nobody could call are not served: several operators may run on one machine for tests. */
static void decide_webhooks(struct manager_options *manager)
{
	bool reachable = *from_environment("KUBERNETES_SERVICE_HOST") || *manager->webhook_url;

	if (string_equal(manager->webhook_address, WEBHOOK_AUTO))
		manager->webhook_address = reachable ? WEBHOOK_ADDRESS : "0";
}

static bool has_webhooks(const struct manager_options *manager)
{
	return !string_empty(manager->webhook_address) && !string_equal(manager->webhook_address, "0");
}

static int check_webhooks(const struct manager_options *manager, struct error *err)
{
	if (!string_empty(manager->webhook_url) &&
	    (!string_has_prefix(manager->webhook_url, "https://") || strchr(manager->webhook_url + strlen("https://"), '/')))
		return error_set(err, ERROR_INVALID, "--webhook-url: \"%s\" is not https://HOST:PORT", manager->webhook_url);
	if (has_webhooks(manager) && string_empty(manager->namespace_name))
		return error_set(err, ERROR_INVALID,
		                 "--pod-namespace (or env POD_NAMESPACE) is needed for the webhooks' certificate; name it, or give "
		                 "--webhook-bind-address=0");
	return 0;
}

static int check(struct command_line *line, struct error *err)
{
	struct manager_options *manager = &line->manager;

	decide_webhooks(manager);
	if (manager->leader_elect && string_empty(manager->namespace_name))
		return error_set(
			err, ERROR_INVALID,
			"--pod-namespace (or env POD_NAMESPACE) is needed for leader election; name it, or give --leader-elect=false");
	if (manager->lease_renew_ms >= manager->lease_duration_ms || manager->lease_retry_ms >= manager->lease_renew_ms)
		return error_set(err, ERROR_INVALID,
		                 "--lease-duration must be longer than --lease-renew-deadline, and that longer than --lease-retry-period");
	return check_webhooks(manager, err);
}

/* zap's level words are close to ours; a number is a debug verbosity. */
static void configure_log(const struct command_line *line)
{
	enum log_level level = LOG_LEVEL_INFO;
	const char *text = string_empty(line->ignored.zap_level) ? line->log_level : line->ignored.zap_level;

	if (log_level_parse(text, &level) < 0)
		level = LOG_LEVEL_DEBUG;
	log_set_level(level);
	log_set_format(string_equal(line->log_format, "text") ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
}

static void *wait_for_signal(void *argument)
{
	struct manager *manager = argument;
	int number;

	do {
		number = signals_wait(UINT64_MAX);
	} while (number != SIGTERM && number != SIGINT);
	log_info("manager.signal", "asked to stop", LOG_INTEGER("signal", number));
	manager_stop(manager);
	return NULL;
}

static int run(const struct command_line *line)
{
	struct error err = { 0 };
	pthread_t waiter;
	struct manager *manager = manager_new(&line->manager, &err);

	if (manager && has_webhooks(&line->manager)) {
		const struct manager_extension webhooks = manager_webhook_extension(manager_webhook_new(&line->manager));

		manager_set_extension(manager, &webhooks);
	}

	if (!manager || thread_start(&waiter, "signals", wait_for_signal, manager, &err) < 0) {
		log_error("manager.start", "the manager cannot start", &err);
		return EXIT_CODE_FAILURE;
	}
	const char *version = kamaji_version;

	log_info("manager.start", "started", LOG_STRING("version", version), LOG_STRING("profile", line->manager.template_profile),
	         LOG_STRING("key_algorithm", line->manager.key_algorithm));
	if (manager_run(manager, &err) < 0) {
		/* The signal thread cannot be woken, and workers that were given up may still run: the process ends as it is, without exit
		 * handlers that take libraries (OpenSSL) away under them. */
		log_error("manager.failed", "the manager ends", &err);
		(void)fflush(NULL);
		_exit(EXIT_CODE_FAILURE);
	}
	(void)pthread_join(waiter, NULL);
	manager_free(manager);
	return EXIT_CODE_OK;
}

static void print_help(struct command_line *line)
{
	printf("Usage: kamaji manager [OPTIONS]\n\n"
	       "Runs the operator: reconciles TenantControlPlanes and DataStores of one admin cluster and keeps what is inside each\n"
	       "tenant cluster. The admin cluster is the one of $KUBECONFIG, else the one this pod runs in, else of ~/.kube/config.\n\n"
	       "Options:\n");
	(void)parse(line, 0, NULL, NULL, true, NULL);
	printf("\nUpstream's flags --pprof-bind-address, --tmp-directory, --webhook-ca-path, --disable-telemetry and --zap-* are "
	       "accepted;\n"
	       "--zap-log-level sets the level, nothing is ever sent anywhere.\n\n"
	       "Examples:\n"
	       "  kamaji manager --datastore=default\n"
	       "  KUBECONFIG=admin.conf kamaji manager --leader-elect=false --log-format text --log-level debug\n\n"
	       "Exit codes: 0 stopped by SIGTERM or SIGINT, 1 the Lease was lost or the manager could not go on, 2 wrong command line.\n");
}

/*
 * Twenty threads work a little each. Left alone, glibc gives many of them a heap of its own, and each keeps what its largest reconcile once
 * needed. One for all serves: small pieces come from caches of the thread, and most of the time goes by waiting for answers. Before the first
 * thread starts.
 */
static void share_heap(void)
{
#ifdef M_ARENA_MAX
	enum { HEAPS = 1, KEPT_BYTES = 256 * 1024 };

	(void)mallopt(M_ARENA_MAX, HEAPS);
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES); /* naming it also keeps large blocks apart, which go back when they are freed */
#endif
}

int cmd_manager(int argc, char **argv)
{
	struct command_line line;
	struct error err = { 0 };
	bool help = false;

	set_defaults(&line);
	if (parse(&line, argc, argv, &help, false, &err) < 0 || (!help && check(&line, &err) < 0)) {
		fprintf(stderr, "kamaji manager: %s\n", err.message);
		return EXIT_CODE_USAGE;
	}
	if (help) {
		set_defaults(&line);
		print_help(&line);
		return EXIT_CODE_OK;
	}
	configure_log(&line);
	share_heap();
	return run(&line);
}
