/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel settings that belong to the whole machine and that an environment changes: forwarding, inotify limits, and those that every
 * kubelet sets. Their former values are kept in the index before the first change and put back when the last environment goes down,
 * unless somebody else has set them to a third value meanwhile.
 */
#pragma once

#include "base/error.h"
#include "base/strings.h"
#include "local/local_index.h"

/* Remembers (saves the index) and sets. Settings that this kernel does not have are left out. */
int host_settings_apply(struct local_index *index, struct error *err);
/*
 * What else the first worker needs. A tenant's kube-proxy sets the limit of tracked connections, as it does on any node (32768 for each
 * processor, pkg/proxy/conntrack/sysctls.go), and ends when it cannot; from a network namespace it can only read it, and is content when it
 * finds its own value there.
 */
int host_settings_apply_workers(struct local_index *index, struct error *err);
/* The value that kube-proxy wants with this many processors. */
int64_t host_settings_connections(int64_t processors);
/* Puts everything back and forgets it. The caller saves the index. A setting that cannot be put back is named in `problems`. */
void host_settings_restore(struct local_index *index, struct string_list *problems);
