/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/buffer.h"
#include "base/strings.h"

struct reader {
	yaml_document_t document;
	size_t nodes;
	int depth;
	struct error *err;
};

static bool is_number_text(const char *text, bool *real)
{
	const char *place = text;

	*real = false;
	if (*place == '-')
		place++;
	if (!isdigit((unsigned char)*place) || (*place == '0' && isdigit((unsigned char)place[1])))
		return false;
	while (isdigit((unsigned char)*place))
		place++;
	if (*place == '.') {
		*real = true;
		place++;
		if (!isdigit((unsigned char)*place))
			return false;
		while (isdigit((unsigned char)*place))
			place++;
	}
	if (*place == 'e' || *place == 'E') {
		*real = true;
		place++;
		if (*place == '+' || *place == '-')
			place++;
		if (!isdigit((unsigned char)*place))
			return false;
		while (isdigit((unsigned char)*place))
			place++;
	}
	return *place == '\0';
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static json_t *plain_scalar(const char *text, size_t length)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const truths[] = { "true", "True", "TRUE", NULL };
	static const char *const falsehoods[] = { "false", "False", "FALSE", NULL };
	bool real;

	if (strlen(text) != length)
		return NULL;
	if (is_one_of(text, nulls))
		return json_null();
	if (is_one_of(text, truths))
		return json_true();
	if (is_one_of(text, falsehoods))
		return json_false();
	if (is_number_text(text, &real)) {
		if (!real) {
			errno = 0;
			long long value = strtoll(text, NULL, 10);

			if (errno == 0)
				return json_integer(value);
		}
		return json_real(strtod(text, NULL));
	}
	return json_stringn(text, length);
}

static json_t *convert(struct reader *reader, int index);

static json_t *convert_mapping(struct reader *reader, const yaml_node_t *node)
{
	json_t *object = json_object();

	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
		json_t *member;
		const char *name;

		if (key == NULL || key->type != YAML_SCALAR_NODE) {
			error_set(reader->err, ERROR_INVALID, "YAML: line %zu: a key must be a plain word", node->start_mark.line + 1);
			goto failed;
		}
		name = (const char *)key->data.scalar.value;
		if (strlen(name) != key->data.scalar.length) {
			error_set(reader->err, ERROR_INVALID, "YAML: line %zu: a key holds a NUL", key->start_mark.line + 1);
			goto failed;
		}
		if (json_object_getn(object, name, key->data.scalar.length) != NULL) {
			error_set(reader->err, ERROR_INVALID, "YAML: line %zu: key \"%s\" is there twice", key->start_mark.line + 1, name);
			goto failed;
		}
		member = convert(reader, pair->value);
		if (member == NULL)
			goto failed;
		if (json_object_setn_new(object, name, key->data.scalar.length, member) < 0) {
			error_set(reader->err, ERROR_INVALID, "YAML: line %zu: key is not UTF-8", key->start_mark.line + 1);
			goto failed;
		}
	}
	return object;
failed:
	json_decref(object);
	return NULL;
}

