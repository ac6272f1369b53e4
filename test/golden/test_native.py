# SPDX-License-Identifier: Apache-2.0
"""The Deployments of profile `native`, against reviewed files. After a wanted change: KAMAJI_GOLDEN_UPDATE=1 pytest test/golden, and review."""
import json
import os
import pathlib

import pytest
from captured import stream

NATIVE = pathlib.Path(__file__).resolve().parent / "native"
CASES = ["minimal", "extra-args", "konnectivity", "postgres", "security", "resources-probes"]


def deployment(render, reference, data_stores, case: str, profile: str) -> dict:
    source = render.parse(reference / "inputs" / f"{case}.yaml")[0]
    source["metadata"]["uid"] = "<uid>"
    text = "\n---\n".join(json.dumps(document) for document in [source, *data_stores])
    found = [document for document in render.run(text, "--profile", profile, "--describe") if document.get("kind") == "Deployment"]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("case", CASES)
def test_native_profile(render, reference, data_stores, case: str) -> None:
    rendered = deployment(render, reference, data_stores, case, "native")
    path = NATIVE / f"{case}.json"
    if os.environ.get("KAMAJI_GOLDEN_UPDATE"):
        NATIVE.mkdir(exist_ok=True)
        path.write_text(json.dumps(rendered, indent=1, sort_keys=True) + "\n")
    assert rendered == json.loads(path.read_text())


def changed(ours, theirs, path: str = "") -> set[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {name for member in ours.keys() | theirs.keys()
                for name in changed(ours.get(member), theirs.get(member), f"{path}.{member}")}
    if isinstance(ours, list) and isinstance(theirs, list):
        keyed = [{item["name"]: item for item in side if isinstance(item, dict) and "name" in item} for side in (ours, theirs)]
        if len(keyed[0]) == len(ours) and len(keyed[1]) == len(theirs):
            return changed(keyed[0], keyed[1], path)
    return set() if ours == theirs else {path}


def test_profiles_differ_only_as_designed(render, reference, data_stores) -> None:
    native, upstream = (deployment(render, reference, data_stores, "minimal", profile) for profile in ("native", "upstream"))
    pod = ".spec.template.spec"
    containers = [f"{pod}.containers.{name}" for name in ("kube-apiserver", "kube-scheduler", "kube-controller-manager")]
    probes = {f"{container}.{probe}.{number}" for container in containers for probe in ("livenessProbe", "readinessProbe", "startupProbe")
              for number in ("periodSeconds", "timeoutSeconds", "failureThreshold")}
    volumes = {f"{pod}.volumes.{name}.secret.items" for name in
               ("etc-ca-certificates", "usr-share-ca-certificates", "usr-local-share-ca-certificates")}
    designed = probes | volumes | {f"{container}.{member}" for container in containers for member in ("imagePullPolicy", "securityContext")} | {
        ".metadata.annotations", f"{pod}.automountServiceAccountToken", f"{pod}.enableServiceLinks", f"{pod}.containers.kube-apiserver.args",
        f"{pod}.containers.kube-apiserver.startupProbe.httpGet.path", f"{pod}.containers.kube-controller-manager.volumeMounts",
        f"{pod}.containers.kube-controller-manager.volumeMounts.etc-kubernetes-pki",
        f"{pod}.containers.kube-controller-manager.volumeMounts.controller-manager-pki",
        f"{pod}.volumes.controller-manager-pki", f"{pod}.volumes.etc-kubernetes-pki.projected.sources"}
    assert changed(native, upstream) <= designed
    assert f"{pod}.volumes.etc-kubernetes-pki.projected.sources" in changed(native, upstream)
    extra = set(native["spec"]["template"]["spec"]["containers"][0]["args"]) - set(upstream["spec"]["template"]["spec"]["containers"][0]["args"])
    assert extra == {"--shutdown-delay-duration=5s"}


@pytest.mark.parametrize("profile, image", [("upstream", "rancher/kine:old"), ("native", "rancher/kine:v0.11.10-amd64")])
def test_a_new_kine_image_is_for_profile_native(render, reference, data_stores, profile: str, image: str) -> None:
    """Upstream writes it once; what was made with that profile keeps what it runs."""
    live = deployment(render, reference, data_stores, "postgres", profile)
    kine = next(item for item in live["spec"]["template"]["spec"]["containers"] if item["name"] == "kine")
    kine["image"] = "rancher/kine:old"
    source = render.parse(reference / "inputs" / "postgres.yaml")[0]
    source["metadata"]["uid"] = "<uid>"
    found = render.run(stream([source, live, *data_stores]), "--profile", profile)
    containers = next(item for item in found if item.get("kind") == "Deployment")["spec"]["template"]["spec"]["containers"]
    assert [item["image"] for item in containers if item["name"] == "kine"] == [image]
