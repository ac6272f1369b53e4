/* SPDX-License-Identifier: Apache-2.0 */
#include "local/image_set.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/strings.h"
#include "base/version.h"
#include "io/file.h"
#include "local/component_digest.h"
#include "local/component_place.h"
#include "local/download.h"
#include "local/image_contents.h"

enum { HOSTS_MAX = 8, ARCHIVE_FORMAT = 1 };

enum image_kind { KIND_COMPONENT, KIND_PAUSE, KIND_VOLUME_HELPER, KIND_KAMAJI };

struct entry {
	struct image_entry public;
	enum image_kind kind;
	const struct component *component; /* KIND_COMPONENT */
	const char *file;                  /* its program */
	const char *target;                /* where the program stands in the image */
	const char *slug;                  /* start of the archive's file name */
	bool firewall;                     /* with nft and iptables */
};

struct host_state {
	const char *host;
	bool answers;
};

struct image_set {
	struct arena *arena;
	struct component_fetch *fetch;
	struct downloader *downloader; /* NULL: not made yet, or libcurl is missing */
	bool downloader_tried;
	struct host_state hosts[HOSTS_MAX];
	size_t host_count;
	struct entry entries[IMAGE_SET_MAX];
	size_t count;
	const char *kamaji;
	const struct component_lock *lock;
};

static struct entry *add(struct image_set *set, enum image_kind kind, const char *registry, struct error *err)
{
	struct entry *entry;

	if (set->count == IMAGE_SET_MAX) {
		(void)error_set(err, ERROR_EXHAUSTED, "more than %d images", IMAGE_SET_MAX);
		return NULL;
	}
	entry = &set->entries[set->count++];
	entry->kind = kind;
	entry->public.registry = registry;
	entry->public.ours = registry == NULL;
	return entry;
}

static int add_component(struct image_set *set, const struct component *component, const char *file, const char *target,
                         const char *registry, const char *first, const char *second, struct error *err)
{
	struct entry *entry = add(set, KIND_COMPONENT, registry, err);

	if (entry == NULL)
		return -1;
	if (component_find_file(component, file) == NULL)
		return error_set(err, ERROR_NOT_FOUND, "component %s %s has no %s", component->name, component->version, file);
	entry->component = component;
	entry->file = file;
	entry->target = target;
	entry->slug = arena_printf(set->arena, "%s-%s", file, component->version);
	entry->public.references[0] = first;
	entry->public.references[1] = second;
	entry->public.title = arena_printf(set->arena, "%s %s", file, component->version);
	return 0;
}

static int add_kubernetes(struct image_set *set, const char *version, struct error *err)
{
	static const char *const programs[] = { "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy" };
	const struct component *component = component_lock_find(set->lock, "kubernetes", version, err);

	if (component == NULL)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++) {
		const char *reference = arena_printf(set->arena, "registry.k8s.io/%s:%s", programs[i], component->version);
		const char *target = arena_printf(set->arena, "/usr/local/bin/%s", programs[i]);

		if (add_component(set, component, programs[i], target, "registry.k8s.io", reference, NULL, err) != 0)
			return -1;
		set->entries[set->count - 1].firewall = strcmp(programs[i], "kube-proxy") == 0;
	}
	return 0;
}

static int add_own(struct image_set *set, enum image_kind kind, const char *reference, const char *slug, const char *registry,
                   struct error *err)
{
	struct entry *entry = add(set, kind, registry, err);

	if (entry == NULL)
		return -1;
	entry->slug = slug;
	entry->public.references[0] = reference;
	entry->public.title = kind == KIND_KAMAJI ? arena_printf(set->arena, "%s %s", slug, kamaji_version) : slug;
	return 0;
}

static int add_others(struct image_set *set, struct error *err)
{
	const struct component *dns = component_lock_find(set->lock, "coredns", NULL, err);
	const struct component *storage = dns != NULL ? component_lock_find(set->lock, "local-path-provisioner", NULL, err) : NULL;

	if (storage == NULL)
		return -1;
	if (add_component(set, dns, "coredns", "/coredns", "registry.k8s.io",
	                  arena_printf(set->arena, "registry.k8s.io/coredns/coredns:%s", dns->version), IMAGE_COREDNS_KUBEADM, err) != 0 ||
	    add_component(set, storage, "local-path-provisioner", "/usr/bin/local-path-provisioner", "registry-1.docker.io",
	                  arena_printf(set->arena, "docker.io/rancher/local-path-provisioner:%s", storage->version), NULL, err) != 0)
		return -1;
	if (add_own(set, KIND_PAUSE, IMAGE_PAUSE, "pause", "registry.k8s.io", err) != 0 ||
	    add_own(set, KIND_VOLUME_HELPER, IMAGE_VOLUME_HELPER, "volume-helper", NULL, err) != 0)
		return -1;
	return add_own(set, KIND_KAMAJI, IMAGE_KAMAJI, "kamaji", NULL, err);
}

