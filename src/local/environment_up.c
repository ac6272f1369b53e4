/* SPDX-License-Identifier: Apache-2.0 */
#include "local/environment_up.h"

#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "local/cluster_explain.h"
#include "local/environment_worker.h"
#include "local/node_control.h"
#include "local/up_internal.h"

/* The admin's kubeconfig stands at the top of the folder, where people look for it. */
static int publish_kubeconfig(struct up *up, struct error *err)
{
	FREE_CLEANUP char *from = string_printf("%s/admin.kubeconfig", up->pki);
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	if (file_read(from, LOCAL_STATE_BYTES_MAX, &text, err) < 0)
		return -1;
	return file_write_atomic(up->result->kubeconfig, text.data, text.length, 0600, err);
}

/* Two kinds of store do not read each other's folders, so an environment keeps what it began with. */
static int choose_store(struct up *up, struct error *err)
{
	struct local_state *state = &up->environment.state;
	const char *wanted = up->options->datastore;
	if (string_empty(wanted))
		wanted = local_store_name(!state->has_block || state->own_store);
	if (string_equal(wanted, local_store_name(state->own_store)))
		return 0;
	if (state->has_block)
		return error_set(err, ERROR_EXISTS,
		                 "--datastore: the environment '%s' already uses %s; 'kamaji local down --purge' frees it",
		                 up->environment.names.name, local_store_name(state->own_store));
	state->own_store = string_equal(wanted, "kamaji");
	return 0;
}

/* A node has pods and their data, so an environment keeps those that it has. */
static int choose_nodes(struct up *up, struct error *err)
{
	struct local_state *state = &up->environment.state;
	unsigned wanted = up->options->nodes, count = local_state_node_count(state);
	if (wanted == 0 || wanted == count)
		return 0;
	if (wanted < count && state->has_block)
		return error_set(err, ERROR_EXISTS,
		                 "--nodes: the environment '%s' has %u and keeps them; 'kamaji local down --purge' frees them",
		                 up->environment.names.name, count);
	state->further_count = wanted - 1;
	return 0;
}

/* Until then the phase stays "starting": the next command knows that it has to look. */
static int record_success(struct up *up, struct error *err)
{
	up->environment.state.phase = LOCAL_UP;
	json_decref(up->environment.state.times);
	up->environment.state.times = progress_times(up->options->progress);
	return environment_save(&up->environment, err);
}

static int bring_up(struct up *up, struct error *err)
{
	up->environment.state.audit |= up->options->audit;
	if (choose_store(up, err) < 0 || choose_nodes(up, err) < 0 || up_prepare(up, err) < 0 || publish_kubeconfig(up, err) < 0 ||
	    up_start_nodes(up, err) < 0)
		return -1;
	up->tool = (struct cluster_tool){ .kubectl = up->programs.kubectl, .kubeconfig = up->result->kubeconfig, .cancel = up->cancel };
	up->result->kubectl = string_dup(up->programs.kubectl);
	if (up_images_start(up, err) < 0 || up_install(up, err) < 0)
		return -1;
	if (up->options->sample_tenant && up_sample_tenant(up, err) < 0)
		return -1;
	/* What comes after may fail for one tenant's sake; the environment is up. */
	if (up_images_wait(up, false, err) < 0 || record_success(up, err) < 0)
		return -1;
	return environment_workers_bring(&up->environment, up->options->program, up->cancel, up->options->progress, &up->result->reasons,
	                                 err);
}

static void explain_failure(struct up *up)
{
	for (unsigned number = 1; number <= local_state_node_count(&up->environment.state); number++) {
		struct error err;
		FREE_CLEANUP char *id = local_admin_node_id(number);
		FREE_CLEANUP char *directory = environment_node_directory(&up->environment, id);
		JSON_CLEANUP json_t *status = node_control_status(directory, &err);
		if (status)
			cluster_explain_node(status, directory, &up->result->reasons);
	}
}

int environment_up(const struct up_options *options, struct up_result *ret_result, struct error *err)
{
	struct up up = { .options = options, .result = ret_result };
	*ret_result = (struct up_result){ 0 };
	if (geteuid() != 0)
		return error_set(err, ERROR_FORBIDDEN, "it makes namespaces and interfaces and needs root: run it with sudo");
	if (environment_open(options->state_root, options->name, true, &up.environment, err) < 0)
		return -1;
	up.pki = environment_path(&up.environment, "pki");
	up.node_directory = environment_node_directory(&up.environment, "admin");
	ret_result->kubeconfig = environment_path(&up.environment, "kubeconfig");
	int result = bring_up(&up, err);
	/* A child that was stopped at the deadline says "cancelled"; it was nobody's wish. */
	struct error stopped;
	if (result < 0 && err->class == ERROR_CANCELLED && cancel_check(up.cancel, &stopped) < 0)
		err->class = stopped.class;
	if (result < 0 && err->class != ERROR_CANCELLED)
		explain_failure(&up);
	if (result < 0)
		cancel_trigger(options->cancel); /* the image thread need not go on */
	up_images_join(&up);
	cancel_free(up.cancel);
	progress_abandon(options->progress, result < 0 && err->class == ERROR_CANCELLED);
	progress_finish(options->progress);
	component_fetch_free(up.fetch);
	component_lock_free(up.lock);
	string_list_free(&up.proxy_environment);
	free(up.pki);
	free(up.node_directory);
	free(up.cni_folder);
	environment_close(&up.environment);
	return result;
}

void up_result_free(struct up_result *result)
{
	free(result->kubeconfig);
	free(result->sample_kubeconfig);
	free(result->kubectl);
	buffer_free(&result->reasons);
	*result = (struct up_result){ 0 };
}
