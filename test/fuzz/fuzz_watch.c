/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server sends: the first byte says how the rest is cut. The lines must not depend on the cut; every event is read, becomes an
 * entry, is parsed again, and compared as an apply would; the whole is also read as a Status.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/apply.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/entry.h"
#include "kube/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_object(json_t *object)
{
	struct error err = { 0 };
	json_t *desired = json_deep_copy(object), *live;
	struct buffer differences = { 0 };
	struct kube_entry *entry;

	kube_secret_digest(object);
	entry = kube_entry_new(object, NULL, &err);
	if (entry != NULL) {
		struct kube_entry_text text;

		kube_entry_open(entry, &text);
		live = kube_entry_parse(entry);
		if (!json_equal(live, object))
			abort();
		(void)kube_apply_compare(desired, live, text.owned, NULL, &differences);
		kube_entry_text_free(&text);
		json_decref(live);
	}
	kube_entry_unref(entry);
	buffer_free(&differences);
	json_decref(desired);
}

static int on_line(const char *line, size_t length, void *argument, struct error *err)
{
	struct kube_watch_event event = { 0 };
	struct error ignored = { 0 };

	struct kube_watch_glance glance;

	string_list_take(argument, string_ndup(line, length));
	if (kube_watch_glance(line, length, &glance) &&
	    (glance.name.bytes < line || glance.name.bytes + glance.name.length > line + length))
		abort();
	if (kube_watch_event_parse(line, length, &event, &ignored) == 0) {
		use_object(event.object);
		json_decref(event.object);
	}
	return 0;
}

static void split(const char *bytes, size_t length, size_t piece, struct string_list *out)
{
	struct kube_watch_lines lines = { 0 };
	struct error err = { 0 };

	for (size_t at = 0; at < length; at += piece)
		(void)kube_watch_lines_feed(&lines, bytes + at, length - at < piece ? length - at : piece, on_line, out, &err);
	kube_watch_lines_free(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct string_list whole = { 0 }, pieces = { 0 };
	const char *bytes = (const char *)data;
	struct error err = { 0 };

	if (size == 0)
		return 0;
	split(bytes + 1, size - 1, size, &whole);
	split(bytes + 1, size - 1, (size_t)data[0] + 1, &pieces);
	if (whole.count != pieces.count)
		abort();
	for (size_t i = 0; i < whole.count; i++)
		if (!string_equal(whole.items[i], pieces.items[i]))
			abort();
	if (kube_status_error(500, NULL, bytes + 1, size - 1, "fuzz", &err) != -1 || err.class == ERROR_NONE)
		abort();
	string_list_free(&whole);
	string_list_free(&pieces);
	return 0;
}
