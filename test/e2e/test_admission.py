# SPDX-License-Identifier: Apache-2.0
"""Admission on a real API server: upstream's captured answers with our webhooks, certificates that change under load, and what still speaks
when the webhooks do not."""
import base64
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time

import pytest
from captured import ADMISSION_ANSWERS, Render, admission_answers, base_spec, change, is_as_captured
from harness import HERE, component, tenant
from manager_process import Manager, wait_for
from webhook_manager import bundles, install_webhooks, start_manager, webhook_objects

GATEWAY_API = HERE.parent / "golden" / "gateway-api.yaml"
PATH = "/apis/kamaji.clastix.io/v1alpha1/namespaces/golden/tenantcontrolplanes"


def merge_patch(changes: dict) -> dict:
    return change({}, {path: None if value == "__del__" else value for path, value in changes.items()})


def postgres() -> list[dict]:
    """A DataStore that nothing answers for: admission only looks at its driver."""
    credential = {"content": "cm9vdA=="}
    return [{"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": "pg"},
             "spec": {"driver": "PostgreSQL", "endpoints": ["127.0.0.1:9"], "basicAuth": {"username": credential, "password": credential}}}]


@pytest.fixture(scope="module")
def webhooks(harness):
    harness.kubectl("apply", "-f", str(GATEWAY_API))  # it was there where the answers were captured
    wait_for("Gateway API served", lambda: harness.kubectl("get", "tlsroutes", "-A") is not None, 20)
    harness.apply(*harness.datastore(), *harness.datastore("default2")[1:], *postgres(),
                  {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "golden"}})
    running = install_webhooks(harness, start_manager(harness))
    wait_for("DataStore ready", lambda: harness.get("datastore", "default").get("status", {}).get("ready"), 30)
    yield running
    running.assert_alive()
    assert running.stop() == 0


@pytest.fixture(scope="module")
def render() -> Render:
    return Render()


@pytest.fixture(scope="module")
def base(render) -> dict:
    return base_spec(render)


def answer(harness, method: str, path: str, body: dict, content_type: str = "application/json") -> str | None:
    try:
        harness.api.call(method, f"{path}?dryRun=All&fieldManager=observer", body, content_type)
        return None
    except OSError as error:
        return str(error)


def stored(harness, base: dict, first: dict, names: dict) -> str:
    """A tenant that was made from `first`; cases that begin alike share one."""
    key = json.dumps(first, sort_keys=True)
    if key not in names:
        names[key] = f"stored{len(names)}"
        harness.api.call("POST", PATH, {**tenant(names[key], "golden"), "spec": change(base, {
            **first, "dataStoreSchema": f"golden_{names[key]}", "dataStoreUsername": f"golden_{names[key]}"})})
        if not first:
            wait_for("its data is in a store", lambda: harness.get("tenantcontrolplane", names[key], "golden")["status"]["storage"]["dataStoreName"], 20)
    return names[key]


def test_captured_answers(harness, webhooks, render, base):
    cases, names, wrong = admission_answers(render), {}, []
    assert len(cases) == ADMISSION_ANSWERS
    for case in cases:
        if case["operation"] == "CREATE":
            found = answer(harness, "POST", PATH, {**tenant("adm", "golden"), "spec": change(base, case["spec_changes"])})
        else:
            name = stored(harness, base, case["first"], names)
            found = answer(harness, "PATCH", f"{PATH}/{name}", {"spec": merge_patch(case["patch"])}, "application/merge-patch+json")
        if not is_as_captured(case, found):
            wrong.append(f"{case['operation']} {case['case']}: captured {case['message'] or 'accepted'}; found {found or 'accepted'}")
    assert not wrong, "\n".join(wrong)


def test_defaults(harness, webhooks, base):
    """What the webhook fills, and the schema's defaults inside what it creates."""
    def created(changes):
        return harness.api.call("POST", f"{PATH}?dryRun=All", {**tenant("adm", "golden"), "spec": change(base, changes)})["spec"]

    spec = created({"dataStore": "__del__", "networkProfile": {}, "controlPlane.deployment": "__del__"})
    assert spec["dataStore"] == "default"
    assert spec["controlPlane"]["deployment"]["replicas"] == 2
    assert spec["controlPlane"]["deployment"]["registrySettings"]["registry"] == "registry.k8s.io"
    network = spec["networkProfile"]
    assert network["serviceCidrs"] == ["10.96.0.0/16"] and network["podCidrs"] == ["10.244.0.0/16"]
    assert network["dnsServiceIPs"] == ["10.96.0.10"] and network["port"] == 6443
    network = created({"networkProfile": {"serviceCidrs": ["10.112.0.0/16", "fd00:112::/112"], "podCidrs": ["10.113.0.0/16"]}})["networkProfile"]
    assert network["dnsServiceIPs"] == ["10.112.0.10", "fd00:112::10"]


