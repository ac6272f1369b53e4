# SPDX-License-Identifier: Apache-2.0
"""What people and controllers see of a tenant in the admin cluster over its life: phases, scale, pause, columns, Events, metrics, routes and
who uses a DataStore. A real API server and real workload controllers; which pods are ready is said by the test."""
import base64
import ipaddress
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest
from captured import ROOT
from harness import HERE, component, tenant
from manager_process import Manager, binary, wait_for
from ready_pods import make_ready
from tenant_checks import check_complete, phase, settled

OLD, NEW = "v1.35.7", "v1.36.3"
# Beside --datastore, --metrics-bind-address, --health-probe-bind-address, --pod-namespace and --serviceaccount-name, which Manager gives.
UPSTREAM_FLAGS = [
    "--leader-elect=true", "--tmp-directory=/tmp/kamaji", "--kine-image=rancher/kine:v0.11.10-amd64", "--migrate-image=example.org/kamaji:1",
    "--max-concurrent-tcp-reconciles=4", "--webhook-service-name=kamaji-webhook-service", "--webhook-ca-path=/tmp/k8s-webhook-server/ca.crt",
    "--controller-reconcile-timeout=30s", "--cache-resync-period=10h", "--disable-telemetry=false", "--certificate-expiration-deadline=24h",
    "--pprof-bind-address=", "--zap-devel=true", "--zap-encoder=json", "--zap-log-level=info", "--zap-stacktrace-level=error",
    "--zap-time-encoding=iso8601"]


@pytest.fixture(scope="module")
def manager(harness):
    """The Gateway API is there when it starts."""
    harness.kubectl("apply", "-f", str(HERE.parent / "golden" / "gateway-api.yaml"))
    wait_for("Gateway API served", lambda: harness.kubectl("get", "tlsroutes,gateways", "-A") is not None, 20)
    harness.apply(*harness.datastore(), *harness.datastore("second")[1:])
    running = Manager(harness, flags=UPSTREAM_FLAGS).start()
    wait_for("DataStores ready", lambda: all(item.get("status", {}).get("ready") for item in harness.get("datastores")["items"]), 30)
    yield running
    running.assert_alive()
    assert running.stop() == 0


def get(harness, name: str) -> dict:
    return harness.get("tenantcontrolplane", name, "default")


def condition(item: dict, kind: str = "Ready") -> dict:
    return next((found for found in item.get("status", {}).get("conditions", []) if found["type"] == kind), {})


def wait_phase(harness, name: str, wanted: str, seconds: float = 40) -> dict:
    return wait_for(f"{name} {wanted}", lambda: (item := get(harness, name)) and phase(item) == wanted and item, seconds)


def patch(harness, kind: str, name: str, document: dict, *flags: str) -> None:
    harness.kubectl("patch", kind, name, "-n", "default", "--type=merge", "-p", json.dumps(document), *flags)


def patch_spec(harness, name: str, **spec) -> None:
    patch(harness, "tcp", name, {"spec": spec})


class PhaseWatch:
    """Every phase that the API server tells, in order, the short ones too."""

    def __init__(self, harness, name: str):
        path = harness.folder / f"{name}.phases"
        self.out = open(path, "w+", encoding="ascii")
        self.process = subprocess.Popen(
            [component("kubectl"), "--kubeconfig", str(harness.folder / "observer.kubeconfig"), "get", "tcp", name, "-n", "default", "--watch", "-o",
             'jsonpath={.status.kubernetesResources.version.status}{"\\n"}'], stdout=self.out, stderr=subprocess.DEVNULL)

    def seen(self) -> list[str]:
        self.out.flush()
        with open(self.out.name, encoding="ascii") as text:
            found = text.read().split()
        return [value for number, value in enumerate(found) if number == 0 or found[number - 1] != value]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.out.close()


