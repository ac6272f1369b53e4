/* SPDX-License-Identifier: Apache-2.0 */
#include "local/image_closure.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "io/file.h"
#include "io/process.h"

enum { HEADERS_MAX = 64, LOADER_MAX = 256, OUTPUT_MAX = 256 * 1024 };

static int add_path(struct string_list *paths, const char *path, size_t length, struct error *err)
{
	char *copy = string_ndup(path, length);

	if (string_list_contains(paths, copy)) {
		free(copy);
		return 0;
	}
	string_list_take(paths, copy);
	return paths->count <= IMAGE_CLOSURE_MAX
	               ? 0
	               : error_set(err, ERROR_EXHAUSTED, "the program needs more than %d libraries", IMAGE_CLOSURE_MAX);
}

/* "\tNAME => PATH (0x...)", "\tPATH (0x...)", "\tlinux-vdso.so.1 (0x...)", "\tNAME => not found". */
static int take_line(const char *line, size_t length, struct string_list *paths, struct error *err)
{
	const char *end = line + length;
	const char *arrow, *path, *stop;

	while (line < end && (*line == '\t' || *line == ' '))
		line++;
	arrow = memmem(line, (size_t)(end - line), " => ", 4);
	path = arrow != NULL ? arrow + 4 : line;
	if (arrow != NULL && (size_t)(end - path) >= 9 && memcmp(path, "not found", 9) == 0)
		return error_set(err, ERROR_NOT_FOUND, "the shared library %.*s is not installed", (int)(arrow - line), line);
	if (path == end || *path != '/')
		return 0;
	stop = memmem(path, (size_t)(end - path), " (0x", 4);
	return add_path(paths, path, (size_t)((stop != NULL ? stop : end) - path), err);
}

int image_closure_parse(const char *text, struct string_list *paths, struct error *err)
{
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");

		if (take_line(text, length, paths, err) != 0)
			return -1;
		text += length + (text[length] == '\n');
	}
	return 0;
}

/* PT_INTERP of a 64-bit program; "" when it is static. */
static int read_loader(const char *program, char loader[LOADER_MAX], struct error *err)
{
	DESCRIPTOR_CLEANUP int descriptor = open(program, O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	loader[0] = '\0';
	if (descriptor < 0)
		return error_set_errno(err, errno, "read %s", program);
	if (pread(descriptor, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(segment) || header.e_phnum > HEADERS_MAX)
		return error_set(err, ERROR_CORRUPT, "%s is no 64-bit ELF program", program);
	for (unsigned i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)(header.e_phoff + i * sizeof(segment));

		if (pread(descriptor, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment))
			return error_set(err, ERROR_CORRUPT, "%s is cut off", program);
		if (segment.p_type != PT_INTERP)
			continue;
		if (segment.p_filesz < 2 || segment.p_filesz > LOADER_MAX ||
		    pread(descriptor, loader, (size_t)segment.p_filesz, (off_t)segment.p_offset) != (ssize_t)segment.p_filesz ||
		    loader[segment.p_filesz - 1] != '\0' || loader[0] != '/')
			return error_set(err, ERROR_CORRUPT, "%s names no dynamic loader", program);
		return 0;
	}
	return 0;
}

static int list_libraries(const char *loader, const char *file, struct string_list *paths, struct error *err)
{
	const char *const arguments[] = { loader, "--list", file, NULL };
	/* Nothing of the caller's: LD_PRELOAD and LD_LIBRARY_PATH would show libraries that the image does not need. */
	const char *const environment[] = { "LC_ALL=C", NULL };
	BUFFER_CLEANUP struct buffer output = { .limit = OUTPUT_MAX };
	struct process_options options = { .arguments = arguments,
		                           .environment = environment,
		                           .directory = "/",
		                           .output = &output,
		                           .error_output = &output,
		                           .timeout_ms = 30000 };

	if (process_run(&options, NULL, NULL, err) != 0)
		return error_wrap(err, "list the libraries of %s", file);
	if (image_closure_parse(output.data != NULL ? output.data : "", paths, err) != 0)
		return error_wrap(err, "%s", file);
	return 0;
}

int image_closure_read(const char *program, struct string_list *paths, struct error *err)
{
	char loader[LOADER_MAX];
	/* Resolved here: /proc/self/exe would be another program in the child. */
	FREE_CLEANUP char *resolved = realpath(program, NULL);

	if (resolved == NULL)
		return error_set_errno(err, errno, "read %s", program);
	if (read_loader(resolved, loader, err) != 0)
		return -1;
	if (loader[0] == '\0')
		return 0;
	if (add_path(paths, loader, strlen(loader), err) != 0)
		return -1;
	return list_libraries(loader, resolved, paths, err);
}

int image_closure_read_plugin(const char *program, const char *plugin, struct string_list *paths, struct error *err)
{
	char loader[LOADER_MAX];

	if (read_loader(program, loader, err) != 0)
		return -1;
	return loader[0] == '\0' ? 0 : list_libraries(loader, plugin, paths, err);
}