def test_a_wrong_object_can_be_mended(harness, webhooks, base):
    """Stored while no webhook looked: other changes pass with a warning, the mending passes, and so does removing it."""
    items = webhook_objects()
    for item in items:
        harness.kubectl("delete", item["kind"], item["metadata"]["name"])
    name = "wrong"
    wait_for("stored without webhooks", lambda: harness.api.call("POST", PATH, {**tenant(name, "golden"), "spec": change(
        base, {"networkProfile": {"port": 6443, "serviceCidrs": ["10.96.0.0/16"], "dnsServiceIPs": ["10.1.1.1"]}})}), 10)
    reason = wait_for("reconcile speaks", lambda: next(
        c for c in harness.get("tenantcontrolplane", name, "golden")["status"]["conditions"] if c["type"] == "Ready"), 20)
    assert reason["status"] == "False" and reason["reason"] == "InvalidSpec" and "dnsServiceIPs" in reason["message"], reason
    harness.kubectl("wait", "--for=condition=Ready=False", f"tcp/{name}", "-n", "golden", "--timeout=5s")
    events = wait_for("event", lambda: [e for e in harness.get("event", "", "golden")["items"] if e["involvedObject"]["name"] == name], 10)
    assert any("dnsServiceIPs" in event["message"] for event in events)

    harness.apply(*items)
    wait_for("authority published again", lambda: all(bundles(harness)) and len(set(bundles(harness))) == 1, 20)
    bad = {"spec": {"networkProfile": {"dnsServiceIPs": ["10.2.2.2"]}}}
    wait_for("webhooks asked again", lambda: "10.2.2.2" in (answer(harness, "PATCH", f"{PATH}/{name}", bad, "application/merge-patch+json") or ""), 10)
    said = run_kubectl(harness, "patch", "tcp", name, "-n", "golden", "--type=merge", "-p", '{"spec":{"networkProfile":{"port":7443}}}')
    assert "Warning" in said and "10.1.1.1" in said
    harness.kubectl("label", "tcp", name, "-n", "golden", "a=b")
    harness.kubectl("patch", "tcp", name, "-n", "golden", "--type=merge", "-p", '{"spec":{"networkProfile":{"dnsServiceIPs":["10.96.0.10"]}}}')
    harness.kubectl("delete", "tcp", name, "-n", "golden", "--timeout=30s")


