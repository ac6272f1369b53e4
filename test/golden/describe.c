/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <ctype.h>
#include <string.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "pki/certificate.h"

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_flags(json_t *target, const char *name, unsigned mask, const char *const *names, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		if (mask & (1u << i))
			json_array_append_new(list, json_string_new(names[i]));
	if (json_array_size(list) > 0)
		json_put(target, name, list);
	else
		json_decref(list);
}

static void put_sans(json_t *target, const struct certificate_facts *facts)
{
	const char *sorted[64];
	json_t *list = json_array();
	size_t count = 0;

	for (const char *const *name = facts->dns_names; *name && count < 64; name++)
		sorted[count++] = *name;
	for (const char *const *name = facts->ip_addresses; *name && count < 64; name++)
		sorted[count++] = *name;
	qsort(sorted, count, sizeof(*sorted), compare);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string_new(sorted[i]));
	if (count > 0)
		json_put(target, "san", list);
	else
		json_decref(list);
}

static json_t *describe_certificate(struct pem_text text)
{
	static const char *const usages[] = { "digital_signature", "key_encipherment", "key_cert_sign", "crl_sign", "other" };
	static const char *const extended[] = { "clientAuth", "serverAuth", "codeSigning" };
	unsigned swapped;
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct certificate_facts facts;
	struct error err;
	json_t *result;

	if (certificate_read(text, arena, &facts, &err) != 0)
		return json_string_printf("<bad certificate: %s>", err.message);
	result = json_build("{s:s,s:s,s:i}", "subject", facts.subject, "issuer", facts.issuer, "days",
	                    (int)((facts.not_after - facts.not_before + 43200) / 86400));
	put_flags(result, "keyUsage", facts.key_usage, usages, ARRAY_LENGTH(usages));
	/* Upstream names clientAuth first. */
	swapped = (facts.usages & CERTIFICATE_CODE_SIGNING) | ((facts.usages & CERTIFICATE_CLIENT_AUTH) ? 1u : 0u) |
	          ((facts.usages & CERTIFICATE_SERVER_AUTH) ? 2u : 0u);
	put_flags(result, "extKeyUsage", swapped, extended, ARRAY_LENGTH(extended));
	if (facts.has_basic_constraints)
		json_put(result, "ca", json_boolean(facts.is_authority));
	put_sans(result, &facts);
	json_put_string(result, "key", facts.key);
	return json_build("{s:o}", "certificate", result);
}

static json_t *describe_text(const char *key, const char *text, size_t length);

static json_t *describe_kubeconfig(const char *text, size_t length)
{
	static const char *const members[] = { "certificate-authority-data", "client-certificate-data", "client-key-data" };
	static const char *const paths[] = { "clusters[0].cluster", "users[0].user", "users[0].user" };
	struct error err;
	json_t *config = yaml_parse(text, length, &err);

	for (size_t i = 0; config && i < ARRAY_LENGTH(members); i++) {
		json_t *parent = json_at(config, paths[i]);
		const char *value = json_string_at(parent, members[i]);
		struct buffer decoded BUFFER_SECRET_CLEANUP = { 0 };

		if (value && base64_decode(value, strlen(value), &decoded, &err) == 0)
			json_object_set_new(parent, members[i], describe_text(members[i], decoded.data, decoded.length));
	}
	return config ? json_build("{s:o}", "kubeconfig", config) : json_string_printf("<bad kubeconfig: %s>", err.message);
}

static json_t *describe_key(const char *text, size_t length)
{
	struct key *key KEY_CLEANUP = NULL;
	struct error err;

	if (key_parse(pem_text_bytes(text, length), &key, &err) != 0)
		return json_string_printf("<bad key: %s>", err.message);
	return json_string_printf("<private key %s; %.*s>", key_description(key), (int)strcspn(text, "\n"), text);
}

static json_t *describe_text(const char *key, const char *text, size_t length)
{
	if (length >= 27 && strncmp(text, "-----BEGIN CERTIFICATE-----", 27) == 0)
		return describe_certificate(pem_text_bytes(text, length));
	if (length > 11 && strncmp(text, "-----BEGIN ", 11) == 0)
		return strstr(text, "PUBLIC KEY") ? json_string_printf("<public key; %.*s>", (int)strcspn(text, "\n"), text)
		                                  : describe_key(text, length);
	if (string_has_suffix(key, ".conf") || string_has_suffix(key, ".svc"))
		return describe_kubeconfig(text, length);
	if (strcmp(key, "DB_PASSWORD") == 0)
		return json_string_printf("<random, %zu characters>", length);
	return json_string_new(text ? text : "");
}

static bool is_md5(const char *text)
{
	size_t i = 0;

	while (isxdigit((unsigned char)text[i]))
		i++;
	return i == 32 && text[i] == '\0';
}

static bool is_time(const char *text)
{
	return strlen(text) == 20 && text[4] == '-' && text[10] == 'T' && text[19] == 'Z';
}

static void mask(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;
	void *next;

	if (json_is_object(value))
		json_object_foreach_safe(value, next, key, member) {
			if (json_is_string(member) && is_md5(json_string_value(member)))
				json_object_set_new(value, key, json_string_new("<md5>"));
			else if (json_is_string(member) && is_time(json_string_value(member)))
				json_object_set_new(value, key, json_string_new("<time>"));
			else
				mask(member);
		}
	json_array_foreach(value, i, member)
		mask(member);
}

void describe_object(json_t *object)
{
	json_t *data = json_object_get(object, "data"), *value;
	const char *key;
	void *next;

	if (string_equal(json_string_at(object, "kind"), "Secret"))
		json_object_foreach_safe(data, next, key, value) {
			struct buffer decoded BUFFER_SECRET_CLEANUP = { 0 };
			struct error err;

			if (json_is_string(value) &&
			    base64_decode(json_string_value(value), json_string_length(value), &decoded, &err) == 0)
				json_object_set_new(data, key, describe_text(key, decoded.data, decoded.length));
		}
	mask(object);
}
