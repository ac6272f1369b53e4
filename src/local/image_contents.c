/* SPDX-License-Identifier: Apache-2.0 */
#include "local/image_contents.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strings.h"
#include "local/image_closure.h"

void image_contents_free(struct image_contents *contents)
{
	free(contents->files);
	contents->files = NULL;
	contents->count = contents->capacity = 0;
}

void image_contents_add(struct image_contents *contents, enum image_file_type type, const char *path, const char *source, mode_t mode)
{
	for (size_t i = 0; i < contents->count; i++) {
		if (strcmp(contents->files[i].path, path) == 0)
			return;
	}
	if (contents->count == contents->capacity) {
		contents->capacity = contents->capacity != 0 ? 2 * contents->capacity : 32;
		contents->files = reallocarray(contents->files, contents->capacity, sizeof(*contents->files));
		if (contents->files == NULL)
			abort();
	}
	contents->files[contents->count++] = (struct image_file){
		.type = type,
		.path = arena_strdup(contents->arena, path),
		.source = source != NULL ? arena_strdup(contents->arena, source) : NULL,
		.mode = mode,
	};
}

void image_contents_add_base(struct image_contents *contents)
{
	image_contents_add(contents, IMAGE_FILE_FOLDER, "/tmp", NULL, 01777);
	image_contents_add(contents, IMAGE_FILE_TEXT, "/etc/passwd",
	                   "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n", 0644);
	image_contents_add(contents, IMAGE_FILE_TEXT, "/etc/group", "root:x:0:\nnonroot:x:65532:\n", 0644);
	image_contents_add(contents, IMAGE_FILE_TEXT, "/etc/nsswitch.conf", "hosts: files dns\n", 0644);
}

int image_contents_add_authorities(struct image_contents *contents, struct error *err)
{
	/* Debian, Fedora, Alpine and openSUSE keep the bundle in these places. */
	static const char *const places[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
		                              "/etc/ssl/ca-bundle.pem" };

	for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
		if (access(places[i], R_OK) == 0) {
			image_contents_add(contents, IMAGE_FILE_HOST, places[0], places[i], 0644);
			return 0;
		}
	}
	return error_set(err, ERROR_NOT_FOUND, "no CA bundle on this machine (apt-get install ca-certificates)");
}

int image_contents_add_program(struct image_contents *contents, const char *program, const char *path, struct error *err)
{
	STRING_LIST_CLEANUP struct string_list libraries = { 0 };

	if (image_closure_read(program, &libraries, err) != 0)
		return -1;
	image_contents_add(contents, IMAGE_FILE_HOST, path, program, 0755);
	for (size_t i = 0; i < libraries.count; i++)
		image_contents_add(contents, IMAGE_FILE_HOST, libraries.items[i], libraries.items[i], 0755);
	return 0;
}

/* Every match of iptables is a plugin that it loads by name. */
static int add_plugins(struct image_contents *contents, const char *program, const char *folder, struct error *err)
{
	STRING_LIST_CLEANUP struct string_list names = { 0 }, libraries = { 0 };
	DIR *stream = opendir(folder);
	struct dirent *entry;

	if (stream == NULL)
		return 0;
	while ((entry = readdir(stream)) != NULL) {
		if (string_has_suffix(entry->d_name, ".so"))
			string_list_add(&names, entry->d_name);
	}
	(void)closedir(stream);
	string_list_sort(&names); /* the same image whatever order the file system has */
	for (size_t i = 0; i < names.count; i++) {
		FREE_CLEANUP char *path = string_printf("%s/%s", folder, names.items[i]);

		image_contents_add(contents, IMAGE_FILE_HOST, path, path, 0644);
		if (image_closure_read_plugin(program, path, &libraries, err) != 0)
			return -1;
	}
	for (size_t i = 0; i < libraries.count; i++)
		image_contents_add(contents, IMAGE_FILE_HOST, libraries.items[i], libraries.items[i], 0755);
	return contents->count <= IMAGE_FILE_MAX ? 0 : error_set(err, ERROR_EXHAUSTED, "too many iptables plugins in %s", folder);
}

int image_contents_add_firewall_tools(struct image_contents *contents, struct error *err)
{
	static const char *const names[] = { "iptables",  "iptables-save",  "iptables-restore",
		                             "ip6tables", "ip6tables-save", "ip6tables-restore" };
	static const char tables[] = "/usr/sbin/xtables-nft-multi";
	static const char *const folders[] = { "/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/aarch64-linux-gnu/xtables",
		                               "/usr/lib64/xtables" };

	if (access("/usr/sbin/nft", X_OK) == 0 && image_contents_add_program(contents, "/usr/sbin/nft", "/usr/sbin/nft", err) != 0)
		return -1;
	if (access(tables, X_OK) != 0)
		return 0;
	if (image_contents_add_program(contents, tables, tables, err) != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		FREE_CLEANUP char *path = string_printf("/usr/sbin/%s", names[i]);

		image_contents_add(contents, IMAGE_FILE_LINK, path, "xtables-nft-multi", 0777);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		if (add_plugins(contents, tables, folders[i], err) != 0)
			return -1;
	}
	return 0;
}
