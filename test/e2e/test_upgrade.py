# SPDX-License-Identifier: Apache-2.0
"""A live tenant with a worker and clients that never rest goes from 1.35 to 1.36: they hardly notice, and the worker keeps its pods."""
import json
import time

import probe_image
import pytest
from harness import component, components_root, run
from local_cluster import whole_life
from manager_process import wait_for
from steady_client import SteadyClient, report
from worker_tools import Tenant, add, give_image, make_tenant, record_of

pytestmark = pytest.mark.proof
NAME = "upg"
FROM, TO = "v1.35.0", "v1.36.3"
FAILED_SECONDS = 1.0
# Programs of a version that is not the default may have to be built first.
BUILD_SECONDS = 1800
SETTLE_SECONDS = 15


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with whole_life(NAME, tmp_path_factory.mktemp("upgrade"), "--kubernetes-version", FROM, seconds=BUILD_SECONDS) as running:
        yield running


@pytest.fixture(scope="module")
def mover(cluster):
    return make_tenant(cluster, "mover", controlPlane={"deployment": {"replicas": 2}, "service": {"serviceType": "LoadBalancer"}},
                       kubernetes={"version": FROM, "kubelet": {"cgroupfs": "cgroupfs"}})


@pytest.fixture(scope="module")
def worker(cluster, mover, tmp_path_factory):
    added = add(cluster, mover, "one")
    identifier = record_of(cluster, mover, "one")[0]
    give_image(cluster, probe_image.make(tmp_path_factory.mktemp("image") / "probe.tar"), identifier)
    # What a registry would give: the new version's kube-proxy.
    for archive in (components_root() / "images").glob(f"kube-proxy-{TO}-*.tar"):
        give_image(cluster, archive, identifier)
    return added


@pytest.fixture(scope="module")
def pod(mover, worker):
    mover.kubectl("run", "probe", f"--image={probe_image.NAME}", "--image-pull-policy=IfNotPresent", "--labels=run=probe")
    return mover.wait_pods("run=probe", 1)[0]


def kubeconfig(mover: Tenant) -> dict:
    return json.loads(run([component("kubectl"), "--kubeconfig", mover.config, "config", "view", "--raw", "--minify", "-o", "json"]))


def clients(cluster, mover: Tenant, folder) -> list[SteadyClient]:
    """One by the way in that everybody takes, one from the worker by the Service `kubernetes`, as pods go."""
    config = kubeconfig(mover)
    host, port = config["clusters"][0]["cluster"]["server"].removeprefix("https://").split(":")
    pid = record_of(cluster, mover, "one")[1]["pid"]
    service = mover.get("service", "kubernetes")["spec"]["clusterIP"]
    return [SteadyClient("outside", config, host, int(port), folder),
            SteadyClient("inside", config, service, 443, folder, ("nsenter", f"--net=/proc/{pid}/ns/net"))]


def pods_of_worker(mover: Tenant) -> dict[str, tuple]:
    """All but kube-proxy, which an upgrade replaces: name -> what a pod that was kept keeps."""
    return {item["metadata"]["name"]: (item["metadata"]["uid"], [(c["containerID"], c["restartCount"]) for c in item["status"]["containerStatuses"]])
            for item in mover.get("pods", "-A")["items"]
            if item["spec"].get("nodeName") == "one" and item["metadata"]["labels"].get("k8s-app") != "kube-proxy"}


def ready_condition(node: dict) -> dict:
    return next(c for c in node["status"]["conditions"] if c["type"] == "Ready")


