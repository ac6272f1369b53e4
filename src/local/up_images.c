/* SPDX-License-Identifier: Apache-2.0 */
/* Images come in on a thread of their own, beside the start of the API server. */
#include <errno.h>

#include "io/thread.h"
#include "local/up_internal.h"

static void show_image(void *context, const char *title, size_t done, size_t total)
{
	struct up *up = context;
	progress_note(up->options->progress, up->images.phase, "%s (%zu of %zu)", title, done + 1, total);
}

static void note_base_ready(struct up_images *images)
{
	THREAD_LOCKED(&images->mutex);
	images->base_ready = true;
	pthread_cond_broadcast(&images->changed);
}

/* The default version first: the admin cluster's own, and the sample tenant's. */
static struct image_set *choose_images(struct up *up, struct error *err)
{
	const struct component *own = component_lock_find(up->lock, "kubernetes", NULL, err);
	const struct string_list *wanted = up->options->kubernetes_versions;
	const char *versions[COMPONENT_MAX + 1] = { NULL };
	size_t count = 0;
	if (!own)
		return NULL;
	versions[count++] = own->version;
	for (size_t i = 0; wanted && i < wanted->count; i++) {
		bool known = false;
		for (size_t j = 0; j < count; j++)
			known |= string_equal(versions[j], wanted->items[i]);
		/* Every one of them is in the lock, so that they are never more than fit. */
		if (!known && count < COMPONENT_MAX)
			versions[count++] = wanted->items[i];
	}
	return image_set_new(up->fetch, versions, up->options->program, err);
}

/* Each node has its own. */
static int bring_to_nodes(struct up *up, struct image_set *set, bool (*wanted)(const struct image_entry *entry), struct error *err)
{
	for (unsigned number = 1; number <= local_state_node_count(&up->environment.state); number++) {
		struct node_images_result *sum = &up->images.result, one;
		FREE_CLEANUP char *id = local_admin_node_id(number);
		FREE_CLEANUP char *directory = environment_node_directory(&up->environment, id);
		FREE_CLEANUP char *socket = node_admin_containerd_socket(directory);
		const struct node_images_options options = {
			.ctr = up->ctr,
			.socket = socket,
			.set = set,
			.wanted = wanted,
			.cancel = up->cancel,
			.progress = show_image,
			.context = up,
		};
		if (up_wait_process(up, number, "containerd", err) < 0 || node_images_bring(&options, &one, err) < 0)
			return -1;
		sum->kept += one.kept;
		sum->imported += one.imported;
		sum->pulled += one.pulled;
	}
	return 0;
}

/* What the admin cluster runs may go to any node, so it is on every one before the first of it is asked for. */
static int bring_images(struct up *up, struct error *err)
{
	IMAGE_SET_CLEANUP struct image_set *set = choose_images(up, err);
	if (!set || bring_to_nodes(up, set, node_images_is_base, err) < 0)
		return -1;
	note_base_ready(&up->images);
	return bring_to_nodes(up, set, node_images_is_tenants, err);
}

static void *images_main(void *argument)
{
	struct up *up = argument;
	struct up_images *images = &up->images;
	struct error err = { 0 };
	int result = bring_images(up, &err);
	if (result == 0) {
		FREE_CLEANUP char *outcome = string_printf("%u made here and imported, %u present, %u from the registry",
		                                           images->result.imported, images->result.kept, images->result.pulled);
		progress_end(up->options->progress, images->phase, outcome);
	} else if (err.class != ERROR_CANCELLED) {
		progress_fail(up->options->progress, images->phase);
	}
	THREAD_LOCKED(&images->mutex);
	images->err = err;
	images->failed = result < 0;
	images->done = true;
	pthread_cond_broadcast(&images->changed);
	return NULL;
}

int up_images_start(struct up *up, struct error *err)
{
	struct up_images *images = &up->images;
	pthread_mutex_init(&images->mutex, NULL);
	thread_condition_init(&images->changed);
	images->phase = progress_begin(up->options->progress, "images");
	if (thread_start(&images->thread, "images", images_main, up, err) < 0)
		return -1;
	images->started = true;
	return 0;
}

int up_images_wait(struct up *up, bool base, struct error *err)
{
	struct up_images *images = &up->images;
	THREAD_LOCKED(&images->mutex);
	/* The thread honours the deadline and ends by itself. */
	while (!images->done && !(base && images->base_ready))
		(void)thread_condition_wait(&images->changed, &images->mutex, UINT64_MAX);
	if (images->failed) {
		*err = images->err;
		return error_wrap(err, "images");
	}
	return 0;
}

void up_images_join(struct up *up)
{
	if (up->images.started)
		(void)pthread_join(up->images.thread, NULL);
	up->images.started = false;
}
