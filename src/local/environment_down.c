/* SPDX-License-Identifier: Apache-2.0 */
#include "local/environment_down.h"

#include <unistd.h>

#include "io/file.h"
#include "local/environment.h"
#include "local/host_settings.h"
#include "local/local_index.h"

enum { STOP_GRACE_MS = 10000 };

static int check_clean(const struct local_environment *environment, struct error *err)
{
	STRING_LIST_CLEANUP struct string_list found = { 0 };
	environment_leftovers(environment, &found);
	if (found.count == 0)
		return 0;
	FREE_CLEANUP char *text = string_list_join(&found, ", ");
	return error_set(err, ERROR_SYSTEM, "these are left and could not be removed: %s", text);
}

/* Everything in the kernel is found by the environment's name, so it must not be another folder's environment that is found. */
static int check_owner(const struct local_environment *environment, struct error *err)
{
	LOCAL_INDEX_CLEANUP struct local_index index = { .lock = -1 };
	if (local_index_open(LOCAL_INDEX_FOLDER, &index, err) < 0)
		return -1;
	const char *elsewhere = local_index_elsewhere(&index, environment->names.name, environment->directory);
	if (!elsewhere)
		return 0;
	return error_set(err, ERROR_EXISTS, "the one of this name that is up lives in %s; name its folder with --state-dir", elsewhere);
}

static int leave_index(struct local_environment *environment, struct string_list *notes, struct error *err)
{
	LOCAL_INDEX_CLEANUP struct local_index index = { .lock = -1 };
	if (local_index_open(LOCAL_INDEX_FOLDER, &index, err) < 0)
		return -1;
	local_index_release(&index, environment->names.name, environment->directory);
	if (local_index_is_empty(&index))
		host_settings_restore(&index, notes);
	return local_index_save(&index, err);
}

/* Nothing of it exists: neither a folder nor anything in the kernel. */
static bool is_absent(const char *state_root, const char *name)
{
	struct error err;
	STRING_LIST_CLEANUP struct string_list found = { 0 };
	ENVIRONMENT_CLEANUP struct local_environment environment;
	if (environment_open(state_root, name, false, &environment, &err) < 0)
		return false;
	environment_leftovers(&environment, &found);
	return found.count == 0 && !file_exists(environment.directory);
}

static int end_everything(struct local_environment *environment, const struct down_options *options, struct down_result *result,
                          struct error *err)
{
	unsigned phase = progress_begin(options->progress, "processes and network");
	if (environment_sweep(environment, STOP_GRACE_MS, err) < 0 || check_clean(environment, err) < 0 ||
	    leave_index(environment, &result->notes, err) < 0) {
		progress_fail(options->progress, phase);
		return -1;
	}
	progress_end(options->progress, phase, "nothing is left");
	return 0;
}

static int remove_data(const struct local_environment *environment, const struct down_options *options, struct error *err)
{
	unsigned phase = progress_begin(options->progress, "data");
	if (file_remove_tree(environment->directory, err) < 0) {
		progress_fail(options->progress, phase);
		return -1;
	}
	progress_end(options->progress, phase, "removed");
	return 0;
}

int environment_down(const struct down_options *options, struct down_result *ret_result, struct error *err)
{
	ENVIRONMENT_CLEANUP struct local_environment environment = { .lock = -1 };
	*ret_result = (struct down_result){ 0 };
	if (geteuid() != 0)
		return error_set(err, ERROR_FORBIDDEN,
		                 "'kamaji local down' ends processes and interfaces of root and needs root: run it with sudo");
	if (is_absent(options->state_root, options->name)) {
		ret_result->was_absent = true;
		return 0;
	}
	if (environment_open(options->state_root, options->name, true, &environment, err) < 0)
		return -1;
	if (check_owner(&environment, err) < 0)
		return error_wrap(err, "environment '%s'", options->name);
	environment.state.phase = LOCAL_STOPPING;
	if (environment_save(&environment, err) < 0 || end_everything(&environment, options, ret_result, err) < 0)
		return error_wrap(err, "environment '%s'", options->name);
	environment.state.phase = LOCAL_DOWN;
	for (unsigned number = 1; number <= local_state_node_count(&environment.state); number++)
		*local_state_node(&environment.state, number) = (struct node_identity){ 0 };
	for (size_t i = 0; i < environment.state.workers.count; i++)
		environment.state.workers.items[i].identity = (struct node_identity){ 0 };
	if (!options->purge)
		return environment_save(&environment, err);
	return remove_data(&environment, options, err);
}

void down_result_free(struct down_result *result)
{
	string_list_free(&result->notes);
}
