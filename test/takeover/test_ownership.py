# SPDX-License-Identifier: Apache-2.0
"""Removals and strangers: what upstream wrote and nobody wants any more disappears, what others added stays."""
import json

import pytest

from manager_process import Manager, wait_for

UPSTREAM = "kamaji-go"  # as the frozen installation's records name it
STRANGER = "mesh-injector"
ARGS = "/spec/template/spec/containers/0/args/-"


def patch(installation, kind: str, name: str, manager: str, document, how: str = "strategic") -> None:
    installation.kubectl("patch", kind, name, "-n", "default", f"--type={how}", f"--field-manager={manager}", "-p", json.dumps(document))


def pod(item: dict) -> dict:
    return item["spec"]["template"]["spec"]


def names(items: list[dict]) -> list[str]:
    return [item["name"] for item in items]


@pytest.fixture(scope="module")
def adopted(installation):
    """Upstream never takes away what once was in additionalContainers, additionalVolumes, additionalMetadata or
    loadBalancerSourceRanges. Here it wrote all of them for `plain`, whose spec does not have them."""
    installation.kubectl("patch", "tenantcontrolplane", "plain", "-n", "default", "--type=merge", "-p", json.dumps(
        {"spec": {"controlPlane": {"service": {"serviceType": "LoadBalancer"}}, "networkProfile": {"address": "10.96.77.77"}}}))
    patch(installation, "service", "plain", UPSTREAM, {
        "metadata": {"labels": {"left": "over"}, "annotations": {"left": "over"}},
        "spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"], "externalIPs": ["192.0.2.7"]}})
    patch(installation, "deployment", "plain", UPSTREAM, {
        "metadata": {"labels": {"left": "over"}},
        "spec": {"template": {"metadata": {"annotations": {"left": "over"}}, "spec": {
            "containers": [{"name": "left-over", "image": "registry.k8s.io/pause:3.10"}],
            "volumes": [{"name": "left-over", "emptyDir": {}}]}}}})
    patch(installation, "deployment", "plain", STRANGER, {
        "metadata": {"annotations": {"mesh": "on"}},
        "spec": {"template": {"metadata": {"annotations": {"mesh": "on"}}, "spec": {
            "containers": [{"name": "mesh", "image": "registry.k8s.io/pause:3.10"}],
            "volumes": [{"name": "mesh", "emptyDir": {}}]}}}})
    patch(installation, "service", "plain", STRANGER, {"metadata": {"annotations": {"mesh": "on"}}})
    at = names(pod(installation.objects()["Deployment/plain"])["containers"]).index("kube-apiserver")
    patch(installation, "deployment", "plain", STRANGER, [
        {"op": "add", "path": ARGS.replace("/0/", f"/{at}/"), "value": "--event-ttl=2h"}], "json")
    manager = Manager(installation).start()
    wait_for("ownership of the Deployment", lambda: any(
        record["manager"] == "kamaji" for record in installation.objects()["Deployment/plain"]["metadata"]["managedFields"]), 40)
    yield installation.objects()
    assert manager.stop() == 0


def test_left_overs_disappear(adopted) -> None:
    deployment, service = adopted["Deployment/plain"], adopted["Service/plain"]
    assert "left-over" not in names(pod(deployment)["containers"]) + names(pod(deployment)["volumes"])
    assert "left" not in deployment["metadata"]["labels"]
    assert "left" not in deployment["spec"]["template"]["metadata"]["annotations"]
    assert "left" not in service["metadata"]["labels"] and "left" not in service["metadata"].get("annotations", {})
    assert service["spec"]["type"] == "LoadBalancer"
    assert "loadBalancerSourceRanges" not in service["spec"] and "externalIPs" not in service["spec"]


def test_strangers_stay(adopted) -> None:
    deployment, service = adopted["Deployment/plain"], adopted["Service/plain"]
    assert "mesh" in names(pod(deployment)["containers"]) and "mesh" in names(pod(deployment)["volumes"])
    assert deployment["metadata"]["annotations"]["mesh"] == service["metadata"]["annotations"]["mesh"] == "on"
    assert deployment["spec"]["template"]["metadata"]["annotations"]["mesh"] == "on"
    arguments = next(item for item in pod(deployment)["containers"] if item["name"] == "kube-apiserver")["args"]
    assert "--event-ttl=2h" in arguments


def test_removed_from_the_spec(installation, adopted) -> None:
    """A flag and a pod label that upstream set from the spec of `extras`: taken out of the spec, they are gone."""
    tenant = installation.get("tenantcontrolplane", "extras", "default")
    labels = tenant["spec"]["controlPlane"]["deployment"]["podAdditionalMetadata"]["labels"]
    flags = tenant["spec"]["controlPlane"]["deployment"]["extraArgs"]["apiServer"]
    before = installation.objects()["Deployment/extras"]
    assert labels.items() <= before["spec"]["template"]["metadata"]["labels"].items()
    patch(installation, "tenantcontrolplane", "extras", "someone", [
        {"op": "remove", "path": "/spec/controlPlane/deployment/podAdditionalMetadata/labels"},
        {"op": "remove", "path": "/spec/controlPlane/deployment/extraArgs"}], "json")

    def gone() -> bool:
        deployment = installation.objects()["Deployment/extras"]
        arguments = next(item for item in pod(deployment)["containers"] if item["name"] == "kube-apiserver")["args"]
        return not set(labels) & set(deployment["spec"]["template"]["metadata"]["labels"]) and not set(flags) & set(arguments)

    wait_for("label and flag are gone", gone, 20)
    # Nothing asked for another profile: what upstream rendered is rendered again.
    assert "template-profile" not in json.dumps(installation.objects()["Deployment/extras"]["metadata"]["annotations"])
