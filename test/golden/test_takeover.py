# SPDX-License-Identifier: Apache-2.0
"""Four tenants as upstream left them, running (reference/takeover.json.xz: every object with its Secrets; the keys were made for this and
protect nothing). One pass over each must want to change nothing, so that a switch-over restarts no pod and touches no Secret."""
import json
import lzma

import pytest

TENANTS = ["plain", "extras", "kine", "asleep-konnectivity"]
# An hour after the capture: certificates end, and the test must not.
NOW = "2026-11-21T00:30:00Z"

# What is written all the same, once: upstream leaves this Secret without labels and owner, so that it would outlive its tenant.
WRITTEN = {"kine": {("Secret", "kine-datastore-certificate")}}


@pytest.fixture(scope="module")
def captured(reference) -> list[dict]:
    return json.loads(lzma.decompress((reference / "takeover.json.xz").read_bytes()))


def of_tenant(captured: list[dict], tenant: str) -> list[dict]:
    return [item for item in captured
            if item["kind"] == "DataStore" or item["metadata"]["namespace"] == "kamaji-system"
            or item["metadata"]["name"] == tenant or item["metadata"]["name"].startswith(f"{tenant}-")]


def run(render, objects: list[dict], *arguments: str) -> list[dict]:
    return render.run("\n---\n".join(json.dumps(item) for item in objects), "--changes", "--now", NOW, *arguments)


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("profile", ["native", "upstream"])
def test_nothing_changes(render, captured, tenant: str, profile: str) -> None:
    """Whatever the default profile is: a Deployment that is found keeps its own."""
    objects = of_tenant(captured, tenant)
    stored = next(item for item in objects if item["kind"] == "TenantControlPlane")["status"]
    result, *changes = run(render, objects, "--profile", profile)
    assert "blocked" not in result
    status = result["status"]
    assert {condition["type"] for condition in status.pop("conditions")} == {"Ready", "Available"}
    assert status == stored
    assert {(change["kind"], change["metadata"]["name"]) for change in changes} == WRITTEN.get(tenant, set())
    for change in changes:
        live = next(item for item in objects if item["kind"] == "Secret" and item["metadata"]["name"] == change["metadata"]["name"])
        assert change["data"] == live.get("data", {})
        assert change["metadata"]["annotations"] == live["metadata"]["annotations"]


def test_a_change_would_be_seen(render, captured) -> None:
    objects = json.loads(json.dumps(of_tenant(captured, "plain")))
    for item in objects:
        if item["kind"] == "TenantControlPlane":
            item["spec"]["kubernetes"]["version"] = "v1.36.4"
    changes = {(change["kind"], change["metadata"]["name"]) for change in run(render, objects)[1:]}
    assert changes == {("Deployment", "plain"), ("ConfigMap", "plain-kubeadmconfig")}


def test_certificates_are_renewed_in_time(render, captured) -> None:
    """Past the leaf certificates' end less a day everything signed for a year is made anew; authorities and tokens stay."""
    objects = of_tenant(captured, "plain")
    text = "\n---\n".join(json.dumps(item) for item in objects)
    changes = {change["metadata"]["name"] for change in render.run(text, "--changes", "--now", "2027-11-20T12:00:00Z")[1:]}
    assert changes == {"plain", "plain-api-server-certificate", "plain-api-server-kubelet-client-certificate",
                       "plain-front-proxy-client-certificate", "plain-admin-kubeconfig", "plain-controller-manager-kubeconfig",
                       "plain-scheduler-kubeconfig"}
