/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_containerd.h"

#include "base/strings.h"

char *node_containerd_config(const struct node_containerd_options *options)
{
	/* Without CAP_SYS_RESOURCE runc cannot lower oom_score_adj, and every sandbox fails. */
	bool restricted = !host_capability_has(options->facts->bounding, HOST_CAP_SYS_RESOURCE);
	return string_printf("version = 3\n"
	                     "root = '/var/lib/containerd'\n"
	                     "state = '%s'\n"
	                     "disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.tracing.processor.v1.otlp', "
	                     "'io.containerd.internal.v1.tracing']\n"
	                     "\n"
	                     "[grpc]\n"
	                     "address = '%s'\n"
	                     "\n"
	                     "[plugins.'io.containerd.cri.v1.images']\n"
	                     "snapshotter = 'overlayfs'\n"
	                     "discard_unpacked_layers = true\n"
	                     "\n"
	                     "[plugins.'io.containerd.cri.v1.images'.pinned_images]\n"
	                     "sandbox = '%s'\n"
	                     "\n"
	                     "[plugins.'io.containerd.cri.v1.runtime']\n"
	                     "restrict_oom_score_adj = %s\n"
	                     "\n"
	                     "[plugins.'io.containerd.cri.v1.runtime'.cni]\n"
	                     "bin_dirs = ['%s']\n"
	                     "conf_dir = '/etc/cni/net.d'\n"
	                     "\n"
	                     "[plugins.'io.containerd.cri.v1.runtime'.containerd]\n"
	                     "default_runtime_name = 'runc'\n"
	                     "\n"
	                     "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n"
	                     "runtime_type = 'io.containerd.runc.v2'\n"
	                     "\n"
	                     "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n"
	                     "BinaryName = '%s'\n"
	                     "SystemdCgroup = false\n",
	                     options->state, options->socket, options->pause_image, restricted ? "true" : "false", options->cni_folder,
	                     options->runc);
}
