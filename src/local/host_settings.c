/* SPDX-License-Identifier: Apache-2.0 */
#include "local/host_settings.h"

#include <string.h>
#include <unistd.h>

#include "io/file.h"

enum { SETTING_TEXT_MAX = 4096 };

struct setting {
	const char *path; /* below /proc/sys */
	int64_t value;    /* what is needed */
	bool at_least;    /* a larger value is fine */
	bool by_kubelet;  /* set by the kubelet itself: only remembered here */
	bool for_workers; /* looked at once there is a worker; the value is host_settings_connections() */
};

static const struct setting settings[] = {
	{ "net/ipv4/ip_forward", 1, false, false, false },
	/* A control plane uses 22 to 28 inotify instances, a worker 6; the default of 128 is gone after four. */
	{ "fs/inotify/max_user_instances", 8192, true, false, false },
	{ "fs/inotify/max_user_watches", 524288, true, false, false },
	{ "vm/overcommit_memory", 1, false, true, false },
	{ "vm/panic_on_oom", 0, false, true, false },
	{ "kernel/panic", 10, false, true, false },
	{ "kernel/panic_on_oops", 1, false, true, false },
	{ "kernel/keys/root_maxkeys", 1000000, false, true, false },
	{ "kernel/keys/root_maxbytes", 25000000, false, true, false },
	{ "net/netfilter/nf_conntrack_max", 0, false, false, true },
};

int64_t host_settings_connections(int64_t processors)
{
	enum { PER_PROCESSOR = 32768, LEAST = 131072, MOST = 1048576 };
	int64_t scaled = PER_PROCESSOR * processors;
	return scaled > MOST ? MOST : scaled > LEAST ? scaled : LEAST;
}

static int64_t wanted_value(const struct setting *setting)
{
	return setting->for_workers ? host_settings_connections(sysconf(_SC_NPROCESSORS_ONLN)) : setting->value;
}

static char *setting_path(const char *name)
{
	return string_printf("/proc/sys/%s", name);
}

static int read_setting(const char *name, int64_t *value, struct error *err)
{
	FREE_CLEANUP char *path = setting_path(name);
	BUFFER_CLEANUP struct buffer text = { 0 };
	if (file_read(path, SETTING_TEXT_MAX, &text, err) < 0)
		return -1;
	if (text.data)
		text.data[strcspn(text.data, "\n")] = '\0';
	return string_to_integer(text.data ? text.data : "", INT64_MIN, INT64_MAX, path, value, err);
}

static int write_setting(const char *name, int64_t value, struct error *err)
{
	FREE_CLEANUP char *path = setting_path(name);
	FREE_CLEANUP char *text = string_printf("%lld", (long long)value);
	return file_write_once(path, text, err);
}

static int apply(struct local_index *index, bool for_workers, struct error *err)
{
	json_t *before = json_ensure_object(index->root, "settings");
	struct error absent;
	int64_t value;
	for (size_t i = 0; i < ARRAY_LENGTH(settings); i++)
		if (settings[i].for_workers == for_workers && !json_object_get(before, settings[i].path) &&
		    read_setting(settings[i].path, &value, &absent) == 0)
			json_object_set_new(before, settings[i].path, json_integer(value));
	if (local_index_save(index, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(settings); i++) {
		const struct setting *setting = &settings[i];
		int64_t wanted = wanted_value(setting);
		if (setting->for_workers != for_workers || setting->by_kubelet || read_setting(setting->path, &value, &absent) < 0)
			continue;
		if (value == wanted || (setting->at_least && value > wanted))
			continue;
		if (write_setting(setting->path, wanted, err) < 0)
			return error_wrap(err, "kernel setting %s", setting->path);
	}
	return 0;
}

int host_settings_apply(struct local_index *index, struct error *err)
{
	return apply(index, false, err);
}

int host_settings_apply_workers(struct local_index *index, struct error *err)
{
	return apply(index, true, err);
}

void host_settings_restore(struct local_index *index, struct string_list *problems)
{
	json_t *before = json_ensure_object(index->root, "settings");
	for (size_t i = 0; i < ARRAY_LENGTH(settings); i++) {
		const struct setting *setting = &settings[i];
		const json_t *old = json_object_get(before, setting->path);
		struct error err;
		int64_t value;
		if (!json_is_integer(old) || read_setting(setting->path, &value, &err) < 0)
			continue;
		if (value == wanted_value(setting) && value != json_integer_value(old) &&
		    write_setting(setting->path, json_integer_value(old), &err) < 0)
			string_list_printf(problems, "kernel setting %s: %s", setting->path, err.message);
	}
	json_object_clear(before);
}
