/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images that an environment of `kamaji local` runs, and for each how it gets into containerd: pulled from upstream's registry when
 * that answers, else made here from the components and imported. Images made here say so in their labels.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "local/component_fetch.h"
#include "local/image_archive.h"

/* Labels of every image made here. */
#define IMAGE_LABEL_MADE "io.kamaji.image.made-from-components" /* "true" */
#define IMAGE_LABEL_COMPONENT "io.kamaji.component.name"        /* "kubernetes" */
#define IMAGE_LABEL_VERSION "io.kamaji.component.version"       /* the version that is inside, also where the tag says another */
#define IMAGE_LABEL_SOURCE "io.kamaji.component.source"         /* "folder", "download", "build", "kamaji" (our own program) */

#define IMAGE_PAUSE "registry.k8s.io/pause:3.10.2" /* what containerd 2.4 asks for by default and kubeadm 1.36 names */
#define IMAGE_COREDNS "registry.k8s.io/coredns/coredns:v1.14.7"
#define IMAGE_COREDNS_KUBEADM "registry.k8s.io/coredns/coredns:v1.14.2" /* what kubeadm 1.36 asks for in tenants; the label tells 1.14.7 */
#define IMAGE_LOCAL_PATH "docker.io/rancher/local-path-provisioner:v0.0.30"
#define IMAGE_VOLUME_HELPER "localhost/kamaji-volume-helper:v1" /* /setup and /teardown for the provisioner's config.json */
#define IMAGE_KAMAJI "localhost/kamaji:local"

enum {
	IMAGE_SET_MAX = 64,
	IMAGE_REGISTRY_MS = 2000 /* how long a registry may take to answer */
};

struct image_entry {
	const char *references[4]; /* NULL-terminated: names of the same image */
	const char *title;         /* "kube-apiserver v1.36.3", for people */
	bool ours;                 /* no registry has it: always imported */
	const char *registry;      /* host asked for upstream's image ("registry.k8s.io"); NULL when ours */
};

enum image_decision {
	IMAGE_KEEP,  /* containerd has it */
	IMAGE_PULL,  /* leave it to containerd: the registry answers */
	IMAGE_IMPORT /* make the archive and import it */
};

struct image_set;

/*
 * fetch (borrowed) must have the components. kubernetes_versions: NULL-terminated versions whose images are wanted; NULL: the lock's
 * default. kamaji_program: path of our own binary, NULL: /proc/self/exe.
 */
struct image_set *image_set_new(struct component_fetch *fetch, const char *const *kubernetes_versions, const char *kamaji_program,
                                struct error *err);
void image_set_free(struct image_set *set);
size_t image_set_count(const struct image_set *set);
const struct image_entry *image_set_entry(const struct image_set *set, size_t index);

/*
 * present: containerd already has every reference of the entry. An image of ours that is present is kept only when it is `current` (its
 * manifest digest is that of image_set_archive()). Registries are asked once per set and host.
 */
enum image_decision image_set_decide(struct image_set *set, size_t index, bool present, bool current);
/*
 * Path of the entry's archive, made when the cache does not hold one for exactly these programs; digest (may be NULL) gets the
 * manifest's digest as `ctr images ls` shows it. *path lives as long as the set.
 */
int image_set_archive(struct image_set *set, size_t index, const char **path, char digest[IMAGE_DIGEST_SIZE], struct error *err);

static inline void image_set_cleanup(struct image_set **set)
{
	image_set_free(*set);
}
#define IMAGE_SET_CLEANUP __attribute__((cleanup(image_set_cleanup)))
