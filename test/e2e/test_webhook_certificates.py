# SPDX-License-Identifier: Apache-2.0
"""Serving certificates that somebody else makes: as cert-manager writes them into the Secret, and as files that the kubelet mounts from it."""
import base64
import json
import os
import ssl

import pytest
from captured import Render, base_spec
from harness import Pki, tenant
from manager_process import wait_for
from webhook_manager import bundles, configurations, start_manager, webhook_objects

SECRET = "kamaji-webhook-server-cert"
PATH = "/apis/kamaji.clastix.io/v1alpha1/namespaces/default/tenantcontrolplanes"
SANS = "IP:127.0.0.1,DNS:kamaji-webhook-service.kamaji-system.svc"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory) -> Pki:
    pki = Pki(tmp_path_factory.mktemp("cert-manager"))
    pki.authority("selfsigned")
    return pki


def certificate_secret(issuer: Pki, name: str) -> dict:
    """What cert-manager v1 writes for a Certificate: three keys, its annotations and label."""
    issuer.leaf(name, "selfsigned", "/CN=kamaji-serving-cert", SANS)
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {
        "name": SECRET, "namespace": "kamaji-system", "labels": {"controller.cert-manager.io/fao": "true"},
        "annotations": {"cert-manager.io/certificate-name": "kamaji-serving-cert", "cert-manager.io/issuer-kind": "Issuer",
                        "cert-manager.io/issuer-name": "kamaji-selfsigned-issuer"}},
        "data": {"ca.crt": issuer.base64("selfsigned.crt"), "tls.crt": issuer.base64(f"{name}.crt"), "tls.key": issuer.base64(f"{name}.key")}}


def served(port: int) -> str:
    """The certificate that is served, as PEM; whoever signed it."""
    return ssl.get_server_certificate(("127.0.0.1", port))


def pem(issuer: Pki, name: str) -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(issuer.text(f"{name}.crt")))


@pytest.fixture(scope="module")
def from_secret(harness, issuer):
    harness.apply(*harness.datastore(), certificate_secret(issuer, "first"))
    running = start_manager(harness)
    harness.apply(*webhook_objects())
    wait_for("DataStore ready", lambda: harness.get("datastore", "default").get("status", {}).get("ready"), 30)
    yield running
    running.assert_alive()
    assert running.stop() == 0


def ask(harness, changes: dict | None = None) -> str | None:
    body = tenant("asked")
    body["spec"] = {**base_spec(Render()), **(changes or {})}
    try:
        harness.api.call("POST", f"{PATH}?dryRun=All", body)
        return None
    except OSError as error:
        return str(error)


def test_cert_managers_secret_is_served_and_left_alone(harness, issuer, from_secret):
    """Its authority is published where nobody else does it; the Secret keeps every byte."""
    def trusted() -> set[str]:
        return {hook["clientConfig"].get("caBundle", "") for item in configurations(harness) for hook in item["webhooks"]}

    wait_for("its authority", lambda: trusted() == {issuer.base64("selfsigned.crt")}, 20)
    assert bundles(harness)[-1] == "", "the CRD carries cert-manager's annotation, as upstream's does"
    assert served(from_secret.webhook_port) == pem(issuer, "first")
    wait_for("the webhooks to answer", lambda: ask(harness) is None, 10)
    assert "networkProfile.port" in (ask(harness, {"networkProfile": {"port": 70000}}) or "")
    secret = harness.get("secret", SECRET, "kamaji-system")
    assert secret["data"] == certificate_data(issuer, "first") and "kamaji.clastix.io/webhook-certificate" not in secret["metadata"]["annotations"]


def certificate_data(issuer: Pki, name: str) -> dict:
    return {"ca.crt": issuer.base64("selfsigned.crt"), "tls.crt": issuer.base64(f"{name}.crt"), "tls.key": issuer.base64(f"{name}.key")}


def test_a_renewed_secret_is_served_at_once(harness, issuer, from_secret):
    harness.apply(certificate_secret(issuer, "second"))
    wait_for("the new certificate", lambda: served(from_secret.webhook_port) == pem(issuer, "second"), 10)
    assert ask(harness) is None


def test_what_cert_manager_injects_into_is_left_to_it(harness, issuer, from_secret):
    """With its annotation a configuration is cert-manager's to keep: what it writes there stays."""
    kind = "validatingwebhookconfiguration"
    name = "kamaji-validating-webhook-configuration"
    other = base64.b64encode((issuer.text("selfsigned.crt") + "\n").encode()).decode()
    harness.kubectl("annotate", kind, name, "cert-manager.io/inject-ca-from=kamaji-system/kamaji-serving-cert")
    harness.kubectl("patch", kind, name, "--type=json", "-p", json.dumps(
        [{"op": "replace", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": other} for number in range(2)]))
    harness.kubectl("patch", "mutatingwebhookconfiguration", "kamaji-mutating-webhook-configuration", "--type=json", "-p", json.dumps(
        [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]))
    wait_for("ours again where nobody injects", lambda: configurations(harness)[0]["webhooks"][0]["clientConfig"].get("caBundle")
             == issuer.base64("selfsigned.crt"), 10)
    assert {hook["clientConfig"]["caBundle"] for hook in configurations(harness)[1]["webhooks"]} == {other}
    assert ask(harness) is None


def test_files_come_first(harness, issuer, from_secret, tmp_path):
    """tls.crt and tls.key in --webhook-cert-dir, by default where upstream's chart mounts that Secret; read again when they change."""
    def write(name: str) -> None:
        for file, source in (("tls.crt", f"{name}.crt"), ("tls.key", f"{name}.key")):
            path = tmp_path / (file + ".new")
            path.touch(mode=0o600)
            path.write_bytes(issuer.folder.joinpath(source).read_bytes())
            os.replace(path, tmp_path / file)

    issuer.leaf("mounted", "selfsigned", "/CN=kamaji-serving-cert", SANS)
    issuer.leaf("mounted-again", "selfsigned", "/CN=kamaji-serving-cert", SANS)
    write("mounted")
    second = start_manager(harness, "with-files", f"--webhook-cert-dir={tmp_path}", "--leader-elect=false")
    try:
        assert served(second.webhook_port) == pem(issuer, "mounted")
        write("mounted-again")
        wait_for("the new file", lambda: served(second.webhook_port) == pem(issuer, "mounted-again"), 20)
    finally:
        assert second.stop() == 0


def test_a_broken_certificate_is_told_and_the_good_one_stays(harness, issuer, from_secret):
    broken = certificate_secret(issuer, "third")
    broken["data"]["tls.key"] = issuer.base64("first.key")
    harness.apply(broken)
    wait_for("a word", lambda: "serving certificate cannot be kept" in from_secret.log_text(), 10)
    assert served(from_secret.webhook_port) == pem(issuer, "second")
    harness.apply(certificate_secret(issuer, "third"))
    wait_for("the mended one", lambda: served(from_secret.webhook_port) == pem(issuer, "third"), 10)