@pytest.fixture(scope="module")
def life(harness, manager):
    """One tenant through everything but a move of its data; (phases seen, what kubectl printed when it was Ready)."""
    name = "life"
    harness.apply(tenant(name, replicas=2, version=OLD))
    watch = PhaseWatch(harness, name)
    try:
        wait_phase(harness, name, "NotReady")
        make_ready(harness, name, 1)
        wait_phase(harness, name, "Provisioning")
        make_ready(harness, name, 1)
        wait_phase(harness, name, "Ready")
        harness.kubectl("wait", "--for=condition=Ready", f"tcp/{name}", "--timeout=20s")
        columns = harness.kubectl("get", "tcp", name)
        facts = manager.metrics()

        patch_spec(harness, name, controlPlane={"deployment": {"podAdditionalMetadata": {"labels": {"a": "b"}}}})
        wait_phase(harness, name, "Unknown")
        assert condition(get(harness, name))["status"] == "True", "it serves while its pods are replaced"
        make_ready(harness, name, 2)
        wait_phase(harness, name, "Ready")

        patch_spec(harness, name, kubernetes={"version": NEW})
        upgrading = wait_phase(harness, name, "Upgrading")
        assert upgrading["status"]["kubernetesResources"]["version"]["version"] == OLD
        make_ready(harness, name, 2)
        upgraded = wait_phase(harness, name, "Ready")
        assert upgraded["status"]["kubernetesResources"]["version"]["version"] == NEW

        patch_spec(harness, name, writePermissions={"blockCreation": True})
        wait_phase(harness, name, "WriteLimited")
        harness.kubectl("wait", "--for=condition=Ready", f"tcp/{name}", "--timeout=20s")
        patch_spec(harness, name, writePermissions={"blockCreation": None})
        wait_phase(harness, name, "Ready")

        before = harness.get("secret", f"{name}-ca", "default")["data"]["ca.crt"]
        harness.kubectl("annotate", "secret", f"{name}-ca", "certs.kamaji.clastix.io/rotate=", "--overwrite")
        wait_for("a new authority", lambda: harness.get("secret", f"{name}-ca", "default")["data"]["ca.crt"] != before, 20)
        make_ready(harness, name, 2)
        wait_phase(harness, name, "Ready")

        harness.kubectl("scale", f"tcp/{name}", "--replicas=0")
        wait_phase(harness, name, "Sleeping")
        wait_for("pods gone", lambda: not [pod for pod in harness.get("pods", "", "default")["items"]
                                          if pod["metadata"]["labels"].get("kamaji.clastix.io/name") == name], 20)
        harness.kubectl("scale", f"tcp/{name}", "--replicas=1")
        wait_phase(harness, name, "NotReady")
        make_ready(harness, name, 1)
        wait_phase(harness, name, "Ready")
        wait_for("scale", lambda: scale(harness, name)["status"].get("replicas") == 1, 10)
        yield {"phases": watch.seen(), "columns": columns, "metrics": facts, "scale": scale(harness, name)}
    finally:
        watch.close()
        harness.kubectl("delete", "tcp", name, "--timeout=60s")


def scale(harness, name: str) -> dict:
    return harness.api.call("GET", f"/apis/kamaji.clastix.io/v1alpha1/namespaces/default/tenantcontrolplanes/{name}/scale")


def test_phases_of_a_life(life):
    """All but Migrating, which has its own test, in upstream's order; the rotation is told before the first certificate follows."""
    order = ["Provisioning", "Ready", "Unknown", "Ready", "Upgrading", "Ready", "WriteLimited", "Ready", "CertificateAuthorityRotating", "Ready",
             "Sleeping", "NotReady", "Ready"]
    at, seen = 0, life["phases"]
    for wanted in order:
        assert wanted in seen[at:], f"{wanted} after {seen[:at]}; seen: {seen}"
        at = seen.index(wanted, at) + 1


def test_a_tenant_that_upstream_left_migrating(harness, manager):
    """The ninth phase: moving data is not there yet, so it stays, with a reason and the remedy, until the DataStore is set back."""
    harness.apply(tenant("moving"))
    wait_for("settled", lambda: settled(get(harness, "moving")), 30)
    manager.stop()
    patch_spec(harness, "moving", dataStore="second")
    patch(harness, "tcp", "moving", {"status": {"kubernetesResources": {"version": {"status": "Migrating"}}}}, "--subresource=status")
    manager.start()
    found = wait_for("a reason", lambda: (item := get(harness, "moving")) and condition(item).get("reason") == "MigrationNotSupported" and item, 30)
    assert phase(found) == "Migrating" and found["status"]["storage"]["dataStoreName"] == "default"
    assert "set it back to default" in condition(found)["message"]
    patch_spec(harness, "moving", dataStore="default")
    wait_phase(harness, "moving", "Sleeping")
    harness.kubectl("delete", "tcp", "moving", "--timeout=30s")


