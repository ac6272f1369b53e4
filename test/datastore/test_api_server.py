# SPDX-License-Identifier: Apache-2.0
"""A real kube-apiserver and kube-controller-manager on `kamaji datastore`, which is killed under them."""
import os
import signal
import threading
import time

import harness
import pytest
import stores
from api_client import ApiError

pytestmark = pytest.mark.skipif(stores.missing() is not None, reason=str(stores.missing()))

WRITERS, EACH = 4, 250
CONSISTENCY = {"KUBE_WATCHCACHE_CONSISTENCY_CHECKER": "true"}


class OnOurs(harness.Harness):
    """The harness with our server where it has etcd, and with the API server comparing its caches with it."""

    def up(self, **options) -> "OnOurs":
        os.environ.update(CONSISTENCY)
        try:
            super().up(**options)
        finally:
            for name in CONSISTENCY:
                os.environ.pop(name, None)
        return self

    kind, data = "kamaji", "etcd"

    def start_etcd(self) -> None:
        client, other = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "etcd_peer"))
        program = [stores.KAMAJI, "datastore", f"--listen-metrics-urls={other}"]
        if self.kind == "etcd":
            program = [harness.component("etcd"), "--unsafe-no-fsync", f"--listen-peer-urls={other}", "--log-level=warn"]
        self.start("etcd", [*program, f"--data-dir={self.folder}/{self.data}", f"--listen-client-urls={client}", f"--advertise-client-urls={client}"])

    def move(self, kind: str, data: str, carry) -> None:
        """Stops everything, takes a snapshot of what there is, and goes on with what `carry(snapshot, folder)` makes of it."""
        for name in ("kube-controller-manager", "kube-apiserver"):
            self.stop(name)
        snapshot = self.folder / f"{data}.db"
        harness.run([harness.component("etcdctl"), "--endpoints", f"http://127.0.0.1:{self.ports['etcd']}", "snapshot", "save", str(snapshot)])
        self.stop("etcd")
        carry(snapshot, self.folder / data)
        self.kind, self.data = kind, data
        self.start_etcd()
        self.start_api_server()
        self.start_controller_manager()

    def kill_etcd(self) -> None:
        self.stop("etcd", signal.SIGKILL)
        self.start_etcd()

    def metric(self, name: str) -> list[str]:
        return [line for line in self._get("/metrics").decode().splitlines() if line.startswith(name)]


@pytest.fixture
def cluster(tmp_path):
    running = OnOurs(tmp_path)
    try:
        yield running.up()
    finally:
        running.down()


def config_map(writer: int, number: int) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"writer-{writer}-{number}"}, "data": {"text": "x" * 800}}


class Load:
    """Creates ConfigMaps and remembers which were acknowledged, with which resourceVersion."""

    def __init__(self, cluster: OnOurs):
        self.cluster, self.acknowledged, self.newest, self.backwards = cluster, {}, 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.write, args=(writer,)) for writer in range(WRITERS)]

    def write(self, writer: int) -> None:
        for number in range(EACH):
            name = f"writer-{writer}-{number}"
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with self.lock:
                    floor = self.newest
                try:
                    made = self.cluster.api.call("POST", "/api/v1/namespaces/default/configmaps", config_map(writer, number))
                except ApiError as error:
                    if error.status == 409:
                        break
                    time.sleep(0.1)
                    continue
                version = int(made["metadata"]["resourceVersion"])
                with self.lock:
                    if version <= floor:
                        self.backwards.append((name, floor, version))
                    self.acknowledged[name] = version
                    self.newest = max(self.newest, version)
                break

    def run(self, meanwhile) -> None:
        for thread in self.threads:
            thread.start()
        meanwhile()
        for thread in self.threads:
            thread.join(180)


def listed(cluster: OnOurs) -> dict[str, int]:
    found, token = {}, ""
    while True:
        page = cluster.api.call("GET", f"/api/v1/namespaces/default/configmaps?limit=300&continue={token}")
        found.update({item["metadata"]["name"]: int(item["metadata"]["resourceVersion"]) for item in page["items"]})
        token = page["metadata"].get("continue", "")
        if not token:
            return found


