/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kamaji datastore`: an etcd v3 server that needs nothing but a folder. Flags are etcd's, so that a StatefulSet written for etcd runs it;
 * those about members and peers are taken and change nothing, because it is one member.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/version.h"
#include "cmd/commands.h"
#include "cmd/datastore_import.h"
#include "cmd/datastore_tls.h"
#include "cmd/options.h"
#include "etcd/etcd_server.h"
#include "io/signals.h"
#include "net/http_server.h"

enum {
	DEFAULT_REQUEST_BYTES = 1572864,
	DEFAULT_OPERATIONS = 128,
	PROGRESS_MS = 10 * 60 * 1000,
	PROGRESS_MINIMUM_MS = 100,
	STOP_GRACE_MS = 3000,
	RELOAD_MS = 10 * 1000,
	FEW_DESCRIPTORS = 4096,
};
#define DEFAULT_QUOTA (INT64_C(2) * 1024 * 1024 * 1024)
#define REPORTED_VERSION "3.7.3"

struct settings {
	const char *data_dir, *name, *listen_client_urls, *advertise_client_urls, *listen_metrics_urls;
	const char *compaction_mode, *compaction_retention, *log_level, *log_format, *auth_token, *unused;
	struct datastore_tls_files tls;
	int64_t quota, request_bytes, operations, cache_bytes, unused_number;
	uint64_t progress_ms;
	bool unused_switch;
};

static void set_defaults(struct settings *settings)
{
	*settings = (struct settings){
		.data_dir = "default.etcd",
		.name = "default",
		.listen_client_urls = "http://localhost:2379",
		.advertise_client_urls = "",
		.listen_metrics_urls = "",
		.compaction_mode = "periodic",
		.compaction_retention = "0",
		.log_level = "info",
		.log_format = "json",
		.auth_token = "simple",
		.unused = "",
		.tls = { .certificate = "", .key = "", .authority = "" },
		.quota = DEFAULT_QUOTA,
		.request_bytes = DEFAULT_REQUEST_BYTES,
		.operations = DEFAULT_OPERATIONS,
		.progress_ms = PROGRESS_MS,
	};
}

#define TEXT(flag, field, text) { .name = flag, .type = OPTION_STRING, .target = &(field), .help = text }
#define NUMBER(flag, field, most, text) \
	{ .name = flag, .type = OPTION_INTEGER, .target = &(field), .minimum = 0, .maximum = (most), .help = text }
#define UNUSED(flag) { .name = flag, .type = OPTION_STRING, .target = &settings->unused, .hidden = true }
#define UNUSED_SWITCH(flag) { .name = flag, .type = OPTION_BOOLEAN, .target = &settings->unused_switch, .hidden = true }

static int parse(struct settings *settings, int argc, char **argv, bool *help, struct error *err)
{
	const struct option_definition definitions[] = {
		TEXT("data-dir", settings->data_dir, "the folder everything is in"),
		TEXT("name", settings->name, "name of the member, for tools that print it"),
		TEXT("listen-client-urls", settings->listen_client_urls, "http://, https:// or unix:// URLs, comma-separated"),
		TEXT("advertise-client-urls", settings->advertise_client_urls, "URLs told to clients; default: those listened on"),
		TEXT("listen-metrics-urls", settings->listen_metrics_urls, "plain-HTTP URLs for /metrics and /health"),
		TEXT("cert-file", settings->tls.certificate, "server certificate (PEM); read again when it changes"),
		TEXT("key-file", settings->tls.key, "its key"),
		TEXT("trusted-ca-file", settings->tls.authority, "authorities of client certificates"),
		{ .name = "client-cert-auth",
		  .type = OPTION_BOOLEAN,
		  .target = &settings->tls.client_certificates,
		  .help = "clients must present a certificate; its CN is the user" },
		NUMBER("quota-backend-bytes", settings->quota, INT64_MAX, "keys and values may take so much; 0: the default of 2 GiB"),
		NUMBER("max-request-bytes", settings->request_bytes, 64 * 1024 * 1024, "largest request that changes something"),
		NUMBER("max-txn-ops", settings->operations, 100000, "most operations of one transaction"),
		NUMBER("cache-bytes", settings->cache_bytes, INT64_MAX, "values kept in memory; 0: 12 MiB"),
		{ .name = "auto-compaction-mode",
		  .type = OPTION_CHOICE,
		  .target = &settings->compaction_mode,
		  .choices = "periodic|revision",
		  .help = "how history is bounded without being asked" },
		TEXT("auto-compaction-retention", settings->compaction_retention,
		     "periodic: 5m, 1h (a bare number: hours); revision: a count; 0: off"),
		{ .name = "watch-progress-notify-interval",
		  .type = OPTION_DURATION,
		  .target = &settings->progress_ms,
		  .minimum = PROGRESS_MINIMUM_MS,
		  .maximum = INT64_MAX,
		  .help = "progress is told to quiet watches that asked for it" },
		TEXT("auth-token", settings->auth_token, "how logins are remembered: simple"),
		TEXT("log-level", settings->log_level, "debug, info, warn or error"),
		{ .name = "log-format",
		  .type = OPTION_CHOICE,
		  .target = &settings->log_format,
		  .choices = "json|console",
		  .help = "of the log on stderr" },
		UNUSED("listen-peer-urls"),
		UNUSED("initial-advertise-peer-urls"),
		UNUSED("initial-cluster"),
		UNUSED("initial-cluster-token"),
		UNUSED("initial-cluster-state"),
		UNUSED("peer-cert-file"),
		UNUSED("peer-key-file"),
		UNUSED("peer-trusted-ca-file"),
		UNUSED_SWITCH("peer-client-cert-auth"),
		UNUSED("snapshot-count"),
		UNUSED("heartbeat-interval"),
		UNUSED("election-timeout"),
		UNUSED("max-snapshots"),
		UNUSED("max-wals"),
		UNUSED("wal-dir"),
		UNUSED("logger"),
		UNUSED("log-outputs"),
		UNUSED("metrics"),
		UNUSED_SWITCH("pre-vote"),
		UNUSED_SWITCH("strict-reconfig-check"),
		UNUSED("bcrypt-cost"),
		UNUSED_SWITCH("enable-pprof"),
		UNUSED("feature-gates"),
		UNUSED("backend-batch-interval"),
		UNUSED("backend-batch-limit"),
		{ 0 },
	};

	if (options_parse(definitions, argc, argv, NULL, help, err) < 0)
		return -1;
	if (*help)
		options_print(definitions, stdout);
	return 0;
}

static void print_help(void)
{
	(void)printf("Usage: kamaji datastore [options]\n\n"
	             "Serves the etcd v3 API from one folder. `kamaji datastore import --help`: how to make one from an etcd snapshot.\n\n"
	             "Examples:\n"
	             "  kamaji datastore --data-dir /var/lib/store --listen-client-urls http://127.0.0.1:2379\n"
	             "  kamaji datastore --data-dir /var/lib/store --listen-client-urls https://0.0.0.0:2379 \\\n"
	             "      --cert-file server.crt --key-file server.key --trusted-ca-file ca.crt --client-cert-auth\n\n"
	             "Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage.\n\nOptions:\n");
}

/* "5m" and, as etcd takes it, a bare number of hours. */
static int read_compaction(const struct settings *settings, struct etcd_server_options *options, struct error *err)
{
	const char *text = settings->compaction_retention;
	uint64_t nanoseconds;
	int64_t number;

	if (strcmp(settings->compaction_mode, "revision") == 0)
		return string_to_integer(text, 0, INT64_MAX, "--auto-compaction-retention", &options->compaction_revisions, err);
	if (strspn(text, "0123456789") == strlen(text)) {
		if (string_to_integer(text, 0, 1000000, "--auto-compaction-retention", &number, err) < 0)
			return -1;
		options->compaction_ms = (uint64_t)number * 3600 * 1000;
		return 0;
	}
	if (string_to_duration(text, "--auto-compaction-retention", &nanoseconds, err) < 0)
		return -1;
	options->compaction_ms = nanoseconds / 1000000;
	return 0;
}

/* What runs, in the order it is started; freed backwards. */
struct datastore {
	struct loop *loop;
	struct store *store;
	struct etcd_server *server;
	struct datastore_tls *tls;
	struct http_server *metrics;
	struct string_list listen, advertise;
};

static void disk_failed(void *argument, const struct error *err)
{
	log_error("datastore.disk", "the disk failed; ending at once, so that nothing is answered that may not be there", err);
}

static void serve_metrics(const struct http_server_request *request, struct http_server_response *response, void *argument)
{
	struct datastore *datastore = argument;

	response->status = etcd_server_http(datastore->server, request->path, request->query, &response->body, &response->content_type);
}

/* "https://0.0.0.0:2379" -> "0.0.0.0:2379" and whether it wants TLS; "unix:///run/x" -> "unix:/run/x". */
static int read_url(const char *url, bool *secure, char **address, struct error *err)
{
	*secure = string_has_prefix(url, "https://") || string_has_prefix(url, "unixs://");
	if (string_has_prefix(url, "https://"))
		*address = string_dup(url + strlen("https://"));
	else if (string_has_prefix(url, "http://"))
		*address = string_dup(url + strlen("http://"));
	else if (string_has_prefix(url, "unixs://"))
		*address = string_printf("unix:%s", url + strlen("unixs://"));
	else if (string_has_prefix(url, "unix://"))
		*address = string_printf("unix:%s", url + strlen("unix://"));
	else
		return error_set(err, ERROR_INVALID, "\"%s\" does not begin with http://, https:// or unix://", url);
	if (string_has_prefix(*address, "localhost:")) {
		char *plain = string_printf("127.0.0.1%s", *address + strlen("localhost"));

		free(*address);
		*address = plain;
	}
	return 0;
}

static int listen_all(struct datastore *datastore, struct error *err)
{
	for (size_t i = 0; i < datastore->listen.count; i++) {
		char *address FREE_CLEANUP = NULL;
		bool secure;

		if (read_url(datastore->listen.items[i], &secure, &address, err) < 0 ||
		    etcd_server_listen(datastore->server, address, secure ? datastore_tls_identity(datastore->tls) : NULL, err) < 0)
			return -1;
	}
	return 0;
}

static int check_listen_urls(const struct datastore *datastore, const struct settings *settings, struct error *err)
{
	for (size_t i = 0; i < datastore->listen.count; i++) {
		char *address FREE_CLEANUP = NULL;
		bool secure;

		if (read_url(datastore->listen.items[i], &secure, &address, err) < 0)
			return error_wrap(err, "--listen-client-urls");
		if (secure && string_empty(settings->tls.certificate) && string_empty(settings->tls.key))
			return error_set(err, ERROR_INVALID, "--listen-client-urls: %s needs --cert-file and --key-file",
			                 datastore->listen.items[i]);
	}
	return 0;
}

static int check_metrics_url(const char *url, struct error *err)
{
	char *address FREE_CLEANUP = NULL, *host FREE_CLEANUP = NULL;
	uint16_t port;
	bool secure;

	if (string_empty(url))
		return 0;
	if (strchr(url, ',') != NULL)
		return error_set(err, ERROR_INVALID, "--listen-metrics-urls: one URL is supported");
	if (read_url(url, &secure, &address, err) < 0)
		return error_wrap(err, "--listen-metrics-urls");
	if (secure)
		return error_set(err, ERROR_INVALID, "--listen-metrics-urls: only http:// is supported");
	return string_split_host_port(address, "--listen-metrics-urls", &host, &port, err);
}

static int listen_metrics(struct datastore *datastore, const char *url, struct error *err)
{
	struct http_server_options options = { .loop = datastore->loop, .handler = serve_metrics, .argument = datastore };
	char *address FREE_CLEANUP = NULL, *host FREE_CLEANUP = NULL;
	bool secure;

	if (string_empty(url))
		return 0;
	if (read_url(url, &secure, &address, err) < 0 ||
	    string_split_host_port(address, "--listen-metrics-urls", &host, &options.port, err) < 0)
		return -1;
	options.address = host;
	datastore->metrics = http_server_new(&options, err);
	return datastore->metrics == NULL ? -1 : 0;
}

static int open_store(struct datastore *datastore, const struct settings *settings, struct error *err)
{
	struct store_options options = {
		.directory = settings->data_dir,
		.cache_bytes = (size_t)settings->cache_bytes,
		.quota_bytes = (uint64_t)(settings->quota ? settings->quota : DEFAULT_QUOTA),
		.failed = disk_failed,
	};
	struct store_report report;

	datastore->store = store_open(datastore->loop, &options, &report, err);
	if (datastore->store == NULL)
		return -1;
	if (report.lost)
		log_warning("datastore.lost",
		            "changes that were acknowledged are missing; revisions continue far ahead and everybody lists again",
		            LOG_STRING("detail", report.detail));
	return 0;
}

/* What can be told wrong by the words alone is, before a folder is made. */
static int configure(struct datastore *datastore, const struct settings *settings, struct etcd_server_options *options, struct error *err)
{
	*options = (struct etcd_server_options){
		.name = settings->name,
		.version = REPORTED_VERSION,
		.maximum_request_bytes = (size_t)settings->request_bytes,
		.maximum_operations = settings->operations,
		.quota_bytes = (uint64_t)(settings->quota ? settings->quota : DEFAULT_QUOTA),
		.progress_ms = (unsigned)(settings->progress_ms < UINT32_MAX ? settings->progress_ms : UINT32_MAX),
		.certificate_users = settings->tls.client_certificates,
	};
	string_list_split(&datastore->listen, settings->listen_client_urls, ',');
	string_list_split(&datastore->advertise,
	                  string_empty(settings->advertise_client_urls) ? settings->listen_client_urls : settings->advertise_client_urls,
	                  ',');
	string_list_take(&datastore->advertise, NULL);
	options->client_urls = (const char *const *)datastore->advertise.items;
	if (read_compaction(settings, options, err) < 0 || check_listen_urls(datastore, settings, err) < 0)
		return -1;
	return check_metrics_url(settings->listen_metrics_urls, err);
}

static int start(struct datastore *datastore, const struct settings *settings, struct etcd_server_options *options, struct error *err)
{
	if (!string_empty(settings->tls.certificate) || !string_empty(settings->tls.key)) {
		datastore->tls = datastore_tls_new(&settings->tls, err);
		if (datastore->tls == NULL)
			return -1;
	}
	datastore->loop = loop_start("engine", err);
	if (datastore->loop == NULL || open_store(datastore, settings, err) < 0)
		return -1;
	options->loop = datastore->loop;
	options->store = datastore->store;
	datastore->server = etcd_server_new(options, err);
	if (datastore->server == NULL || listen_metrics(datastore, settings->listen_metrics_urls, err) < 0)
		return -1;
	return listen_all(datastore, err);
}

static void stop(struct datastore *datastore)
{
	http_server_free(datastore->metrics);
	etcd_server_free(datastore->server, STOP_GRACE_MS);
	store_close(datastore->store);
	loop_stop(datastore->loop);
	datastore_tls_free(datastore->tls);
	string_list_free(&datastore->listen);
	string_list_free(&datastore->advertise);
}

/* Until a signal asks to stop; certificates that changed on disk are taken for new connections meanwhile. */
static void wait_for_the_end(struct datastore *datastore)
{
	for (;;) {
		int number = signals_wait(datastore->tls != NULL ? RELOAD_MS : UINT64_MAX);
		struct error err;

		if (number == SIGTERM || number == SIGINT)
			return;
		if (datastore->tls == NULL)
			continue;
		switch (datastore_tls_reload(datastore->tls, number == SIGHUP, &err)) {
		case 1:
			etcd_server_set_identity(datastore->server, datastore_tls_identity(datastore->tls));
			log_info("datastore.certificates", "certificates were read again");
			break;
		case -1:
			log_warning_error("datastore.certificates", "certificates changed and cannot be used; the old ones stay", &err);
			break;
		default:
			break;
		}
	}
}

/*
 * A connection is a descriptor, and the usual soft limit of 1024 stands for programs that use select(). Everything up to the hard limit is ours to
 * take; more is not.
 */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < FEW_DESCRIPTORS)
		log_warning("datastore.descriptors", "few connections fit: raise the hard limit of open files (ulimit -Hn, LimitNOFILE)",
		            LOG_INTEGER("limit", (int64_t)limit.rlim_max));
}

int cmd_datastore(int argc, char **argv)
{
	struct datastore datastore = { 0 };
	enum log_level level = LOG_LEVEL_INFO;
	struct etcd_server_options options;
	struct settings settings;
	struct error err = { 0 };
	bool help = false;
	int code = EXIT_CODE_OK;

	if (argc > 1 && strcmp(argv[1], "import") == 0)
		return cmd_datastore_import(argc - 1, argv + 1);
	for (int i = 1; i < argc; i++)
		help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
	if (help)
		print_help();
	set_defaults(&settings);
	if (parse(&settings, argc, argv, &help, &err) == 0 && log_level_parse(settings.log_level, &level) < 0)
		error_set(&err, ERROR_INVALID, "--log-level: \"%s\" is none of debug, info, warn, error", settings.log_level);
	if (err.class == ERROR_NONE && strcmp(settings.auth_token, "simple") != 0)
		error_set(&err, ERROR_INVALID, "--auth-token: \"%s\" is not supported, only simple is (leave the option out)",
		          settings.auth_token);
	if (help && err.class == ERROR_NONE)
		return EXIT_CODE_OK;
	if (err.class != ERROR_NONE || configure(&datastore, &settings, &options, &err) < 0) {
		(void)fprintf(stderr, "kamaji datastore: %s\n", err.message);
		stop(&datastore);
		return EXIT_CODE_USAGE;
	}
	log_set_level(level);
	if (strcmp(settings.log_format, "console") == 0)
		log_set_format(LOG_FORMAT_TEXT);
	signals_block();
	allow_descriptors();
	if (start(&datastore, &settings, &options, &err) < 0) {
		log_error("datastore.start", "cannot start", &err);
		code = EXIT_CODE_FAILURE;
	} else {
		log_info("datastore.ready", "serving", LOG_STRING("version", kamaji_version),
		         LOG_STRING("urls", settings.listen_client_urls));
		wait_for_the_end(&datastore);
		log_info("datastore.stopping", "stopping");
	}
	stop(&datastore);
	return code;
}
