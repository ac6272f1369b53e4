/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all environments of this machine share while they are up, in /run/kamaji/local.json: their names and blocks of addresses, and
 * kernel settings that were changed for them, to be put back when the last one goes down. It is as short-lived as what it describes: the
 * last `down` removes it, a reboot ends it together with everything it lists. Held under a lock, for moments only.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"
#include "local/local_address.h"

#define LOCAL_INDEX_FOLDER "/run/kamaji"

struct local_index {
	char *folder, *path, *lock_path;
	int lock;     /* descriptor of the lock, -1 when not held */
	json_t *root; /* "environments": name -> {"directory","block"}, "settings": name -> former value */
};

/* Makes the folder, takes the lock, reads. A damaged index is an error that names the file and the remedy. */
int local_index_open(const char *folder, struct local_index *ret_index, struct error *err);
int local_index_save(struct local_index *index, struct error *err);
/* Lets the lock go without saving. When no environment and no setting is listed, the files and the folder are removed. */
void local_index_close(struct local_index *index);
#define LOCAL_INDEX_CLEANUP __attribute__((cleanup(local_index_close)))

/*
 * Lists the environment as up. ERROR_EXISTS, with the reason, when another environment of this name lives in another folder, or when
 * the block overlaps another environment's or a route.
 */
int local_index_claim(struct local_index *index, const char *name, const char *directory, struct local_cidr block,
                      const struct local_route_list *routes, struct error *err);
/* Folder of another environment of this name that is up elsewhere, or NULL. Whoever changes an environment looks here first: names of
 * cgroups and interfaces follow from the name alone. Borrowed. */
const char *local_index_elsewhere(const struct local_index *index, const char *name, const char *directory);
/* The first block that nobody listed here has, that is not among `reserved`, and that no route overlaps. */
int local_index_choose(const struct local_index *index, const struct local_route_list *reserved, const struct local_route_list *routes,
                       struct local_cidr *ret_block, struct error *err);
/* Only when the folder is the listed one: somebody else's environment of the same name stays. */
void local_index_release(struct local_index *index, const char *name, const char *directory);
bool local_index_is_empty(const struct local_index *index); /* no environment is listed */