static int fill(struct image_set *set, const char *const *kubernetes_versions, const char *kamaji_program, struct error *err)
{
	FREE_CLEANUP char *self = kamaji_program != NULL ? realpath(kamaji_program, NULL) : component_place_self(err);

	if (self == NULL)
		return kamaji_program != NULL ? error_set_errno(err, errno, "%s", kamaji_program) : -1;
	set->kamaji = arena_strdup(set->arena, self);
	if (kubernetes_versions == NULL || kubernetes_versions[0] == NULL) {
		if (add_kubernetes(set, NULL, err) != 0)
			return -1;
	} else {
		for (size_t i = 0; kubernetes_versions[i] != NULL; i++) {
			if (add_kubernetes(set, kubernetes_versions[i], err) != 0)
				return -1;
		}
	}
	return add_others(set, err);
}

struct image_set *image_set_new(struct component_fetch *fetch, const char *const *kubernetes_versions, const char *kamaji_program,
                                struct error *err)
{
	struct image_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		abort();
	set->arena = arena_new();
	set->fetch = fetch;
	set->lock = component_fetch_lock(fetch);
	if (fill(set, kubernetes_versions, kamaji_program, err) != 0) {
		image_set_free(set);
		return NULL;
	}
	return set;
}

void image_set_free(struct image_set *set)
{
	if (set == NULL)
		return;
	downloader_free(set->downloader);
	arena_free(set->arena);
	free(set);
}

size_t image_set_count(const struct image_set *set)
{
	return set->count;
}

const struct image_entry *image_set_entry(const struct image_set *set, size_t index)
{
	return &set->entries[index].public;
}

/* Asked once per host. */
static bool registry_answers(struct image_set *set, const char *host)
{
	struct error ignored;
	bool answers;

	for (size_t i = 0; i < set->host_count; i++) {
		if (strcmp(set->hosts[i].host, host) == 0)
			return set->hosts[i].answers;
	}
	if (!set->downloader_tried)
		set->downloader = downloader_new(false, &ignored);
	set->downloader_tried = true;
	answers = set->downloader != NULL && downloader_registry_answers(set->downloader, host, IMAGE_REGISTRY_MS);
	if (set->host_count < HOSTS_MAX)
		set->hosts[set->host_count++] = (struct host_state){ .host = host, .answers = answers };
	return answers;
}

enum image_decision image_set_decide(struct image_set *set, size_t index, bool present, bool current)
{
	const struct image_entry *entry = &set->entries[index].public;

	if (entry->ours)
		return present && current ? IMAGE_KEEP : IMAGE_IMPORT;
	if (present)
		return IMAGE_KEEP;
	return !component_fetch_is_offline(set->fetch) && registry_answers(set, entry->registry) ? IMAGE_PULL : IMAGE_IMPORT;
}

static int collect_component(struct image_set *set, const struct entry *entry, struct image_contents *contents, struct error *err)
{
	const struct component *component = entry->component;
	const char *program = component_path(set->fetch, component->name, component->version, entry->file, err);

	if (program == NULL || image_contents_add_program(contents, program, entry->target, err) != 0)
		return -1;
	if (entry->firewall)
		return image_contents_add_firewall_tools(contents, err);
	return 0;
}

static int collect(struct image_set *set, const struct entry *entry, struct image_contents *contents, struct error *err)
{
	FREE_CLEANUP char *helper = NULL;

	switch (entry->kind) {
	case KIND_COMPONENT:
		image_contents_add_base(contents);
		return collect_component(set, entry, contents, err);
	case KIND_KAMAJI:
		image_contents_add_base(contents);
		if (image_contents_add_authorities(contents, err) != 0)
			return -1;
		return image_contents_add_program(contents, set->kamaji, "/kamaji", err);
	case KIND_PAUSE:
	case KIND_VOLUME_HELPER:
		break;
	}
	helper = component_place_helper(entry->slug, err);
	if (helper == NULL)
		return -1;
	image_contents_add(contents, IMAGE_FILE_HOST, entry->kind == KIND_PAUSE ? "/pause" : "/setup", helper, 0755);
	if (entry->kind == KIND_VOLUME_HELPER)
		image_contents_add(contents, IMAGE_FILE_LINK, "/teardown", "setup", 0777);
	return 0;
}

/* What the image is made of, without reading it: changes of a program show in its size and time. */
static int make_key(const struct image_description *description, char key[COMPONENT_SHA256_SIZE], struct error *err)
{
	BUFFER_CLEANUP struct buffer text = { 0 };

	buffer_printf(&text, "%d %s\n", ARCHIVE_FORMAT, description->user != NULL ? description->user : "");
	for (size_t i = 0; description->references[i] != NULL; i++)
		buffer_printf(&text, "%s\n", description->references[i]);
	for (size_t i = 0; i < description->label_count; i++)
		buffer_printf(&text, "%s=%s\n", description->labels[i].key, description->labels[i].value);
	for (size_t i = 0; i < description->file_count; i++) {
		const struct image_file *file = &description->files[i];
		struct stat info = { 0 };

		if (file->type == IMAGE_FILE_HOST && stat(file->source, &info) != 0)
			return error_set_errno(err, errno, "%s", file->source);
		buffer_printf(&text, "%d %o %s %s %lld %lld.%09ld\n", (int)file->type, (unsigned)file->mode, file->path,
		              file->source != NULL ? file->source : "", (long long)info.st_size, (long long)info.st_mtim.tv_sec,
		              info.st_mtim.tv_nsec);
	}
	component_digest_bytes(text.data, text.length, key);
	return 0;
}

