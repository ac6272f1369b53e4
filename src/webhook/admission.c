/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/admission.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "api/names.h"
#include "base/base64.h"
#include "webhook/admission_internal.h"

/* Cuts between characters: what goes into JSON must stay UTF-8. */
static void cut(char *text, size_t maximum)
{
	if (strlen(text) <= maximum)
		return;
	while (maximum > 0 && ((unsigned char)text[maximum] & 0xc0) == 0x80)
		maximum--;
	text[maximum] = '\0';
}

void verdict_deny(struct admission_verdict *verdict, struct arena *arena, int code, const char *format, ...)
{
	va_list arguments;
	char *message;

	va_start(arguments, format);
	message = arena_vprintf(arena, format, arguments);
	va_end(arguments);
	cut(message, ADMISSION_MAXIMUM_MESSAGE);
	verdict->denied = true;
	verdict->code = code;
	verdict->message = message;
}

void verdict_warn(struct admission_verdict *verdict, struct arena *arena, const char *format, ...)
{
	va_list arguments;
	char *message;

	if (verdict->warning_count == ADMISSION_MAXIMUM_WARNINGS)
		return;
	va_start(arguments, format);
	message = arena_vprintf(arena, format, arguments);
	va_end(arguments);
	cut(message, ADMISSION_MAXIMUM_WARNING);
	verdict->warnings[verdict->warning_count++] = message;
}

static void allow_always(const struct admission_request *request, struct admission_verdict *verdict)
{
}

static void deny_frozen(const struct admission_request *request, struct admission_verdict *verdict)
{
	verdict_deny(verdict, request->arena, 403,
	             "this control plane is frozen while its data store is being migrated: no change is accepted until the migration ends; "
	             "do not remove this webhook, or what is written now may be lost");
}

static void deny_write(const struct admission_request *request, struct admission_verdict *verdict)
{
	verdict_deny(verdict, request->arena, 403,
	             "this control plane has limited write permissions: this operation is blocked by spec.writePermissions of its "
	             "TenantControlPlane");
}

struct route {
	const char *path;
	void (*decide)(const struct admission_request *request, struct admission_verdict *verdict);
	bool tenant; /* for TenantControlPlanes only */
};

static const struct route routes[] = {
	{ ADMISSION_PATH_MUTATE, admission_mutate, true },      { ADMISSION_PATH_VALIDATE, admission_validate, true },
	{ ADMISSION_PATH_TELEMETRY, allow_always, false },      { ADMISSION_PATH_FREEZE, deny_frozen, false },
	{ ADMISSION_PATH_WRITE_PERMISSION, deny_write, false },
};

static json_t *verdict_response(const char *uid, const char *operation, const struct admission_verdict *verdict)
{
	json_t *response = json_build("{s:s,s:b}", "uid", uid, "allowed", !verdict->denied);

	if (verdict->denied) {
		json_object_set_new(response, "status",
		                    json_build("{s:s,s:i,s:s,s:s}", "status", "Failure", "code", verdict->code, "reason",
		                               verdict->code == 403 ? "Forbidden" : "InternalError", "message", verdict->message));
	} else {
		FREE_CLEANUP char *message = string_printf("%s operation allowed", operation);

		for (char *at = message; *at; at++)
			*at = (char)tolower((unsigned char)*at);
		json_object_set_new(response, "status", json_build("{s:i,s:s}", "code", 200, "message", message));
	}
	if (!verdict->denied && json_array_size(verdict->patch) > 0) {
		FREE_CLEANUP char *text = json_text(verdict->patch);
		FREE_CLEANUP char *encoded = base64_encode_new(text, strlen(text));

		json_object_set_new(response, "patchType", json_string_new("JSONPatch"));
		json_object_set_new(response, "patch", json_string_new(encoded));
	}
	for (size_t i = 0; i < verdict->warning_count; i++) {
		if (i == 0)
			json_object_set_new(response, "warnings", json_array());
		json_array_append_new(json_object_get(response, "warnings"), json_string_new(verdict->warnings[i]));
	}
	return response;
}

static const json_t *object_or_null(const json_t *value)
{
	return json_is_object(value) ? value : NULL;
}

static json_t *decide(const struct admission *admission, const struct route *route, const json_t *asked, struct cancel *cancel)
{
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct admission_request request = {
		.admission = admission,
		.arena = arena,
		.cancel = cancel,
		.operation = json_string_or(asked, "operation", ""),
		.object = object_or_null(json_object_get(asked, "object")),
		.old_object = object_or_null(json_object_get(asked, "oldObject")),
	};
	struct admission_verdict verdict = { 0 };
	json_t *response;

	if (!string_equal(request.operation, "CONNECT")) {
		if (route->tenant && !string_equal(json_string_at(asked, "kind.kind"), KAMAJI_KIND_TENANT_CONTROL_PLANE))
			verdict_deny(&verdict, arena, 500, "request.kind: this path answers for TenantControlPlane, not for \"%s\"",
			             json_string_or(asked, "kind.kind", ""));
		else
			route->decide(&request, &verdict);
	}
	response = verdict_response(json_string_or(asked, "uid", ""), request.operation, &verdict);
	json_decref(verdict.patch);
	return response;
}

static int not_understood(struct buffer *body, const char *message)
{
	(void)buffer_append_string(body, message);
	(void)buffer_append_char(body, '\n');
	return 400;
}

/* The review that is asked for, or NULL with the HTTP status in *status. */
static json_t *parse_review(const char *bytes, size_t length, const char *group, const char *kind, struct buffer *body)
{
	JSON_CLEANUP json_t *review = NULL;
	struct error err;

	review = json_parse(bytes, length, &err);
	if (!review)
		not_understood(body, err.message);
	else if (!string_equal(json_string_at(review, "kind"), kind) || !string_equal(json_string_at(review, "apiVersion"), group))
		not_understood(body, "the body is not the v1 review that this path answers");
	else if (!json_is_object(json_object_get(review, "request")))
		not_understood(body, "request: missing");
	else
		return json_incref(review);
	return NULL;
}

static void put_review(struct buffer *body, const char *group, const char *kind, json_t *response)
{
	JSON_CLEANUP json_t *review = json_build("{s:s,s:s,s:o}", "apiVersion", group, "kind", kind, "response", response);
	FREE_CLEANUP char *text = json_text(review);

	(void)buffer_append_string(body, text);
}

static int answer_conversion(const char *bytes, size_t length, struct buffer *body)
{
	JSON_CLEANUP json_t *review = parse_review(bytes, length, "apiextensions.k8s.io/v1", "ConversionReview", body);

	if (!review)
		return 400;
	put_review(body, "apiextensions.k8s.io/v1", "ConversionReview", conversion_response(json_object_get(review, "request")));
	return 200;
}

int admission_answer(const struct admission *admission, const char *path, const char *bytes, size_t length, struct cancel *cancel,
                     struct buffer *body)
{
	const struct route *route = NULL;

	if (string_equal(path, ADMISSION_PATH_CONVERT))
		return answer_conversion(bytes, length, body);
	for (size_t i = 0; i < ARRAY_LENGTH(routes) && !route; i++)
		if (string_equal(path, routes[i].path))
			route = &routes[i];
	if (!route) {
		(void)buffer_append_string(body, "no webhook is served here\n");
		return 404;
	}
	JSON_CLEANUP json_t *review = parse_review(bytes, length, "admission.k8s.io/v1", "AdmissionReview", body);

	if (!review)
		return 400;
	put_review(body, "admission.k8s.io/v1", "AdmissionReview", decide(admission, route, json_object_get(review, "request"), cancel));
	return 200;
}
