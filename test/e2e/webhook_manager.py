# SPDX-License-Identifier: Apache-2.0
"""The operator with its admission webhooks on, called by a real API server at a URL of this machine."""
from __future__ import annotations

from captured import Render
from harness import ROOT, free_ports
from manager_process import Manager, wait_for

LIFETIME_SECONDS = 60


def webhook_objects() -> list[dict]:
    """The two configurations; the Service beside them is of no use outside of a cluster."""
    return [item for item in Render().parse(ROOT / "manifests/operator/50-webhooks.yaml") if item["kind"] != "Service"]


def start_manager(harness, name: str = "manager", *flags: str) -> Manager:
    (port,) = free_ports(1)
    running = Manager(harness, name=name, flags=[f"--webhook-bind-address=127.0.0.1:{port}", f"--webhook-url=https://127.0.0.1:{port}",
                                                 f"--webhook-certificate-lifetime={LIFETIME_SECONDS}s", *flags])
    running.webhook_port = port
    return running.start()


def install_webhooks(harness, running: Manager) -> Manager:
    harness.apply(*webhook_objects())
    wait_for("authority published", lambda: all(bundles(harness)) and len(set(bundles(harness))) == 1, 20)
    return running


def configurations(harness) -> list[dict]:
    api = "/apis/admissionregistration.k8s.io/v1"
    return [harness.api.call("GET", f"{api}/mutatingwebhookconfigurations/kamaji-mutating-webhook-configuration"),
            harness.api.call("GET", f"{api}/validatingwebhookconfigurations/kamaji-validating-webhook-configuration")]


def bundles(harness) -> list[str]:
    """Whom API servers trust: of every webhook and of the conversion."""
    found = [hook["clientConfig"].get("caBundle", "") for item in configurations(harness) for hook in item["webhooks"]]
    crd = harness.api.call("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tenantcontrolplanes.kamaji.clastix.io")
    return found + [crd["spec"]["conversion"]["webhook"]["clientConfig"].get("caBundle", "")]
