/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain-HTTP side, as etcd answers it: /health, /livez and /readyz with their single checks, /version, /metrics. A read always works while the
 * process lives (a store that cannot read ends it), so what the read checks find is that the loop turns.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "base/strings.h"
#include "etcd/alarm.h"
#include "etcd/maintenance.h"

enum { STATUS_OK = 200, STATUS_NOT_FOUND = 404, STATUS_UNAVAILABLE = 503 };

struct check {
	const char *name;
	bool live;                                          /* also one of /livez */
	const char *(*problem)(struct etcd_server *server); /* NULL: good */
};

static const char *no_problem(struct etcd_server *server)
{
	return NULL;
}

static const char *data_corruption(struct etcd_server *server)
{
	return server->corrupt_alarm ? "alarm activated: CORRUPT" : NULL;
}

static const struct check checks[] = {
	{ "data_corruption", false, data_corruption },
	{ "serializable_read", true, no_problem },
	{ "linearizable_read", false, no_problem },
	{ "non_learner", false, no_problem },
};

static int hex_digit(char digit)
{
	return isdigit((unsigned char)digit)    ? digit - '0'
	       : isxdigit((unsigned char)digit) ? (tolower((unsigned char)digit) - 'a' + 10)
	                                        : -1;
}

static char *percent_decode(const char *text, size_t length)
{
	struct buffer out = { 0 };

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '%' && i + 2 < length && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
			(void)buffer_append_char(&out, (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2])));
			i += 2;
		} else {
			(void)buffer_append_char(&out, text[i] == '+' ? ' ' : text[i]);
		}
	}
	return buffer_take(&out);
}

/* All values of a parameter; one without '=' has the value "". */
static void query_values(const char *query, const char *name, struct string_list *values)
{
	struct string_list parts STRING_LIST_CLEANUP = { 0 };

	string_list_split(&parts, query != NULL ? query : "", '&');
	for (size_t i = 0; i < parts.count; i++) {
		const char *equals = strchrnul(parts.items[i], '=');
		char *key FREE_CLEANUP = percent_decode(parts.items[i], (size_t)(equals - parts.items[i]));

		if (string_equal(key, name))
			string_list_take(values, *equals == '=' ? percent_decode(equals + 1, strlen(equals + 1)) : string_dup(""));
	}
}

static int serve_health(struct etcd_server *server, const char *query, struct buffer *body, const char **content_type)
{
	struct string_list excluded STRING_LIST_CLEANUP = { 0 };
	const char *reason = "";

	query_values(query, "exclude", &excluded);
	if (server->no_space_alarm && !string_list_contains(&excluded, alarm_name(ALARM_NOSPACE)))
		reason = "ALARM NOSPACE";
	else if (server->corrupt_alarm && !string_list_contains(&excluded, alarm_name(ALARM_CORRUPT)))
		reason = "ALARM CORRUPT";
	etcd_metrics_health("health", "", *reason == '\0');
	*content_type = *reason == '\0' ? "application/json" : "text/plain; charset=utf-8";
	(void)buffer_printf(body, "{\"health\":\"%s\",\"reason\":\"%s\"}%s", *reason == '\0' ? "true" : "false", reason,
	                    *reason == '\0' ? "" : "\n");
	return *reason == '\0' ? STATUS_OK : STATUS_UNAVAILABLE;
}

static bool run_check(struct etcd_server *server, const char *type, const struct check *check, struct buffer *lines)
{
	const char *problem = check->problem(server);

	if (problem != NULL)
		(void)buffer_printf(lines, "[-]%s failed: %s\n", check->name, problem);
	else
		(void)buffer_printf(lines, "[+]%s ok\n", check->name);
	etcd_metrics_health(type, check->name, problem == NULL);
	return problem == NULL;
}

/* `wanted`: one check of the path, or NULL for all that are not excluded. */
static int serve_checks(struct etcd_server *server, const char *type, const char *wanted, const char *query, struct buffer *body)
{
	struct string_list excluded STRING_LIST_CLEANUP = { 0 }, verbose STRING_LIST_CLEANUP = { 0 };
	struct buffer lines BUFFER_CLEANUP = { 0 };
	bool good = true, found = wanted == NULL;

	if (wanted == NULL)
		query_values(query, "exclude", &excluded);
	query_values(query, "verbose", &verbose);
	for (size_t i = 0; i < ARRAY_LENGTH(checks); i++) {
		if ((string_equal(type, "livez") && !checks[i].live) || (wanted != NULL && !string_equal(wanted, checks[i].name)) ||
		    string_list_contains(&excluded, checks[i].name))
			continue;
		found = true;
		good &= run_check(server, type, &checks[i], &lines);
	}
	if (!found) {
		(void)buffer_append_string(body, "404 page not found\n");
		return STATUS_NOT_FOUND;
	}
	if (!good || verbose.count > 0)
		(void)buffer_append(body, lines.data, lines.length);
	(void)buffer_append_string(body, good ? "ok\n" : "\n");
	return good ? STATUS_OK : STATUS_UNAVAILABLE;
}

static int serve_version(struct etcd_server *server, struct buffer *body, const char **content_type)
{
	char version[ETCD_VERSION_SIZE];

	etcd_minor_version(server, version);
	*content_type = "application/json";
	(void)buffer_printf(body, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\",\"storage\":\"%s\"}", server->options.version, version,
	                    version);
	return STATUS_OK;
}

int etcd_http_answer(struct etcd_server *server, const char *path, const char *query, struct buffer *body, const char **content_type)
{
	*content_type = "text/plain; charset=utf-8";
	if (string_equal(path, "/health"))
		return serve_health(server, query, body, content_type);
	if (string_equal(path, "/livez") || string_has_prefix(path, "/livez/"))
		return serve_checks(server, "livez", path[6] == '/' ? path + 7 : NULL, query, body);
	if (string_equal(path, "/readyz") || string_has_prefix(path, "/readyz/"))
		return serve_checks(server, "readyz", path[7] == '/' ? path + 8 : NULL, query, body);
	if (string_equal(path, "/version"))
		return serve_version(server, body, content_type);
	if (string_equal(path, "/metrics")) {
		*content_type = "text/plain; version=0.0.4; charset=utf-8";
		etcd_metrics_refresh(server);
		metrics_write(body);
		return STATUS_OK;
	}
	(void)buffer_append_string(body, "404 page not found\n");
	return STATUS_NOT_FOUND;
}
