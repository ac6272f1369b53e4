# SPDX-License-Identifier: Apache-2.0
"""The commands that people type: `kamaji why` and `kamaji tenant`, also as a kubectl plugin."""
import json
import os
import re
import stat
import subprocess

import pytest
from harness import component, tenant
from manager_process import binary, wait_for


@pytest.fixture()
def kamaji(harness):
    def call(*arguments: str, code: int = 0, program: str | None = None) -> str:
        done = subprocess.run([program or binary(), *arguments], capture_output=True, text=True, check=False, timeout=60,
                              stdin=subprocess.DEVNULL, env={**os.environ, "KUBECONFIG": str(harness.folder / "observer.kubeconfig")})
        assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr
    return call


def test_create_list_kubeconfig_delete(harness, manager, kamaji, tmp_path):
    said = kamaji("tenant", "create", "default/people", "--replicas=0", "--wait", "--timeout=40s", "--cgroup-driver", "cgroupfs")
    assert "default/people is there and sleeps" in said
    table = kamaji("tenant", "list", "-A").splitlines()
    assert re.split(r"\s{2,}", table[0])[:4] == ["NAMESPACE", "NAME", "VERSION", "INSTALLED VERSION"]
    row = next(line for line in table if " people " in line)
    assert "Sleeping" in row and "people-admin-kubeconfig" in row and row.startswith("default")
    listed = json.loads(kamaji("tenant", "list", "-o", "json"))
    assert "people" in [item["metadata"]["name"] for item in listed["items"]]

    printed = kamaji("tenant", "kubeconfig", "people")
    assert "client-key-data" in printed and "current-context" in printed
    path = tmp_path / "kubeconfig"
    kamaji("tenant", "kubeconfig", "default/people", "--to", str(path))
    assert path.read_text() == printed and stat.S_IMODE(path.stat().st_mode) == 0o600
    merged = tmp_path / "merged"
    merged.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "u"}}]}))
    for _ in range(2):
        kamaji("tenant", "kubeconfig", "people", "--merge", str(merged))
    names = subprocess.run([component("kubectl"), "--kubeconfig", str(merged), "config", "get-contexts", "-o", "name"], capture_output=True,
                           text=True, check=True).stdout.split()
    assert sorted(names) == ["default-people", "mine"]

    assert "nothing was done" in kamaji("tenant", "delete", "people", code=1)
    assert "is gone" in kamaji("tenant", "delete", "people", "--yes", "--timeout=40s")
    assert "there is no TenantControlPlane" in kamaji("why", "default/people", code=1)
    assert "not found" in kamaji("tenant", "delete", "people", "--yes", code=1).lower()


def test_create_what_cannot_work_waits_in_vain(harness, manager, kamaji):
    said = kamaji("tenant", "create", "vain", "--service-type=LoadBalancer", "--wait", "--timeout=6s", code=1)
    assert "kamaji why default/vain" in said
    assert "LoadBalancerPending" in kamaji("why", "vain", code=1)
    kamaji("tenant", "delete", "vain", "--yes")


def test_why_names_step_cause_and_remedy(harness, manager, kamaji):
    harness.apply(tenant("nostore", dataStore="nowhere"))
    wait_for("condition", lambda: harness.get("tenantcontrolplane", "nostore", "default")["status"]["conditions"], 20)
    found = json.loads(kamaji("why", "default/nostore", "-o", "json", code=1))
    assert not found["ready"]
    blocking = found["blocking"]
    assert blocking["step"] == "datastore" and blocking["reason"] == "DataStoreNotFound"
    assert "nowhere" in blocking["cause"] and "create" in blocking["remedy"]
    text = kamaji("why", "nostore", "-n", "default", code=1)
    assert "remedy:" in text and "\033[" not in text, "no colours but on a terminal"
    harness.kubectl("delete", "tcp", "nostore", "-n", "default", "--timeout=30s")


def test_why_looks_into_pods(harness, manager, kamaji):
    """No node here: the pods are pending as the scheduler would leave them; a quota forbids the second tenant's pods altogether."""
    harness.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tight"}},
                  {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "tight"}, "spec": {"hard": {"pods": "0"}}})
    wait_for("namespace usable", lambda: harness.get("namespace", "tight"), 10)
    harness.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "tight"}})
    harness.api.call("PUT", "/api/v1/namespaces/tight/resourcequotas/none/status", {
        **json.loads(harness.kubectl("get", "resourcequota", "none", "-n", "tight", "-o", "json")), "status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}})
    harness.apply(tenant("squeezed", "tight", replicas=1))
    wait_for("replica failure", lambda: any(c["type"] == "ReplicaFailure" for c in harness.get("deployment", "squeezed", "tight")["status"].get("conditions", [])), 30)
    found = json.loads(kamaji("why", "tight/squeezed", "-o", "json", code=1))
    causes = " ".join(finding["cause"] for finding in found["findings"])
    assert "exceeded quota" in causes, found
    assert found["blocking"]["step"] == "deployment", found["blocking"]
    harness.kubectl("delete", "tcp", "squeezed", "-n", "tight", "--timeout=30s")


def test_usage_and_a_paused_tenant(harness, manager, kamaji):
    assert "Usage: kamaji why" in kamaji("why", "--help")
    kamaji("why", code=2)
    kamaji("why", "a/b/c", code=2)
    kamaji("tenant", "creat", code=2)
    kamaji("tenant", "list", "--alll-namespaces", code=2)
    harness.apply({**tenant("paused"), "metadata": {"name": "paused", "namespace": "default", "annotations": {"kamaji.clastix.io/paused": ""}}})
    assert "Paused" in kamaji("why", "paused", code=1)
    harness.kubectl("annotate", "tcp", "paused", "kamaji.clastix.io/paused-")
    harness.kubectl("delete", "tcp", "paused", "--timeout=30s")


def test_kubectl_plugin_and_wait(harness, manager, kamaji, tmp_path):
    (tmp_path / "kubectl-kamaji").symlink_to(os.path.abspath(binary()))
    plugin = subprocess.run([component("kubectl"), "kamaji", "tenant", "list", "-A"], capture_output=True, text=True, check=False, env={
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBECONFIG": str(harness.folder / "observer.kubeconfig")})
    assert plugin.returncode == 0, plugin.stderr
    harness.apply(tenant("awaited"))
    harness.kubectl("wait", "--for=condition=Ready=false", "tcp/awaited", "--timeout=30s")
    harness.kubectl("wait", "--for=jsonpath={.status.kubernetesResources.version.status}=Sleeping", "tcp/awaited", "--timeout=30s")
    events = wait_for("event of the phase", lambda: [e for e in harness.get("event", "", "default")["items"]
                                                     if e["involvedObject"]["name"] == "awaited" and e["reason"] == "Sleeping"], 15)
    assert events[0]["type"] == "Normal"
    harness.kubectl("delete", "tcp", "awaited", "--timeout=30s")
