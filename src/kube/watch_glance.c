/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for a few members near the start of a JSON text: most events tell what an answer to our own write has told before. */
#include <string.h>

#include "base/strings.h"
#include "kube/watch.h"

struct cursor {
	const char *at, *end;
};

static void skip_blanks(struct cursor *cursor)
{
	while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t'))
		cursor->at++;
}

static bool take(struct cursor *cursor, char wanted)
{
	skip_blanks(cursor);
	if (cursor->at == cursor->end || *cursor->at != wanted)
		return false;
	cursor->at++;
	return true;
}

/* The text between quotes; *plain is false when it has escapes. */
static bool take_string(struct cursor *cursor, struct kube_watch_word *word, bool *plain)
{
	if (!take(cursor, '"'))
		return false;
	*word = (struct kube_watch_word){ .bytes = cursor->at };
	*plain = true;
	for (; cursor->at < cursor->end; cursor->at++) {
		if (*cursor->at == '"') {
			word->length = (size_t)(cursor->at++ - word->bytes);
			return true;
		}
		if (*cursor->at == '\\') {
			*plain = false;
			cursor->at++;
			if (cursor->at == cursor->end)
				return false;
		}
	}
	return false;
}

/* Any value; of objects and lists only strings and nesting are looked at. */
static bool skip_value(struct cursor *cursor)
{
	struct kube_watch_word ignored;
	size_t depth = 0;
	bool plain;

	skip_blanks(cursor);
	while (cursor->at < cursor->end) {
		char c = *cursor->at;

		if (c == '"') {
			if (!take_string(cursor, &ignored, &plain))
				return false;
		} else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
			return true;
		} else {
			if (c == '{' || c == '[')
				depth++;
			else if (c == '}' || c == ']')
				depth--;
			cursor->at++;
		}
		if (depth == 0 && (c == '"' || c == '}' || c == ']'))
			return true;
	}
	return false;
}

/* The name of the next member and its colon; false at the end of the object. */
static bool next_member(struct cursor *cursor, bool first, struct kube_watch_word *name)
{
	bool plain;

	return (first || take(cursor, ',')) && take_string(cursor, name, &plain) && plain && take(cursor, ':');
}

static bool is(const struct kube_watch_word *word, const char *text)
{
	return word->length == strlen(text) && memcmp(word->bytes, text, word->length) == 0;
}

static bool read_metadata(struct cursor *cursor, struct kube_watch_glance *glance)
{
	const struct {
		const char *name;
		struct kube_watch_word *word;
	} wanted[] = { { "name", &glance->name },
		       { "namespace", &glance->namespace },
		       { "uid", &glance->uid },
		       { "resourceVersion", &glance->resource_version } };
	struct kube_watch_word name;
	bool plain;

	if (!take(cursor, '{'))
		return false;
	for (bool first = true; next_member(cursor, first, &name); first = false) {
		struct kube_watch_word *word = NULL;

		for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
			if (is(&name, wanted[i].name))
				word = wanted[i].word;
		}
		if (word == NULL ? !skip_value(cursor) : !take_string(cursor, word, &plain) || !plain)
			return false;
	}
	/* To the end of metadata: without that, a namespace might be missed. */
	return take(cursor, '}') && glance->name.length > 0 && glance->uid.length > 0 && glance->resource_version.length > 0;
}

static bool read_object(struct cursor *cursor, struct kube_watch_glance *glance)
{
	struct kube_watch_word name;

	if (!take(cursor, '{'))
		return false;
	for (bool first = true; next_member(cursor, first, &name); first = false) {
		if (is(&name, "metadata"))
			return read_metadata(cursor, glance);
		if (!skip_value(cursor))
			return false;
	}
	return false;
}

bool kube_watch_glance(const char *line, size_t length, struct kube_watch_glance *glance)
{
	struct cursor cursor = { line, line + length };
	struct kube_watch_word name, type;
	bool plain;

	*glance = (struct kube_watch_glance){ 0 };
	/* Servers write the type first. */
	return take(&cursor, '{') && next_member(&cursor, true, &name) && is(&name, "type") && take_string(&cursor, &type, &plain) &&
	       (is(&type, "ADDED") || is(&type, "MODIFIED")) && next_member(&cursor, false, &name) && is(&name, "object") &&
	       read_object(&cursor, glance);
}
