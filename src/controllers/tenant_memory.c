/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/tenant_memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/strings.h"
#include "base/version.h"
#include "controllers/tenant_internal.h"
#include "io/file.h"
#include "io/thread.h"
#include "kube/client.h"
#include "pki/digest.h"

#define MEMORY_NAME "kamaji-settled-tenants"
#define KEY_OPERATOR "operator"
#define KEY_TENANTS "tenants"
/* An object may have 1.5 MB in all; what does not fit is looked at after a restart. */
enum { MEMORY_MAXIMUM = 1000 * 1000, PROGRAM_MAXIMUM = 256 * 1024 * 1024 };
#define LATEST_MOMENT INT64_C(253402300799) /* the year 9999 */

/* This program with these options: another one may want other objects. */
static void operator_digest(const struct tenant_controller *controller, char hex[DIGEST_HEX_SIZE])
{
	const struct manager_options *options = controller->context->options;
	BUFFER_CLEANUP struct buffer program = { 0 };
	char program_hex[DIGEST_HEX_SIZE] = "";
	struct error ignored = { 0 };

	if (file_read("/proc/self/exe", PROGRAM_MAXIMUM, &program, &ignored) == 0)
		digest_hex(DIGEST_SHA256, program.data, program.length, program_hex);
	FREE_CLEANUP char *text = string_printf("%s\n%s\n%s\n%s\n%s\n%s\n%" PRIu64 "\n%d", kamaji_version, program_hex, options->data_store,
	                                        options->kine_image, options->template_profile, options->key_algorithm,
	                                        options->certificate_deadline_ms, controller->context->routes != NULL);

	digest_hex(DIGEST_SHA256, text, strlen(text), hex);
}

/* "namespace/name digest renewal" */
static void remember_line(struct tenant_controller *controller, const char *line)
{
	STRING_LIST_CLEANUP struct string_list words = { 0 };
	struct error ignored = { 0 };
	int64_t renew_at = 0;

	string_list_split(&words, line, ' ');
	if (words.count != 3 || strlen(words.items[1]) + 1 > DIGEST_HEX_SIZE ||
	    string_to_integer(words.items[2], 0, LATEST_MOMENT, "renewal", &renew_at, &ignored) < 0)
		return;
	struct tenant_record *record = tenant_record_of(controller, words.items[0]);

	(void)memccpy(record->settled, words.items[1], '\0', sizeof(record->settled));
	record->renew_at = renew_at;
}

static bool can_keep(const struct tenant_controller *controller)
{
	return !string_empty(controller->context->options->namespace_name);
}

void tenant_memory_load(struct tenant_controller *controller, struct cancel *cancel)
{
	struct error err = { 0 };
	char hex[DIGEST_HEX_SIZE];

	if (!can_keep(controller) || controller->remembered) /* a later term knows more than what was written before the first */
		return;
	JSON_CLEANUP json_t *memory = kube_client_get(controller->context->client, &kube_resource_config_map,
	                                              controller->context->options->namespace_name, MEMORY_NAME, cancel, &err);
	const json_t *data = json_object_get(memory, "data");
	const char *tenants = json_string_value(json_object_get(data, KEY_TENANTS));

	if (!memory && err.class != ERROR_NOT_FOUND)
		log_info("tenant.memory", "what was settled cannot be read; every tenant is looked at", LOG_STRING("why", err.message));
	operator_digest(controller, hex);
	if (!tenants || !string_equal(json_string_value(json_object_get(data, KEY_OPERATOR)), hex))
		return;
	STRING_LIST_CLEANUP struct string_list lines = { 0 };

	string_list_split(&lines, tenants, '\n');
	for (size_t i = 0; i < lines.count; i++)
		remember_line(controller, lines.items[i]);
	controller->remembered = string_dup(tenants);
}

static char *settled_lines(struct tenant_controller *controller)
{
	STRING_LIST_CLEANUP struct string_list lines = { 0 };
	size_t size = 0;
	THREAD_LOCKED(&controller->mutex);

	for (struct map_entry *entry = map_first(&controller->records); entry; entry = map_next(&controller->records, entry)) {
		const struct tenant_record *record = entry->value;

		/* One with a problem is looked at again: what it waits for may not be among its inputs. */
		if (record->settled[0] == '\0' || record->problem[0] != '\0')
			continue;
		size += strlen(entry->key) + strlen(record->settled) + 24;
		if (size > MEMORY_MAXIMUM)
			break;
		string_list_printf(&lines, "%s %s %" PRId64, entry->key, record->settled, record->renew_at);
	}
	string_list_sort(&lines);
	return string_list_join(&lines, "\n");
}

void tenant_memory_save(struct tenant_controller *controller, struct cancel *cancel)
{
	struct manager_context *context = controller->context;
	FREE_CLEANUP char *tenants = settled_lines(controller);
	struct error err = { 0 };
	char hex[DIGEST_HEX_SIZE];

	if (!can_keep(controller) || string_equal(tenants ? tenants : "", controller->remembered ? controller->remembered : ""))
		return;
	operator_digest(controller, hex);
	JSON_CLEANUP json_t *memory = json_build("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
	                                         "metadata", "name", MEMORY_NAME, "namespace", context->options->namespace_name, "data",
	                                         KEY_OPERATOR, hex, KEY_TENANTS, tenants ? tenants : "");
	JSON_CLEANUP json_t *stored = kube_client_apply(context->client, &kube_resource_config_map, memory,
	                                                &(struct kube_write_options){ .force = true }, cancel, &err);

	if (!stored)
		log_info("tenant.memory", "what is settled cannot be kept; the next start looks at every tenant",
		         LOG_STRING("why", err.message));
}
