# SPDX-License-Identifier: Apache-2.0
"""Tenants with workers on a real cluster: handling them, and seeing what their people see."""
from __future__ import annotations

import json
import pathlib
import subprocess

from harness import HarnessError, component, run, tenant
from local_cluster import LocalCluster
from manager_process import wait_for


class Tenant:
    """A tenant with the eyes of its own people."""

    def __init__(self, cluster: LocalCluster, name: str, namespace: str = "default"):
        self.cluster, self.name, self.namespace = cluster, name, namespace
        self.config = cluster.tenant_kubeconfig(name, namespace)
        self.flags: list[str] = []

    @property
    def reference(self) -> str:
        return f"{self.namespace}/{self.name}"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(*self.flags, *arguments, stdin=stdin, kubeconfig=self.config)

    def wait_rights(self) -> None:
        """The API server answers before the operator has given the tenant's administrator the rights that kubeadm gives."""
        wait_for("rights of kubernetes-admin", lambda: "kube-system" in self.kubectl("get", "namespaces", "-o", "name"), 30, pause=0.3)

    def get(self, *arguments: str) -> dict:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects: dict) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def node(self, name: str) -> dict | None:
        found = [item for item in self.get("nodes")["items"] if item["metadata"]["name"] == name]
        return found[0] if found else None

    def is_ready(self, name: str) -> bool:
        node = self.node(name)
        return bool(node) and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])

    def wait_pods(self, selector: str, count: int, namespace: str = "default", seconds: float = 90) -> list[dict]:
        def look():
            items = [pod for pod in self.get("pods", "-n", namespace, "-l", selector)["items"] if "deletionTimestamp" not in pod["metadata"]]
            ready = [pod for pod in items if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))]
            return (ready or [None]) if len(ready) == len(items) == count else None

        try:
            return wait_for(f"{count} ready pods {selector}", look, seconds, pause=0.5)
        except HarnessError as error:
            raise AssertionError(f"{error}\n{self.kubectl('get', 'pods', '-A', '-o', 'wide')}\n"
                                 f"{self.kubectl('describe', 'pods', '-n', namespace, '-l', selector)[-3000:]}") from None

    def server_version(self) -> str:
        return json.loads(self.kubectl("get", "--raw", "/version"))["gitVersion"]

    def execute(self, pod: str, *command: str) -> str:
        return self.kubectl("exec", pod, "--", *command)


def worker(cluster, action: str, *flags: str, check: bool = True, seconds: float = 300) -> subprocess.CompletedProcess:
    done = subprocess.run([*cluster.command("worker")[:3], action, *flags, "--name", cluster.name, "--state-dir", str(cluster.root)],
                          capture_output=True, text=True, timeout=seconds, check=False)
    if check and done.returncode:
        raise HarnessError(f"worker {action} {' '.join(flags)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


def add(cluster, who: Tenant, name: str, *flags: str) -> dict:
    return json.loads(worker(cluster, "add", who.reference, name, "-o", "json", *flags).stdout)


def records(cluster) -> dict:
    """The workers in the state file, by id."""
    nodes = json.loads((cluster.folder / "state.json").read_text())["nodes"]
    return {key: value for key, value in nodes.items() if key.startswith("worker-")}


def record_of(cluster, who: Tenant, name: str) -> tuple[str, dict]:
    return next((key, one) for key, one in records(cluster).items()
                if (one["namespace"], one["tenant"], one["name"]) == (who.namespace, who.name, name))


def give_image(cluster, archive: pathlib.Path, identifier: str) -> None:
    run([component("ctr"), "--address", str(cluster.folder / "nodes" / identifier / "socket" / "containerd.sock"), "--namespace", "k8s.io", "images", "import",
         "--local", str(archive)])


def make_tenant(cluster, name: str, namespace: str = "default", **spec) -> Tenant:
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    cluster.apply(tenant(name, namespace, replicas=1, **{"addons": {"coreDNS": {}, "kubeProxy": {}},
                                              "controlPlane": {"deployment": {"replicas": 1}, "service": {"serviceType": "LoadBalancer"}}, **spec}))
    cluster.wait_phase(name, namespace=namespace)
    found = Tenant(cluster, name, namespace)
    found.wait_rights()
    return found