def test_scale_subresource(life):
    assert life["scale"]["spec"]["replicas"] == 1
    assert life["scale"]["status"] == {"replicas": 1, "selector": "kamaji.clastix.io/name=life"}


def test_printer_columns(harness, life):
    title, row = (re.split(r"\s{2,}", line.strip()) for line in life["columns"].strip().splitlines())
    assert title == ["NAME", "VERSION", "INSTALLED VERSION", "STATUS", "CONTROL-PLANE ENDPOINT", "KUBECONFIG", "DATASTORE", "AGE"]
    assert row[:4] == ["life", OLD, OLD, "Ready"] and row[4].endswith(":6443") and row[5:7] == ["life-admin-kubeconfig", "default"]
    stores = [re.split(r"\s{2,}", line.strip()) for line in harness.kubectl("get", "datastores").strip().splitlines()]
    assert stores[0] == ["NAME", "DRIVER", "READY", "AGE"] and stores[1][:3] == ["default", "etcd", "true"]


def test_an_event_for_every_transition(harness, life):
    events = [event for event in harness.get("event", "", "default")["items"] if event["involvedObject"]["name"] == "life"
              and event["involvedObject"]["kind"] == "TenantControlPlane"]
    told = {event["reason"] for event in events}
    assert set(life["phases"]) <= told | {"Provisioning"}, told  # the first status is no transition
    assert "Provisioning" in told, "one pod of two is one"
    assert all(event["type"] == "Normal" and event["message"] and event["source"]["component"] == "kamaji" for event in events)


UPSTREAM_METRICS = {
    "kamaji_build_info": {"version", "commit", "dirty", "repo", "build_time"},
    "kamaji_tenant_control_plane_info": {"tcp_namespace", "tcp_name", "kubernetes_version", "datastore_driver", "address", "exposure_strategy"},
    "kamaji_tenant_control_plane_status": {"tcp_namespace", "tcp_name", "status", "ready"},
    "kamaji_tenant_control_planes_current": {"ready"},
    "kamaji_datastore_info": {"datastore_name", "driver"},
    "kamaji_datastore_status": {"datastore_name", "status", "ready"},
    "kamaji_datastores_current": {"datastore_name", "ready", "driver"},
    "kamaji_certificates_current": {"tcp_namespace", "tcp_name", "status", "strategy"},
    "kamaji_handler_time_seconds_bucket": {"handler", "le"},
}
ECOSYSTEM_METRICS = {
    "workqueue_adds_total": {"name"}, "workqueue_depth": {"name"}, "workqueue_queue_duration_seconds_bucket": {"name", "le"},
    "workqueue_work_duration_seconds_bucket": {"name", "le"}, "workqueue_retries_total": {"name"},
    "workqueue_unfinished_work_seconds": {"name"}, "workqueue_longest_running_processor_seconds": {"name"},
    "rest_client_requests_total": {"code", "method", "host"}, "rest_client_request_duration_seconds_bucket": {"verb", "host", "le"},
    "controller_runtime_reconcile_total": {"controller", "result"}, "controller_runtime_reconcile_errors_total": {"controller"},
    "controller_runtime_reconcile_time_seconds_bucket": {"controller", "le"}, "controller_runtime_active_workers": {"controller"},
    "controller_runtime_max_concurrent_reconciles": {"controller"}, "leader_election_master_status": {"name"},
    "process_cpu_seconds_total": set(), "process_resident_memory_bytes": set(), "process_open_fds": set(),
}


def samples(text: str) -> dict[str, list[tuple[dict, float]]]:
    found: dict[str, list[tuple[dict, float]]] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
        if match:
            labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            found.setdefault(match[1], []).append((labels, float(match[3])))
    return found


def test_metrics_have_the_names_that_dashboards_ask_for(life):
    found = samples(life["metrics"])
    for name, labels in {**UPSTREAM_METRICS, **ECOSYSTEM_METRICS}.items():
        assert name in found, f"no {name}"
        assert set(found[name][0][0]) == labels, f"{name}: {found[name][0][0]}"
    of_life = [labels for labels, value in found["kamaji_tenant_control_plane_info"] if labels["tcp_name"] == "life" and value == 1]
    assert of_life[0]["kubernetes_version"] == OLD and of_life[0]["datastore_driver"] == "etcd"
    assert of_life[0]["address"].startswith("https://") and of_life[0]["exposure_strategy"] == "service"
    assert ({"tcp_namespace": "default", "tcp_name": "life", "status": "Ready", "ready": "true"}, 1.0) in found["kamaji_tenant_control_plane_status"]
    certificates = [(labels, value) for labels, value in found["kamaji_certificates_current"] if labels["tcp_name"] == "life"]
    assert len(certificates) == 6 and sum(value for labels, value in certificates if labels["status"] == "valid") == 7
    steps = {labels["handler"] for labels, _ in found["kamaji_handler_time_seconds_bucket"]}
    assert {"service", "kubeadmconfig", "ca", "sa-certificate", "admin-kubeconfig", "datastore-config", "deployment"} <= steps
    assert found["leader_election_master_status"][0][1] == 1


