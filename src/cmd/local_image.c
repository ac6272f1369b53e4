/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji local image`: the operator's image as a file, for clusters that are not of this machine. */
#include <stdio.h>

#include "base/json.h"
#include "cmd/local.h"
#include "io/file.h"
#include "local/component_fetch.h"
#include "local/component_lock.h"
#include "local/component_place.h"
#include "local/image_set.h"

enum { IMAGE_BYTES_MAX = 512 * 1024 * 1024 };

static const char about[] =
	"Usage: kamaji local image --to FILE [OPTIONS]\n\n"
	"Writes the operator's image, made from this program, to a file (an OCI archive): push it to a registry that your cluster\n"
	"reaches, or import it on every node. It is the image that `kamaji local up` uses.";
static const char examples[] = "Examples:\n"
			       "  kamaji local image --to kamaji.tar\n"
			       "  skopeo copy oci-archive:kamaji.tar docker://REGISTRY/kamaji:TAG\n"
			       "  ctr --namespace k8s.io images import kamaji.tar          on a node, as " IMAGE_KAMAJI "\n\n"
			       "Exit codes: 0 written, 1 failed, 2 wrong command line.\n";

static int find_operator(const struct image_set *set, size_t *index, struct error *err)
{
	for (*index = 0; *index < image_set_count(set); (*index)++)
		if (string_equal(image_set_entry(set, *index)->references[0], IMAGE_KAMAJI))
			return 0;
	return error_set(err, ERROR_BUG, "the images have no " IMAGE_KAMAJI);
}

static int write_image(const char *to, char digest[static IMAGE_DIGEST_SIZE], struct error *err)
{
	BUFFER_CLEANUP struct buffer archive = { 0 };
	FREE_CLEANUP char *program = component_place_self(err);
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = program ? component_lock_read(NULL, err) : NULL;
	const struct component_fetch_options options = { .lock = lock, .no_download = true, .no_build = true };
	COMPONENT_FETCH_CLEANUP struct component_fetch *fetch = lock ? component_fetch_new(&options, err) : NULL;
	IMAGE_SET_CLEANUP struct image_set *set = fetch ? image_set_new(fetch, NULL, program, err) : NULL;
	const char *path;
	size_t index;
	if (!set || find_operator(set, &index, err) < 0 || image_set_archive(set, index, &path, digest, err) < 0 ||
	    file_read(path, IMAGE_BYTES_MAX, &archive, err) < 0)
		return -1;
	return file_write_atomic(to, archive.data, archive.length, 0644, err);
}

int cmd_local_image(int argc, char **argv)
{
	const char *to = NULL, *output = "table";
	const struct option_definition definitions[] = {
		{ .name = "to", .type = OPTION_STRING, .target = &to, .help = "the file that is written" },
		{ .name = "output", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .help = "format; also -o" },
		{ .name = "o", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .hidden = true },
		{ 0 },
	};
	char digest[IMAGE_DIGEST_SIZE];
	struct error err;
	int code;
	if (!local_parse(definitions, argc, argv, NULL, about, examples, &code))
		return code;
	if (string_empty(to)) {
		fprintf(stderr, "kamaji local image: --to FILE is needed: where the image is written\n");
		return EXIT_CODE_USAGE;
	}
	if (write_image(to, digest, &err) < 0)
		return local_fail("image", &err);
	if (string_equal(output, "json")) {
		JSON_CLEANUP json_t *answer = json_build("{s:s, s:s, s:s}", "path", to, "image", IMAGE_KAMAJI, "digest", digest);
		FREE_CLEANUP char *text = json_text(answer);
		printf("%s\n", text);
	} else {
		printf("%s holds " IMAGE_KAMAJI " (%s)\n", to, digest);
	}
	return EXIT_CODE_OK;
}