def run_kubectl(harness, *arguments: str) -> str:
    """Standard error as well: warnings go there."""
    done = subprocess.run([component("kubectl"), "--kubeconfig", str(harness.folder / "observer.kubeconfig"), *arguments],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_deployment_is_tried(harness, webhooks, base):
    """Additional containers and volumes are the user's free text: the API server judges the Deployment before the tenant is stored."""
    name = "tried"
    harness.api.call("POST", PATH, {**tenant(name, "golden"), "spec": change(base, {"dataStoreSchema": "tried", "dataStoreUsername": "tried"})})
    wait_for("Deployment", lambda: harness.get("deployment", name, "golden"), 20)

    def add(container):
        patch = {"spec": {"controlPlane": {"deployment": {"additionalContainers": [container]}}}}
        return answer(harness, "PATCH", f"{PATH}/{name}", patch, "application/merge-patch+json")

    assert add({"name": "side", "image": "example.org/side:1"}) is None
    refused = add({"name": "side", "image": "example.org/side:1", "volumeMounts": [{"name": "nowhere", "mountPath": "/x"}]})
    assert refused and "resulting Deployment would be invalid" in refused and "nowhere" in refused, refused
    # Two that upstream's own suite asks for.
    own = add({"name": "kube-apiserver", "image": "example.org/side:1"})
    assert own and "additionalContainers" in own and "kube-apiserver" in own, own
    twice = {"additionalVolumes": [{"name": "extra", "emptyDir": {}}],
             "additionalVolumeMounts": {"apiServer": [{"name": "extra", "mountPath": "/etc/kubernetes/pki"}]}}
    refused = answer(harness, "PATCH", f"{PATH}/{name}", {"spec": {"controlPlane": {"deployment": twice}}}, "application/merge-patch+json")
    assert refused and "/etc/kubernetes/pki" in refused, refused
    harness.kubectl("delete", "tcp", name, "-n", "golden", "--timeout=30s")


class Load:
    """Requests through the API server, and handshakes checked against the authority that the configurations name at that moment."""

    def __init__(self, harness, manager, base):
        self.harness, self.manager, self.base = harness, manager, base
        self.stop, self.errors, self.requests, self.certificates = threading.Event(), [], 0, set()
        self.threads = [threading.Thread(target=each) for each in (self.ask, self.ask, self.shake)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def ask(self):
        while not self.stop.is_set():
            found = answer(self.harness, "POST", PATH, {**tenant("load", "golden"), "spec": self.base})
            self.requests += 1
            if found:
                self.errors.append(found)
            time.sleep(0.05)

    def shake(self):
        while not self.stop.is_set():
            try:
                context = ssl.create_default_context(cadata=base64.b64decode(bundles(self.harness)[0]).decode())
                context.set_alpn_protocols(["h2", "http/1.1"])
                with socket.create_connection(("127.0.0.1", self.manager.webhook_port), 5) as plain:
                    with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                        assert secure.selected_alpn_protocol() == "http/1.1"
                        self.certificates.add(secure.getpeercert()["serialNumber"])
            except OSError as error:
                self.errors.append(f"handshake: {error}")
            time.sleep(0.2)


def test_certificates_change_under_load(harness, webhooks, base):
    """A new authority and a certificate of it, after somebody deleted the Secret: no request is lost."""
    before = bundles(harness)[0]
    with Load(harness, webhooks, base) as load:
        time.sleep(1)
        harness.kubectl("delete", "secret", "kamaji-webhook-server-cert", "-n", "kamaji-system")
        wait_for("new authority published", lambda: bundles(harness)[0] != before and len(set(bundles(harness))) == 1, 10)
        wait_for("another certificate", lambda: len(load.certificates) >= 2, 30, pause=0.5)
        wait_for("a hundred requests", lambda: load.requests > 100, 60)
        time.sleep(2)
    print(f"\n{load.requests} requests, {len(load.certificates)} certificates")
    assert load.requests > 100 and not load.errors, load.errors[:3]


def test_the_paths_of_tenants(harness, webhooks):
    """What tenants' API servers ask: always denied, CONNECT excepted."""
    context = ssl.create_default_context(cadata=base64.b64decode(bundles(harness)[0]).decode())
    connection = http.client.HTTPSConnection("127.0.0.1", webhooks.webhook_port, context=context, timeout=5)

    def ask(path, operation, kind="AdmissionReview", group="admission.k8s.io/v1", **request):
        body = json.dumps({"apiVersion": group, "kind": kind, "request": {"uid": "u1", "operation": operation, **request}})
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        return json.loads(text)["response"] if reply.status == 200 else reply.status

    for path in ("/migrate", "/write-permission"):
        refused = ask(path, "UPDATE", object={}, oldObject={})
        assert not refused["allowed"] and refused["uid"] == "u1" and refused["status"]["code"] == 403
        assert ask(path, "CONNECT")["allowed"]
    assert ask("/telemetry", "DELETE")["allowed"]
    assert ask("/nowhere", "CREATE") == 404
    converted = ask("/convert", "", "ConversionReview", "apiextensions.k8s.io/v1", desiredAPIVersion="kamaji.clastix.io/v1alpha1",
                    objects=[{"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "TenantControlPlane"}])
    assert converted["result"]["status"] == "Success" and len(converted["convertedObjects"]) == 1


def test_the_api_server_asks_for_a_conversion(harness, webhooks, base):
    """With a second version in the CRD the API server has to convert: our endpoint is asked, and says that there is but one version. Without it
    the stanza is never used."""
    crd_path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tenantcontrolplanes.kamaji.clastix.io"
    harness.api.call("POST", PATH, {**tenant("versions", "golden"), "spec": change(base, {
        "dataStoreSchema": "golden_versions", "dataStoreUsername": "golden_versions"})})
    one = harness.api.call("GET", crd_path)["spec"]["versions"][0]
    two = {**one, "name": "v1alpha2", "storage": False, "served": True}
    harness.api.call("PATCH", crd_path, {"spec": {"versions": [one, two]}}, "application/merge-patch+json")

    def refused() -> str:
        try:
            harness.api.call("GET", f"{PATH.replace('v1alpha1', 'v1alpha2')}/versions")
        except OSError as error:
            return str(error)
        return ""

    try:
        text = wait_for("an answer of the endpoint", lambda: (found := refused()) and "is not known" in found and found, 30)
        assert "there is kamaji.clastix.io/v1alpha1 only" in text, text
        assert harness.api.call("GET", f"{PATH}/versions")["metadata"]["name"] == "versions"
    finally:
        harness.api.call("PATCH", crd_path, {"spec": {"versions": [one]}}, "application/merge-patch+json")
    wait_for("one version again", lambda: "404" in refused(), 20)
    harness.kubectl("delete", "tcp", "versions", "-n", "golden", "--timeout=30s")


def test_metrics_of_webhooks(webhooks):
    text = webhooks.metrics()
    assert 'controller_runtime_webhook_requests_total{webhook="/validate-kamaji-clastix-io-v1alpha1-tenantcontrolplane",code="200"}' in text