def versions(mover: Tenant, cluster) -> list[tuple[str, bool]]:
    """Version of each control plane pod that is there, and whether it is Ready."""
    found = []
    for item in cluster.get("pods", "", mover.namespace)["items"]:
        if item["metadata"].get("labels", {}).get("kamaji.clastix.io/name") == mover.name:
            image = next(c["image"] for c in item["spec"]["containers"] if c["name"] == "kube-apiserver")
            found.append((image.rsplit(":", 1)[1], any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", []))))
    return sorted(found)


def upgraded(cluster, mover: Tenant) -> bool:
    """Ready in the new version, and no pod of the old one any more."""
    status = cluster.get("tenantcontrolplane", mover.name, mover.namespace)["status"]["kubernetesResources"]["version"]
    return (status["status"], status["version"]) == ("Ready", TO) and versions(mover, cluster) == [(TO, True), (TO, True)]


def config_of(mover: Tenant) -> dict[str, str]:
    return {"kubeadm": mover.get("configmap", "kubeadm-config", "-n", "kube-system")["data"]["ClusterConfiguration"],
            "kubelet": mover.get("configmap", "kubelet-config", "-n", "kube-system")["data"]["kubelet"]}


@pytest.fixture(scope="module")
def upgrade(cluster, mover, worker, pod, tmp_path_factory):
    """The upgrade itself, once; what was before, and what the clients saw."""
    mover.wait_pods("k8s-app=kube-dns", 2, "kube-system")
    before = {"node": mover.node("one"), "pods": pods_of_worker(mover), "configs": config_of(mover), "server": mover.server_version()}
    running = clients(cluster, mover, tmp_path_factory.mktemp("clients"))
    try:
        time.sleep(3)
        start = time.time()
        cluster.kubectl("patch", "tenantcontrolplane", mover.name, "-n", mover.namespace, "--type=merge", "-p",
                        json.dumps({"spec": {"kubernetes": {"version": TO}}}))
        wait_for("the tenant runs in the new version alone", lambda: upgraded(cluster, mover), 300, pause=0.5)
        took = time.time() - start
        time.sleep(SETTLE_SECONDS)
        seen = {one.name: one.finish() for one in running}
    finally:
        for one in running:
            one.end()
    print(f"\nfrom {FROM} to {TO}: {took:.1f} s until the last old pod was gone")
    failed = {name: report(streams, start) for name, streams in seen.items()}
    print("  failed in all: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in failed.items()))
    return {**before, "seen": seen, "failed": failed}


def test_the_tenant_was_of_the_old_version(upgrade):
    assert upgrade["server"] == FROM
    assert upgrade["node"]["status"]["nodeInfo"]["kubeletVersion"] == FROM
    assert f"kubernetesVersion: {FROM}\n" in upgrade["configs"]["kubeadm"]


def test_failed_requests(upgrade):
    """Outages of all eight streams, one after the other, though most of them are at the same time."""
    streams = [one for streams in upgrade["seen"].values() for one in streams]
    assert len(streams) == 8 and all(stream["done"] > 100 for stream in streams), "the clients were at work"
    assert sum(upgrade["failed"].values()) <= FAILED_SECONDS


def test_no_acknowledged_write_is_lost(mover, upgrade):
    for stream in (one for streams in upgrade["seen"].values() for one in streams if one["object"]):
        # A write whose answer was lost may have been done.
        assert int(mover.get("configmap", stream["object"])["data"]["number"]) in (stream["acknowledged"], stream["acknowledged"] + 1)


def test_the_worker_keeps_its_pods(mover, upgrade):
    node = mover.node("one")
    assert ready_condition(node)["status"] == "True"
    assert ready_condition(node)["lastTransitionTime"] == ready_condition(upgrade["node"])["lastTransitionTime"], "it was Ready all the time"
    assert node["metadata"]["uid"] == upgrade["node"]["metadata"]["uid"]
    assert len(upgrade["pods"]) == 3 and pods_of_worker(mover) == upgrade["pods"], "the probe and CoreDNS"
    assert mover.execute("probe", "cat", "/proc/sys/kernel/hostname").strip() == "probe"


def test_the_inside_is_of_the_new_version(mover, upgrade):
    assert mover.server_version() == TO
    wait_for("kubeadm-config of the new version", lambda: f"kubernetesVersion: {TO}\n" in config_of(mover)["kubeadm"], 30)
    # A member that kubelets before 1.36 do not have.
    assert "memoryReservationPolicy" not in upgrade["configs"]["kubelet"]
    wait_for("kubelet-config of the new version", lambda: "memoryReservationPolicy" in config_of(mover)["kubelet"], 30)
    proxies = mover.wait_pods("k8s-app=kube-proxy", 1, "kube-system")
    assert proxies[0]["spec"]["containers"][0]["image"].endswith(f":{TO}")


def test_pods_start_on_the_older_worker(mover, upgrade):
    """A kubelet of 1.35 under a control plane of 1.36."""
    mover.kubectl("run", "later", f"--image={probe_image.NAME}", "--image-pull-policy=IfNotPresent", "--labels=run=later")
    assert mover.wait_pods("run=later", 1)[0]["spec"]["nodeName"] == "one"


def test_another_worker_joins_in_the_new_version(cluster, mover, upgrade):
    assert add(cluster, mover, "two")["version"] == TO
    assert mover.node("two")["status"]["nodeInfo"]["kubeletVersion"] == TO
    assert mover.is_ready("one")
