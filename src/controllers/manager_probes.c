/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/manager_probes.h"

#include "base/metrics.h"
#include "base/strings.h"
#include "net/http_server.h"

static void answer_probe(const struct http_server_request *request, struct http_server_response *response, void *argument)
{
	struct manager_probes *probes = argument;

	if (string_equal(request->path, "/healthz") || string_has_prefix(request->path, "/healthz/")) {
		buffer_append_string(&response->body, "ok");
	} else if (string_equal(request->path, "/readyz") || string_has_prefix(request->path, "/readyz/")) {
		if (atomic_load(&probes->ready)) {
			buffer_append_string(&response->body, "ok");
		} else {
			response->status = 503;
			buffer_printf(&response->body, "waiting for %s\n", atomic_load(&probes->waiting_for));
		}
	} else {
		response->status = 404;
	}
}

static void answer_metrics(const struct http_server_request *request, struct http_server_response *response, void *argument)
{
	struct manager_probes *probes = argument;
	void (*update)(void *) = atomic_load(&probes->update);

	if (!string_equal(request->path, "/metrics")) {
		response->status = 404;
		return;
	}
	if (update)
		update(atomic_load(&probes->update_argument));
	response->content_type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_write(&response->body);
}

int manager_probes_parse_address(const char *text, const char *what, char **host, uint16_t *port, struct error *err)
{
	int64_t number;

	if (text[0] != ':')
		return string_split_host_port(text, what, host, port, err);
	if (string_to_integer(text + 1, 0, 65535, what, &number, err) < 0)
		return -1;
	*host = string_dup("");
	*port = (uint16_t)number;
	return 0;
}

static struct http_server *listen_at(struct loop *loop, const char *host, uint16_t port, http_server_handler handler, void *argument,
                                     struct error *err)
{
	struct http_server_options options = { .loop = loop, .address = host, .port = port, .handler = handler, .argument = argument };

	if (*host != '\0')
		return http_server_new(&options, err);
	/* All addresses of both families; a machine may have no IPv6. */
	options.address = "::";
	struct http_server *server = http_server_new(&options, err);

	if (server)
		return server;
	options.address = "0.0.0.0";
	error_clear(err);
	return http_server_new(&options, err);
}

static int start_one(struct http_server **server, struct loop *loop, const char *address, const char *what, http_server_handler handler,
                     void *argument, struct error *err)
{
	FREE_CLEANUP char *host = NULL;
	uint16_t port;

	if (string_empty(address) || string_equal(address, "0"))
		return 0;
	if (manager_probes_parse_address(address, what, &host, &port, err) < 0)
		return -1;
	*server = listen_at(loop, host, port, handler, argument, err);
	return *server ? 0 : error_wrap(err, "%s", what);
}

int manager_probes_start(struct manager_probes *probes, struct loop *loop, const char *probe_address, const char *metrics_address,
                         struct error *err)
{
	manager_probes_set(probes, false, "the start");
	if (start_one(&probes->probes, loop, probe_address, "--health-probe-bind-address", answer_probe, probes, err) < 0)
		return -1;
	return start_one(&probes->metrics, loop, metrics_address, "--metrics-bind-address", answer_metrics, probes, err);
}

void manager_probes_set(struct manager_probes *probes, bool ready, const char *waiting_for)
{
	atomic_store(&probes->waiting_for, waiting_for);
	atomic_store(&probes->ready, ready);
}

void manager_probes_stop(struct manager_probes *probes)
{
	http_server_free(probes->probes);
	http_server_free(probes->metrics);
	probes->probes = probes->metrics = NULL;
}