static json_t *convert_sequence(struct reader *reader, const yaml_node_t *node)
{
	json_t *array = json_array();

	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
		json_t *element = convert(reader, *item);

		if (element == NULL || json_array_append_new(array, element) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *convert_scalar(struct reader *reader, const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	json_t *value;

	if (node->tag != NULL && strcmp((const char *)node->tag, YAML_STR_TAG) != 0) {
		error_set(reader->err, ERROR_INVALID, "YAML: line %zu: tag %s is not supported", node->start_mark.line + 1, node->tag);
		return NULL;
	}
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		value = plain_scalar(text, node->data.scalar.length);
	else
		value = json_stringn(text, node->data.scalar.length);
	if (value == NULL)
		error_set(reader->err, ERROR_INVALID, "YAML: line %zu: text is not UTF-8", node->start_mark.line + 1);
	return value;
}

static json_t *convert(struct reader *reader, int index)
{
	yaml_node_t *node = yaml_document_get_node(&reader->document, index);
	json_t *value = NULL;

	/* Every visit counts, so anchors that multiply end here too. */
	if (node == NULL || ++reader->nodes > YAML_MAXIMUM_NODES || reader->depth >= JSON_MAXIMUM_DEPTH) {
		error_set(reader->err, ERROR_EXHAUSTED, "YAML: more than %d values or %d levels", YAML_MAXIMUM_NODES, JSON_MAXIMUM_DEPTH);
		return NULL;
	}
	reader->depth++;
	if (node->type == YAML_MAPPING_NODE)
		value = convert_mapping(reader, node);
	else if (node->type == YAML_SEQUENCE_NODE)
		value = convert_sequence(reader, node);
	else
		value = convert_scalar(reader, node);
	reader->depth--;
	return value;
}

json_t *yaml_parse_all(const char *text, size_t length, struct error *err)
{
	struct reader reader = { .err = err };
	yaml_parser_t parser;
	json_t *documents;
	bool more = true;

	if (length > YAML_MAXIMUM_BYTES) {
		error_set(err, ERROR_EXHAUSTED, "YAML text of %zu bytes is over the limit of %d", length, YAML_MAXIMUM_BYTES);
		return NULL;
	}
	if (!yaml_parser_initialize(&parser))
		abort();
	documents = json_array();
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	while (more) {
		yaml_node_t *root;
		json_t *value = NULL;

		if (!yaml_parser_load(&parser, &reader.document)) {
			error_set(err, ERROR_INVALID, "YAML: line %zu: %s", parser.problem_mark.line + 1,
			          parser.problem ? parser.problem : "cannot be read");
			goto failed;
		}
		root = yaml_document_get_root_node(&reader.document);
		more = root != NULL;
		if (more) {
			value = convert(&reader, 1);
			if (value != NULL && !json_is_null(value))
				(void)json_array_append(documents, value);
		}
		yaml_document_delete(&reader.document);
		if (more && value == NULL)
			goto failed;
		json_decref(value);
	}
	yaml_parser_delete(&parser);
	return documents;
failed:
	yaml_parser_delete(&parser);
	json_decref(documents);
	return NULL;
}

json_t *yaml_parse(const char *text, size_t length, struct error *err)
{
	json_t *documents JSON_CLEANUP = yaml_parse_all(text, length, err);

	if (documents == NULL)
		return NULL;
	if (json_array_size(documents) > 1) {
		error_set(err, ERROR_INVALID, "YAML: one document is expected, %zu were found", json_array_size(documents));
		return NULL;
	}
	return json_array_size(documents) == 0 ? json_null() : json_incref(json_array_get(documents, 0));
}

/* A word that would be read back as something other than this string must be quoted. */
static bool needs_quotes(const char *text)
{
	static const char *const words[] = { "",      "~",   "null", "Null", "NULL", "true", "True", "TRUE", "false", "False",
		                             "FALSE", "yes", "Yes",  "YES",  "no",   "No",   "NO",   "on",   "On",    "ON",
		                             "off",   "Off", "OFF",  "y",    "Y",    "n",    "N",    "<<",   "=",     NULL };
	char *end = NULL;

	if (is_one_of(text, words) || strchr("-?:,[]{}#&*!|>'\"%@` \t", text[0]) != NULL) {
		if (!(text[0] == '-' && text[1] != '\0' && text[1] != ' ' && text[1] != '-' && !isdigit((unsigned char)text[1]) &&
		      text[1] != '.') &&
		    !(text[0] == ':' && text[1] != '\0' && text[1] != ' ') && !(text[0] == '?' && text[1] != '\0' && text[1] != ' '))
			return true;
	}
	if (strstr(text, ": ") != NULL || strstr(text, " #") != NULL || text[strlen(text) - 1] == ':' || text[strlen(text) - 1] == ' ')
		return true;
	(void)strtod(text, &end);
	if (*end == '\0' && (isdigit((unsigned char)text[strlen(text) - 1]) || text[strlen(text) - 1] == '.'))
		return true;
	return text[0] == '0' && (text[1] == 'x' || text[1] == 'o');
}

/*
 * The bytes at `at` that a YAML text cannot hold as they are or that end a line there (YAML 1.1, 5.1 and 5.4): control characters, U+0085,
 * U+2028, U+2029, the byte order mark and the last two of its plane. 0: none begins here. A line feed is not among them.
 */
static size_t special(const unsigned char *at, size_t left, unsigned *code)
{
	size_t length = at[0] == 0xc2 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : 1;

	if (length > left)
		return 0;
	switch (length) {
	case 1:
		*code = at[0];
		return (*code < 0x20 && *code != '\n') || *code == 0x7f ? 1 : 0;
	case 2:
		*code = at[1];
		return *code < 0xa0 ? 2 : 0;
	default:
		*code = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
		return *code == 0x2028 || *code == 0x2029 || *code == 0xfeff || *code >= 0xfffe ? 3 : 0;
	}
}

static bool has_special(const char *text, size_t length)
{
	unsigned code;

	for (size_t i = 0; i < length; i++)
		if (special((const unsigned char *)text + i, length - i, &code) > 0)
			return true;
	return false;
}

/* Double quotes with escapes that JSON and YAML share: fits every text. */
static void write_escaped(struct buffer *out, const char *text, size_t length)
{
	buffer_append_char(out, '"');
	for (size_t i = 0, taken; i < length; i += taken) {
		unsigned code;

		taken = special((const unsigned char *)text + i, length - i, &code);
		if (taken > 0) {
			if (code == '\t')
				buffer_append_string(out, "\\t");
			else
				buffer_printf(out, "\\u%04X", code);
			continue;
		}
		taken = 1;
		if (text[i] == '\n')
			buffer_append_string(out, "\\n");
		else if (text[i] == '"' || text[i] == '\\')
			buffer_printf(out, "\\%c", text[i]);
		else
			buffer_append_char(out, text[i]);
	}
	buffer_append_char(out, '"');
}

static void write_string(struct buffer *out, const char *text, size_t length, int indent)
{
	bool escaped = has_special(text, length);

	if (!escaped && strchr(text, '\n') != NULL && text[0] != ' ' && text[0] != '\n') {
		buffer_append_string(out, text[length - 1] != '\n' ? "|-" : length > 1 && text[length - 2] == '\n' ? "|+" : "|");
		for (const char *line = text; *line != '\0';) {
			size_t part = strcspn(line, "\n");

			buffer_append_char(out, '\n');
			if (part > 0)
				buffer_printf(out, "%*s%.*s", indent, "", (int)part, line);
			line += part;
			if (*line == '\n')
				line++;
		}
	} else if (escaped || strchr(text, '\n') != NULL) {
		write_escaped(out, text, length);
	} else if (needs_quotes(text)) {
		/* sigs.k8s.io/yaml prefers double quotes for empty and ambiguous words, single quotes for punctuation. */
		bool doubles = text[0] == '\0' || isalnum((unsigned char)text[0]) || text[0] == '-' || text[0] == '.' || text[0] == '~';

		if (strpbrk(text, "\"\\") != NULL)
			doubles = false;
		buffer_append_char(out, doubles ? '"' : '\'');
		for (; *text != '\0'; text++) {
			if (!doubles && *text == '\'')
				buffer_append_char(out, '\'');
			buffer_append_char(out, *text);
		}
		buffer_append_char(out, doubles ? '"' : '\'');
	} else {
		buffer_append_string(out, text);
	}
}

static void write_value(struct buffer *out, const json_t *value, int indent, bool sorted, bool in_sequence);

/* The shortest text that reads back as the same number, as Go prints it. */
static void write_real(struct buffer *out, double number)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	buffer_append_string(out, text);
}

static void write_scalar(struct buffer *out, const json_t *value, int indent)
{
	if (json_is_real(value)) {
		write_real(out, json_real_value(value));
	} else if (json_is_string(value)) {
		write_string(out, json_string_value(value), json_string_length(value), indent);
	} else {
		char *text = json_text(value);

		buffer_append_string(out, text);
		free(text);
	}
	buffer_append_char(out, '\n');
}

static bool is_block(const json_t *value)
{
	return (json_is_object(value) && json_object_size(value) > 0) || (json_is_array(value) && json_array_size(value) > 0);
}

static void write_member(struct buffer *out, const char *name, const json_t *member, int indent, bool sorted)
{
	/* A block of lines cannot be a member's name. */
	if (strchr(name, '\n') != NULL)
		write_escaped(out, name, strlen(name));
	else
		write_string(out, name, strlen(name), indent + 2);
	buffer_append_char(out, ':');
	if (is_block(member)) {
		buffer_append_char(out, '\n');
		write_value(out, member, json_is_array(member) ? indent : indent + 2, sorted, false);
	} else {
		buffer_append_char(out, ' ');
		write_scalar(out, member, indent + 2);
	}
}

static void write_object(struct buffer *out, const json_t *object, int indent, bool sorted, bool in_sequence)
{
	struct string_list names STRING_LIST_CLEANUP = { 0 };
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)object, name, member)
		string_list_add(&names, name);
	if (sorted)
		string_list_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		if (i > 0 || !in_sequence)
			buffer_printf(out, "%*s", indent, "");
		write_member(out, names.items[i], json_object_get(object, names.items[i]), indent, sorted);
	}
}

static void write_value(struct buffer *out, const json_t *value, int indent, bool sorted, bool in_sequence)
{
	if (json_is_object(value) && is_block(value)) {
		write_object(out, value, indent, sorted, in_sequence);
	} else if (json_is_array(value) && is_block(value)) {
		for (size_t i = 0; i < json_array_size(value); i++) {
			if (i > 0 || !in_sequence)
				buffer_printf(out, "%*s", indent, "");
			buffer_append_string(out, "- ");
			write_value(out, json_array_get(value, i), indent + 2, sorted, true);
		}
	} else {
		write_scalar(out, value, indent);
	}
}

char *yaml_text(const json_t *value, bool sorted)
{
	struct buffer out = { 0 };

	if (is_block(value))
		write_value(&out, value, 0, sorted, false);
	else
		write_scalar(&out, value, 2); /* lines of a text at the margin could be taken for a document's begin */
	return buffer_take(&out);
}