def check(cluster: OnOurs, load: Load) -> None:
    found = listed(cluster)
    assert not load.backwards, f"a resourceVersion went back: {load.backwards[:3]}"
    lost = {name: version for name, version in load.acknowledged.items() if found.get(name) != version}
    assert not lost, f"{len(lost)} acknowledged objects are missing or changed: {list(lost.items())[:3]}"
    assert len(load.acknowledged) >= WRITERS * EACH * 0.9
    cached = cluster.api.call("GET", "/api/v1/namespaces/default/configmaps?resourceVersion=0")
    assert {item["metadata"]["name"] for item in cached["items"]} >= set(load.acknowledged)
    failed = [line for line in cluster.metric("apiserver_storage_consistency_checks_total") if 'status="failure"' in line]
    assert not failed, failed


def test_kills_under_load(cluster):
    load = Load(cluster)

    def kill() -> None:
        for _ in range(3):
            time.sleep(1.5)
            cluster.kill_etcd()

    load.run(kill)
    cluster.wait("kube-apiserver ready again", "kube-apiserver", lambda: cluster._get("/readyz") == b"ok")
    check(cluster, load)

    # The controller manager works through it: a Deployment becomes a ReplicaSet and pods, and all of it goes again.
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
                   "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
                       "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "none"}]}}}})
    cluster.wait("three pods", "kube-controller-manager",
                 lambda: len(cluster.api.call("GET", "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")["items"]) == 3)
    newest = max(listed(cluster).values())

    # The API server itself is restarted: its caches are filled anew.
    cluster.stop("kube-apiserver")
    cluster.start_api_server()
    check(cluster, load)
    made = cluster.api.call("POST", "/api/v1/namespaces/default/configmaps", config_map(99, 0))
    assert int(made["metadata"]["resourceVersion"]) > newest

    cluster.api.call("DELETE", "/api/v1/namespaces/default/configmaps")
    cluster.wait("ConfigMaps deleted", "kube-apiserver", lambda: not [name for name in listed(cluster) if name.startswith("writer-")])
    text = cluster.log("etcd").read_text()
    assert '"level":"error"' not in text, text[-2000:]
    api = cluster.log("kube-apiserver").read_text()
    assert "panic" not in api, api[api.index("panic") - 500:][:3000]


KINDS = ["/api/v1/configmaps", "/api/v1/secrets", "/api/v1/namespaces", "/api/v1/services", "/api/v1/serviceaccounts", "/apis/apps/v1/deployments",
         "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
         "/apis/scheduling.k8s.io/v1/priorityclasses"]


def versions(cluster: OnOurs) -> dict[tuple, tuple]:
    found = {}
    for kind in KINDS:
        for item in cluster.api.call("GET", kind)["items"]:
            about = item["metadata"]
            found[kind, about.get("namespace"), about["name"]] = about["resourceVersion"], about["uid"]
    return found


def test_moved_by_snapshots(cluster):
    """ours -> etcdutl -> a real etcd -> import -> ours: the API server goes on with every object as it was, resourceVersion and all."""
    def carry_back(snapshot, folder) -> None:
        done = stores.import_snapshot(snapshot, folder)
        assert done.returncode == 0, done.stderr

    for number in range(60):
        cluster.api.call("POST", "/api/v1/namespaces/default/configmaps", config_map(0, number))
    cluster.api.call("DELETE", "/api/v1/namespaces/default/configmaps/writer-0-3")
    for step, (kind, carry) in enumerate([("etcd", stores.restore), ("kamaji", carry_back)], start=1):
        before = versions(cluster)
        assert len(before) > 130
        cluster.move(kind, f"moved-{step}", carry)
        after = versions(cluster)
        assert {key: after.get(key) for key in before} == before
        newest = max(int(version) for version, _ in before.values())
        made = cluster.api.call("POST", "/api/v1/namespaces/default/configmaps", config_map(step, 0))
        assert int(made["metadata"]["resourceVersion"]) > newest
        # An old version is still the one to update with, once.
        old = cluster.api.call("GET", "/api/v1/namespaces/default/configmaps/writer-0-7")
        old["data"]["text"] = str(step)
        cluster.api.call("PUT", "/api/v1/namespaces/default/configmaps/writer-0-7", old)
        with pytest.raises(ApiError) as conflict:
            cluster.api.call("PUT", "/api/v1/namespaces/default/configmaps/writer-0-7", old)
        assert conflict.value.status == 409