def test_upstreams_flags_are_accepted(manager):
    given = pathlib.Path(f"/proc/{manager.process.pid}/cmdline").read_text().split("\0")
    assert set(UPSTREAM_FLAGS) <= set(given) and manager.probe("/readyz") == 200


def connections(process: int) -> set[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int, int]]:
    """(peer's address, its port, our port) of what the process has connected; /proc writes an address as 32-bit words of this machine."""
    inodes = {os.readlink(path).removeprefix("socket:[").removesuffix("]") for path in pathlib.Path(f"/proc/{process}/fd").iterdir()
              if os.path.lexists(path) and os.readlink(path).startswith("socket:")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{process}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[9] in inodes and words[3] == "01":
                address, port = words[2].split(":")
                packed = b"".join(int(address[at:at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8))
                peer = ipaddress.ip_address(packed)
                found.add((getattr(peer, "ipv4_mapped", None) or peer, int(port, 16), int(words[1].split(":")[1], 16)))
    return found


def test_nothing_is_sent_anywhere(harness, manager):
    """--disable-telemetry=false is accepted: its connections are those to the API server, the DataStores and the tenants' own API servers, and
    it knows no other host."""
    local = ipaddress.ip_address("127.0.0.1")
    known = {(local, harness.ports["api"]), (local, harness.ports["store"])}
    for item in harness.get("tenantcontrolplanes", "", "default")["items"]:
        address, _, port = item.get("status", {}).get("controlPlaneEndpoint", "").rpartition(":")
        if address:
            known.add((ipaddress.ip_address(address.strip("[]")), int(port)))
    remote = {(peer, port) for peer, port, own in connections(manager.process.pid) if own not in (manager.metrics_port, manager.probe_port)}
    assert remote and remote <= known, f"{remote - known} beside {known}"
    assert b"telemetry.clastix.io" not in pathlib.Path(binary()).read_bytes()


def test_pause(harness, manager):
    """Nothing is written while paused, not even for a deletion; afterwards everything is made up for."""
    harness.apply(tenant("still"))
    wait_for("settled", lambda: settled(get(harness, "still")), 30)
    harness.kubectl("annotate", "tcp", "still", "kamaji.clastix.io/paused=")
    patch_spec(harness, "still", networkProfile={"port": 7443})
    harness.kubectl("delete", "secret", "still-scheduler-kubeconfig")
    time.sleep(2)
    assert harness.get("service", "still", "default")["spec"]["ports"][0]["port"] == 6443
    harness.kubectl("annotate", "tcp", "still", "kamaji.clastix.io/paused-")
    wait_for("settled again", lambda: settled(get(harness, "still")) and harness.get("secret", "still-scheduler-kubeconfig", "default"), 30)
    assert harness.get("service", "still", "default")["spec"]["ports"][0]["port"] == 7443
    check_complete(harness, harness.etcdctl, "default", "still")

    harness.kubectl("annotate", "tcp", "still", "kamaji.clastix.io/paused=")
    harness.kubectl("delete", "tcp", "still", "--wait=false")
    time.sleep(2)
    assert get(harness, "still")["metadata"]["finalizers"] == ["finalizer.kamaji.clastix.io"]
    harness.kubectl("annotate", "tcp", "still", "kamaji.clastix.io/paused-")
    harness.kubectl("wait", "--for=delete", "tcp/still", "--timeout=30s")


def test_what_is_added_to_pods_comes_and_goes(harness, manager):
    """Containers, init containers, volumes, mounts and security contexts: there while the spec has them, gone without a trace afterwards."""
    extra = {"additionalInitContainers": [{"name": "first", "image": "example.org/first:1"}],
             "additionalContainers": [{"name": "side", "image": "example.org/side:1"}],
             "additionalVolumes": [{"name": "extra", "emptyDir": {}}],
             "additionalVolumeMounts": {"apiServer": [{"name": "extra", "mountPath": "/extra"}], "scheduler": [{"name": "extra", "mountPath": "/extra"}]},
             "containerSecurityContexts": {"apiServer": {"runAsUser": 7}, "controllerManager": {"runAsUser": 7}, "scheduler": {"runAsUser": 7}},
             "podSecurityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}

    def pod() -> dict:
        return harness.get("deployment", "dressed", "default")["spec"]["template"]["spec"]

    harness.apply(tenant("dressed"))
    wait_for("settled", lambda: settled(get(harness, "dressed")), 30)
    before = pod()
    patch_spec(harness, "dressed", controlPlane={"deployment": extra})
    wait_for("all of it", lambda: "initContainers" in pod(), 10)
    found = pod()
    containers = {container["name"]: container for container in found["containers"]}
    assert [container["name"] for container in found["containers"]][0] == "side" and found["initContainers"][0]["name"] == "first"
    for name, mounted in (("kube-apiserver", True), ("kube-controller-manager", False), ("kube-scheduler", True)):
        assert containers[name]["securityContext"]["runAsUser"] == 7
        assert ("/extra" in [mount["mountPath"] for mount in containers[name]["volumeMounts"]]) == mounted
    assert found["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    patch_spec(harness, "dressed", controlPlane={"deployment": dict.fromkeys(extra)})
    wait_for("none of it", lambda: pod() == before, 10)
    harness.kubectl("delete", "tcp", "dressed", "--timeout=30s")


def test_a_new_port_is_followed_everywhere(harness, manager):
    harness.apply(tenant("ported", networkProfile={"port": 30001, "address": "192.0.2.9"}, controlPlane={
        "deployment": {"replicas": 0}, "service": {"serviceType": "NodePort"}}))
    wait_for("settled", lambda: settled(get(harness, "ported")), 30)
    for port in (30002, 30003):
        patch_spec(harness, "ported", networkProfile={"port": port})
        found = wait_for(f"port {port}", lambda: (item := get(harness, "ported")) and settled(item)
                         and item["status"]["kubernetesResources"]["service"]["port"] == port and item, 20)
        assert found["status"]["controlPlaneEndpoint"] == f"192.0.2.9:{port}"
        service = harness.get("service", "ported", "default")["spec"]["ports"]
        assert [(item["port"], item["targetPort"], item["nodePort"]) for item in service] == [(port, port, port)]
        admin = base64.b64decode(harness.get("secret", "ported-admin-kubeconfig", "default")["data"]["admin.conf"]).decode()
        assert f"https://192.0.2.9:{port}" in admin
        container = harness.get("deployment", "ported", "default")["spec"]["template"]["spec"]["containers"][0]
        assert f"--secure-port={port}" in container["args"] and container["livenessProbe"]["httpGet"]["port"] == port
    check_complete(harness, harness.etcdctl, "default", "ported")
    harness.kubectl("delete", "tcp", "ported", "--timeout=30s")


def test_a_deletion_that_cannot_go_on_says_why(harness, manager):
    """Its DataStore is gone: the data cannot be removed, which is told with the remedy, and goes on once the DataStore is back."""
    harness.apply(*harness.datastore("brief"), tenant("orphan", dataStore="brief"))
    wait_for("settled", lambda: settled(get(harness, "orphan")), 30)
    harness.kubectl("delete", "datastore", "brief", "--wait=false")
    patch(harness, "datastore", "brief", {"metadata": {"finalizers": None}})
    harness.kubectl("delete", "tcp", "orphan", "--wait=false")
    found = wait_for("a reason", lambda: (item := condition(get(harness, "orphan"))).get("reason") == "DeletionBlocked" and item, 20)
    assert "brief" in found["message"] and "create it again" in found["message"]
    harness.apply(*harness.datastore("brief"))
    harness.kubectl("wait", "--for=delete", "tcp/orphan", "--timeout=30s")
    harness.kubectl("delete", "datastore", "brief", "--timeout=30s")


def test_overrides_use_their_data_store(harness, manager):
    """A DataStore that holds a resource of a tenant is listed as in use and stays until nobody needs it."""
    def users(store: str) -> list[str]:
        return harness.get("datastore", store)["status"].get("usedBy", [])

    harness.apply(*harness.datastore("events"), tenant("split", dataStoreOverrides=[{"resource": "/events", "dataStore": "events"}]))
    wait_for("settled", lambda: settled(get(harness, "split")), 30)
    arguments = harness.get("deployment", "split", "default")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--etcd-servers-overrides=/events#https://127.0.0.1:{harness.ports['store']}" in arguments
    wait_for("listed", lambda: users("events") == ["default/split"] and "default/split" in users("default"), 20)
    harness.kubectl("delete", "datastore", "events", "--wait=false")
    refused = wait_for("a reason", lambda: next((c for c in harness.get("datastore", "events")["status"]["conditions"]
                                                 if c["type"] == "kamaji.clastix.io/DataStoreAllowedDeletion"), None), 20)
    assert refused["status"] == "False" and refused["reason"] == "DataStoreStillUsed"
    patch_spec(harness, "split", dataStoreOverrides=None)
    harness.kubectl("wait", "--for=delete", "datastore/events", "--timeout=30s")
    harness.kubectl("delete", "tcp", "split", "--timeout=30s")


# --- Gateway API --------------------------------------------------------------------------------------------------------

def take_route(harness, name: str, section: str) -> None:
    """As a Gateway controller does that accepts the route."""
    route = {"status": {"parents": [{"controllerName": "example.com/gateway", "parentRef": {
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "default", "sectionName": section},
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}]}}
    wait_for(f"TLSRoute {name}", lambda: harness.kubectl("get", "tlsroute", name), 20)
    patch(harness, "tlsroute", name, route, "--subresource=status")


def test_gateway_routes_and_access_points(harness, manager):
    listeners = [{"name": "api", "port": 6443, "protocol": "TLS"}, {"name": "konnectivity-server", "port": 8132, "protocol": "TLS"},
                 {"name": "web", "port": 443, "protocol": "HTTPS"}]
    harness.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "default"},
                   "spec": {"gatewayClassName": "x", "listeners": listeners}})
    patch(harness, "gateway", "edge", {"status": {"conditions": [{"type": "Programmed", "status": "True"}]}}, "--subresource=status")
    harness.apply(tenant("routed", addons={"konnectivity": {}}, controlPlane={
        "deployment": {"replicas": 0}, "service": {"serviceType": "ClusterIP"},
        "gateway": {"hostname": "t.example.com", "parentRefs": [{"name": "edge", "sectionName": "api"}]}}))
    waiting = wait_for("a reason", lambda: (item := condition(get(harness, "routed"))).get("reason") == "RoutePending" and item, 30)
    assert "gateway_routes" in waiting["message"]
    take_route(harness, "routed", "api")
    take_route(harness, "routed-konnectivity", "konnectivity-server")
    wait_for("settled", lambda: settled(get(harness, "routed")), 30)
    status = get(harness, "routed")["status"]
    assert status["kubernetesResources"]["gateway"]["accessPoints"] == [{"type": "Hostname", "value": "https://t.example.com:6443", "port": 6443}]
    assert status["addons"]["konnectivity"]["gateway"]["accessPoints"] == [{"type": "Hostname", "value": "https://t.example.com:8132", "port": 8132}]
    assert status["addons"]["konnectivity"]["gateway"]["routeRef"] == {"name": "routed-konnectivity"}

    listeners[0]["port"] = 443
    patch(harness, "gateway", "edge", {"spec": {"listeners": listeners}})
    wait_for("the listener's new port", lambda: get(harness, "routed")["status"]["kubernetesResources"]["gateway"]["accessPoints"][0]["port"] == 443, 20)

    patch_spec(harness, "routed", controlPlane={"gateway": None})
    wait_for("routes gone", lambda: json.loads(harness.kubectl("get", "tlsroutes", "-n", "default", "-o", "json"))["items"] == [], 20)
    status = wait_for("status", lambda: (item := get(harness, "routed")["status"]) and "gateway" not in item["kubernetesResources"] and item, 20)
    assert "gateway" not in status["addons"]["konnectivity"]
    harness.kubectl("delete", "tcp", "routed", "--timeout=30s")


def test_the_role_is_enough_for_gateways():
    """The kinds of the test above are in the ClusterRole that the manifests give."""
    text = (ROOT / "manifests/operator/20-rbac.yaml").read_text()
    assert "resources: [gateways]" in text and "resources: [tlsroutes]" in text
