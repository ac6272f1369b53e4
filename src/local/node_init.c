/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_init.h"

#include <unistd.h>

#include "base/arena.h"
#include "io/file.h"
#include "local/node_config.h"
#include "local/node_root.h"
#include "local/node_supervisor.h"

int node_init_run(const char *config_path, struct error *err)
{
	if (getpid() != 1)
		return error_set(err, ERROR_INVALID, "node-init is started by 'kamaji local up' only, as the first process of a node");
	BUFFER_CLEANUP struct buffer text = { 0 };
	ARENA_CLEANUP struct arena *arena = arena_new();
	struct node_config config;
	if (file_read(config_path, NODE_CONFIG_BYTES_MAX, &text, err) < 0 ||
	    node_config_parse(text.data, text.length, arena, &config, err) < 0)
		return -1;
	if (node_root_enter(&config, err) < 0)
		return error_wrap(err, "file system of node %s", config.name);
	if (node_network_enter(&config, err) < 0)
		return error_wrap(err, "network of node %s", config.name);
	return node_supervisor_run(&config, err);
}
