# SPDX-License-Identifier: Apache-2.0
"""kube-apiserver 1.37.0, which fills its caches through RangeStream, on `kamaji datastore`."""
import os
import pathlib
import re
import subprocess

import harness
import pytest
import stores
from test_api_server import Load, OnOurs, check, listed

pytestmark = [pytest.mark.proof, pytest.mark.skipif(stores.missing() is not None, reason=str(stores.missing()))]

VERSION = "v1.37.0"
MODULE = pathlib.Path(__file__).resolve().parent / f"kubernetes-{VERSION}"


def api_server() -> str:
    """Built once into the components cache from the pinned module beside this file, as components/ builds the default version."""
    program = harness.components_root() / "kubernetes" / VERSION / "bin" / "kube-apiserver"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        major, minor = VERSION.removeprefix("v").split(".")[:2]
        values = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
        flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
        subprocess.run([str(stores.ROOT / "tools" / "with-go"), "go", "build", "-mod=readonly", "-trimpath", "-ldflags", flags, "-o", str(program),
                        "k8s.io/kubernetes/cmd/kube-apiserver"], cwd=MODULE, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return str(program)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    newer, component = api_server(), harness.component
    monkeypatch.setattr(harness, "component", lambda program: newer if program == "kube-apiserver" else component(program))
    running = OnOurs(tmp_path)
    try:
        yield running.up()
    finally:
        running.down()


def requests(cluster: OnOurs, resource: str) -> dict[str, int]:
    """How often the API server asked the store for these objects, by the name it gives to the kind of question."""
    found: dict[str, int] = {}
    for line in cluster.metric("etcd_request_duration_seconds_count"):
        if f'resource="{resource}"' in line:
            operation = re.search(r'operation="([^"]*)"', line)
            found[operation.group(1)] = int(float(line.rsplit(" ", 1)[1]))
    return found


def test_kubernetes_1_37(cluster):
    assert cluster.api.call("GET", "/version")["gitVersion"] == VERSION
    load = Load(cluster)
    load.run(cluster.kill_etcd)
    cluster.wait("kube-apiserver ready again", "kube-apiserver", lambda: cluster._get("/readyz") == b"ok")
    check(cluster, load)

    # Caches filled anew: every list of ConfigMaps is a stream, none falls back to pages.
    cluster.stop("kube-apiserver")
    cluster.start_api_server()
    check(cluster, load)
    asked = requests(cluster, "configmaps")
    print(f"requests for ConfigMaps after a restart: {asked}")
    assert asked.get("listStream", 0) >= 1 and asked.get("list", 0) == 0, asked
    assert "does not support RangeStream" not in cluster.log("kube-apiserver").read_text()

    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
                   "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
                       "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "none"}]}}}})
    cluster.wait("three pods", "kube-controller-manager",
                 lambda: len(cluster.api.call("GET", "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")["items"]) == 3)
    cluster.api.call("DELETE", "/api/v1/namespaces/default/configmaps")
    cluster.wait("ConfigMaps deleted", "kube-apiserver", lambda: not [name for name in listed(cluster) if name.startswith("writer-")])
    assert '"level":"error"' not in cluster.log("etcd").read_text()
    assert "panic" not in cluster.log("kube-apiserver").read_text()
