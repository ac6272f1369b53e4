/* SPDX-License-Identifier: Apache-2.0 */
#include "local/local_names.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/strings.h"

/* FNV-1a: short, stable across builds; collisions are caught when the interface is made. */
static uint32_t hash_text(uint32_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash;
}

static int check_label(const char *label, size_t maximum, const char *what, struct error *err)
{
	if (strlen(label) > maximum)
		return error_set(err, ERROR_INVALID, "the %s '%.64s' is longer than %zu characters", what, label, maximum);
	if (!name_is_dns1123_label(label))
		return error_set(err, ERROR_INVALID,
		                 "the %s '%.64s' must consist of a-z, 0-9 and '-', and begin and end with a letter or digit", what, label);
	return 0;
}

int local_names_make(const char *name, struct local_names *ret_names, struct error *err)
{
	if (check_label(name, LOCAL_NAME_MAX, "environment name", err) < 0)
		return -1;
	struct local_names *names = ret_names;
	*names = (struct local_names){ 0 };
	memcpy(names->name, name, strlen(name));
	if (strlen(name) <= 12)
		snprintf(names->bridge, sizeof(names->bridge), "kj-%.12s", name);
	else
		snprintf(names->bridge, sizeof(names->bridge), "kj-%.5s-%06x", name, hash_text(2166136261u, name) & 0xffffffu);
	snprintf(names->firewall, sizeof(names->firewall), "kamaji-local-%s", name);
	snprintf(names->cgroup, sizeof(names->cgroup), "kamaji-%s", name);
	return 0;
}

char *local_admin_node_id(unsigned number)
{
	return number == 1 ? string_dup("admin") : string_printf("admin-%u", number);
}

int local_node_names_make(const char *name, const char *node, struct local_node_names *ret_names, struct error *err)
{
	if (check_label(name, LOCAL_NAME_MAX, "environment name", err) < 0 || check_label(node, LOCAL_NODE_NAME_MAX, "node name", err) < 0)
		return -1;
	uint32_t hash = hash_text(hash_text(hash_text(2166136261u, name), "/"), node);
	struct local_node_names *names = ret_names;
	*names = (struct local_node_names){ 0 };
	snprintf(names->hostname, sizeof(names->hostname), "%s-%s", name, node);
	snprintf(names->host_link, sizeof(names->host_link), "kj%08xh", hash);
	snprintf(names->node_link, sizeof(names->node_link), "kj%08xn", hash);
	return 0;
}
