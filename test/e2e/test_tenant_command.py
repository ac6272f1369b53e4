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
    assert "there is no tenant default/people" in kamaji("tenant", "delete", "people", "--yes", code=1)


def test_create_answers_in_words(harness, manager, kamaji):
    dry = json.loads(kamaji("tenant", "create", "shape", "--dry-run", "-o", "json"))
    assert dry["kind"] == "TenantControlPlane" and dry["metadata"]["name"] == "shape"
    kamaji("tenant", "create", "twice", "--replicas=0", "--wait")
    said = kamaji("tenant", "create", "twice", "--replicas=0", code=1)
    assert "there is a tenant default/twice already" in said and "HTTP" not in said
    said = kamaji("tenant", "create", "nowhere/one", code=1)
    assert "there is no namespace nowhere (`kubectl create namespace nowhere` makes it)" in said
    assert "outside 0 to 2147483647" in kamaji("tenant", "create", "many", "--replicas=-1", code=2)
    kamaji("tenant", "delete", "twice", "--yes")


def test_deletion_that_waits_says_so(harness, manager, kamaji):
    """Something else holds the object: a line after a second, not silence until the time is over."""
    harness.apply(tenant("held"))
    wait_for("tenant at rest", lambda: harness.get("tenantcontrolplane", "held", "default").get("status", {}).get("conditions"), 20)
    hold = [{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/hold"}]
    harness.kubectl("patch", "tcp", "held", "--type=json", "-p", json.dumps(hold))
    said = kamaji("tenant", "delete", "held", "--yes", "--timeout=3s", code=1)
    assert "default/held is being deleted" in said and "kamaji why default/held" in said
    harness.kubectl("patch", "tcp", "held", "--type=json", "-p", json.dumps([{"op": "replace", "path": "/metadata/finalizers", "value": []}]))


def test_why_tells_a_cause_once(harness, manager, kamaji):
    harness.apply(*[item for item in harness.datastore("crooked") if item["kind"] != "Secret"])
    wait_for("store looked at", lambda: harness.get("datastore", "crooked").get("status", {}).get("conditions"), 30)
    harness.apply(tenant("crooked", dataStore="crooked"))
    wait_for("condition", lambda: harness.get("tenantcontrolplane", "crooked", "default").get("status", {}).get("conditions"), 20)
    found = json.loads(kamaji("why", "crooked", "-o", "json", code=1))["findings"]
    told = [(finding["step"], finding["reason"]) for finding in found]
    assert told == [("datastore", "DataStoreNotReady")], told
    assert "kubectl describe datastore crooked" in found[0]["remedy"]
    kamaji("tenant", "delete", "crooked", "--yes")
    harness.kubectl("delete", "datastore", "crooked", "--timeout=30s")


def test_why_of_a_node_port_in_use(harness, manager, kamaji):
    """The server names the Service's field; what a person can change is the tenant's. It serves as soon as the port is free."""
    def wanted(name: str) -> dict:
        made = tenant(name, networkProfile={"port": 30999, "address": "127.0.0.1"})
        made["spec"]["controlPlane"]["service"] = {"serviceType": "NodePort"}
        return made
    harness.apply(wanted("first"))
    wait_for("port taken", lambda: harness.get("service", "first", "default"), 20)
    harness.apply(wanted("second"))
    wait_for("refusal", lambda: "already allocated" in json.dumps(harness.get("tenantcontrolplane", "second", "default").get("status", {})), 20)
    blocking = json.loads(kamaji("why", "second", "-o", "json", code=1))["blocking"]
    assert "spec.networkProfile.port" in blocking["remedy"] and "already allocated" in blocking["cause"]
    kamaji("tenant", "delete", "first", "--yes")
    wait_for("second has the port", lambda: harness.kubectl("get", "service", "second", "--ignore-not-found", "-o", "name"), 45)
    kamaji("tenant", "delete", "second", "--yes")


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
