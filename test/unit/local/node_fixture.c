/* SPDX-License-Identifier: Apache-2.0 */
#include "node_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/strings.h"
#include "local/environment.h"

struct node_admin_options node_fixture_options(unsigned number, int cgroup_version, uint64_t bounding)
{
	FREE_CLEANUP char *id = local_admin_node_id(number);
	struct node_admin_options options = {
		.number = number,
		.facts = { .cgroup = { .version = cgroup_version }, .bounding = bounding },
		.programs = { .kamaji = "/opt/kamaji",
		              .etcd = "/c/etcd",
		              .kube_apiserver = "/c/kube-apiserver",
		              .kube_controller_manager = "/c/kube-controller-manager",
		              .kube_scheduler = "/c/kube-scheduler",
		              .kubelet = "/c/kubelet",
		              .kube_proxy = "/c/kube-proxy",
		              .kubectl = "/c/kubectl",
		              .containerd = "/c/containerd",
		              .runc = "/c/runc",
		              .cni_folder = "/c/cni" },
		.directory = "/state/demo/nodes/admin",
		.pki = "/state/demo/pki",
		.components_root = "/c",
		.resolv_conf = "nameserver 192.0.2.53\n",
		.pause_image = "registry.example/pause:1",
		.bridge_netfilter = true,
		.nftables = true,
	};
	struct error err;

	assert_int_equal(local_names_make("demo", &options.names, &err), 0);
	assert_int_equal(local_node_names_make("demo", id, &options.node, &err), 0);
	assert_int_equal(local_address_plan_make(local_slot_block(5), &options.plan, &err), 0);
	return options;
}