/* Archives of the same image made from other programs are no longer wanted. */
static void remove_older(const char *folder, const char *slug, const char *keep)
{
	DIR *stream = opendir(folder);
	struct dirent *entry;
	size_t length = strlen(slug);

	if (stream == NULL)
		return;
	while ((entry = readdir(stream)) != NULL) {
		/* SLUG-KEY.tar with a key of 16 digits: a longer slug that begins alike does not fit. */
		if (strncmp(entry->d_name, slug, length) == 0 && entry->d_name[length] == '-' &&
		    strspn(entry->d_name + length + 1, "0123456789abcdef") == 16 && !string_has_prefix(entry->d_name, keep))
			(void)unlinkat(dirfd(stream), entry->d_name, 0);
	}
	(void)closedir(stream);
}

static int write_archive(const char *folder, const char *slug, const char *path, const struct image_description *description,
                         char digest[IMAGE_DIGEST_SIZE], struct error *err)
{
	FREE_CLEANUP char *note = string_printf("%s.digest", path);
	BUFFER_CLEANUP struct buffer text = { 0 };
	const char *name = strrchr(path, '/') + 1;
	FREE_CLEANUP char *stem = string_ndup(name, strlen(name) - strlen(".tar"));

	if (file_exists(path) && file_read(note, IMAGE_DIGEST_SIZE, &text, err) == 0 && text.length == IMAGE_DIGEST_SIZE - 1) {
		memcpy(digest, text.data, IMAGE_DIGEST_SIZE);
		return 0;
	}
	if (file_make_directories(folder, 0755, err) != 0)
		return -1;
	remove_older(folder, slug, stem);
	/* The note last: an archive without one is written again. */
	(void)unlink(note);
	if (image_archive_write(path, description, digest, err) != 0)
		return -1;
	return file_write_atomic(note, digest, strlen(digest), 0644, err);
}

static const char *origin_of(struct image_set *set, const struct entry *entry, struct error *err)
{
	struct component_record record;
	enum component_state state;

	if (entry->kind != KIND_COMPONENT)
		return "kamaji";
	if (component_look(set->fetch, entry->component, entry->file, &state, &record, err) != 0)
		return NULL;
	if (state != COMPONENT_GOOD) {
		(void)error_set(err, ERROR_NOT_FOUND, "%s %s is not in the component cache, or is damaged", entry->file,
		                entry->component->version);
		return NULL;
	}
	return component_source_name(record.source);
}

int image_set_archive(struct image_set *set, size_t index, const char **path, char digest[IMAGE_DIGEST_SIZE], struct error *err)
{
	static const char *const environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	const struct entry *entry = &set->entries[index];
	IMAGE_CONTENTS_CLEANUP struct image_contents contents = { .arena = set->arena };
	FREE_CLEANUP char *folder = string_printf("%s/images", component_cache_root(component_fetch_cache(set->fetch)));
	const char *origin = origin_of(set, entry, err);
	const char *version = entry->component != NULL ? entry->component->version : kamaji_version;
	const char *entrypoint[] = { entry->target, NULL };
	struct image_label labels[] = {
		{ IMAGE_LABEL_MADE, "true" },
		{ IMAGE_LABEL_COMPONENT, entry->component != NULL ? entry->component->name : entry->slug },
		{ IMAGE_LABEL_VERSION, version },
		{ IMAGE_LABEL_SOURCE, origin },
	};
	struct image_description description = {
		.references = entry->public.references,
		.entrypoint = entrypoint,
		.environment = environment,
		.user = entry->kind == KIND_KAMAJI  ? "65532:65532"
		        : entry->kind == KIND_PAUSE ? "65535:65535"
		                                    : NULL,
		.labels = labels,
		.label_count = ARRAY_LENGTH(labels),
		.architecture = component_architecture(),
	};
	char key[COMPONENT_SHA256_SIZE], own[IMAGE_DIGEST_SIZE];

	if (origin == NULL || collect(set, entry, &contents, err) != 0)
		return error_wrap(err, "image %s", entry->public.title);
	if (entry->target == NULL)
		entrypoint[0] = entry->kind == KIND_KAMAJI ? "/kamaji" : entry->kind == KIND_PAUSE ? "/pause" : "/setup";
	description.files = contents.files;
	description.file_count = contents.count;
	if (make_key(&description, key, err) != 0)
		return -1;
	*path = arena_printf(set->arena, "%s/%s-%.16s.tar", folder, entry->slug, key);
	return write_archive(folder, entry->slug, *path, &description, digest != NULL ? digest : own, err);
}
