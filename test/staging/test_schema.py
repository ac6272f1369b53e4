# SPDX-License-Identifier: Apache-2.0
"""What a real API server says of the manifests: its schemas through kubeconform, and its own admission by server-side apply."""
import json
import pathlib
import re
import subprocess
import tempfile

import pytest

import schemas
from api_server import gateway_definitions, kubeconform
from harness import component, run
from render import K8S, OVERLAYS, kustomize_unchanged, rendered

FOLDERS = ["base", *(f"overlays/{name}" for name in OVERLAYS), *(f"ingress/{path.parent.name}" for path in sorted(K8S.glob("ingress/*/kustomization.yaml")))]


@pytest.fixture(scope="module")
def server(api_server):
    """With the namespaces, and the CRDs of Gateway API when they can be had."""
    namespaces = [item for where in ("base", "ingress/traefik") for item in rendered(where) if item["kind"] == "Namespace"]
    api_server.apply(*namespaces)
    folder = gateway_definitions()
    if folder:
        run([component("kubectl"), "--kubeconfig", api_server.kubeconfig, "apply", "--server-side", "-f", str(folder)])
        run([component("kubectl"), "--kubeconfig", api_server.kubeconfig, "wait", "--for=condition=Established", "--timeout=30s",
             "crd/httproutes.gateway.networking.k8s.io", "crd/gateways.gateway.networking.k8s.io", "crd/gatewayclasses.gateway.networking.k8s.io"])
    api_server.has_gateways = folder is not None
    return api_server


@pytest.fixture(scope="module")
def schema_folder(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemas")
    openapi = json.loads(server.kubectl("get", "--raw=/openapi/v2"))
    assert schemas.write(openapi, folder) > 200
    return folder


def check(folder, **texts: str) -> list[dict]:
    """What kubeconform says of each object: filename, kind, name, status, msg. One run for all, because reading the schemas takes most of it."""
    with tempfile.TemporaryDirectory() as inputs:
        for name, text in texts.items():
            pathlib.Path(inputs, f"{name}.yaml").write_text(text)
        location = f"{folder}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
        done = subprocess.run([kubeconform(), "-strict", "-verbose", "-output", "json", "-n", "2", "-schema-location", location, inputs], capture_output=True,
                              text=True, timeout=120, check=False)
    objects = json.loads(done.stdout)["resources"]
    assert (done.returncode == 0) == all(item["status"] == "statusValid" for item in objects)
    return [{**item, "filename": pathlib.Path(item["filename"]).stem} for item in objects]


@pytest.fixture(scope="module")
def reports(schema_folder):
    return check(schema_folder, **{folder.replace("/", "__"): kustomize_unchanged(K8S / folder)[1] for folder in FOLDERS})


def skip_without_gateways(server, folder):
    if "gateway" in folder and not server.has_gateways:
        pytest.skip("the CRDs of Gateway API lie in a Go module, and there is no Go toolchain to fetch it")


@pytest.mark.parametrize("folder", FOLDERS)
def test_kubeconform_strict(folder, server, reports):
    skip_without_gateways(server, folder)
    mine = [item for item in reports if item["filename"] == folder.replace("/", "__")]
    assert not [(item["kind"], item["name"], item["msg"]) for item in mine if item["status"] != "statusValid"]
    assert len(mine) == kustomize_unchanged(K8S / folder)[1].count("\nkind: ")


MISTAKES = {
    "misspelled": ("periodSeconds", "periodSecond", "additional properties 'periodSecond'"),
    "wrong_type": ("storage: 10Gi", "storage: true", "storage"),
    "missing": (None, None, "selector"),
    "unknown_kind": ("kind: StatefulSet", "kind: StatefulSets", "could not find schema"),
    "no_number": ("replicas: 1", "replicas: one", "replicas"),
}


def test_kubeconform_finds_mistakes(schema_folder):
    """The schemas are worth something: a misspelled field, a wrong type, a missing field, an unknown kind."""
    text = kustomize_unchanged(K8S / "base")[1]
    texts = {name: text.replace(find, replace) for name, (find, replace, _) in MISTAKES.items() if name != "missing"}
    texts["missing"] = re.sub(r"(?m)^  selector:\n    matchLabels:\n      .*\n", "", text)
    found = check(schema_folder, **texts)
    for name, (_, _, word) in MISTAKES.items():
        messages = [item["msg"] for item in found if item["filename"] == name and item["status"] != "statusValid"]
        assert texts[name] != text and any(word in message for message in messages), f"{name}: {messages}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_api_server_takes_it_without_a_warning(folder, server):
    """Server-side apply with strict fields under restricted Pod Security: a pod that would be refused later gives a warning now."""
    skip_without_gateways(server, folder)
    text = kustomize_unchanged(K8S / folder)[1]
    code, out, errors = server.apply_strictly(text, "--dry-run=server")
    assert (code, errors) == (0, "")
    assert len(out.splitlines()) == text.count("\nkind: ")


def test_client_side_dry_run_of_base(server):
    """S-80, as the text has it; it asks a server for its types."""
    out = server.kubectl("apply", "--dry-run=client", "-k", str(K8S / "base"))
    assert len(out.splitlines()) == kustomize_unchanged(K8S / "base")[1].count("\nkind: ") and "(dry run)" in out


def test_security_violation_is_seen(server):
    """The check above sees what restricted Pod Security would refuse."""
    text = kustomize_unchanged(K8S / "base")[1]
    _, _, errors = server.apply_strictly(text.replace("runAsNonRoot: true", "runAsNonRoot: false"), "--dry-run=server")
    assert "would violate PodSecurity" in errors


def test_examples_of_the_readme(server, schema_folder):
    """Every manifest that the README shows is one that the server takes, under restricted Pod Security."""
    examples = [text for text in re.findall(r"```yaml\n(.*?)```", (K8S / "README.md").read_text(), re.DOTALL) if "apiVersion:" in text]
    kinds = []
    for text in examples:
        if "kustomize.config.k8s.io" in text:
            continue
        code, out, errors = server.apply_strictly(text, "--dry-run=server")
        assert (code, errors) == (0, ""), text
        assert all(item["status"] == "statusValid" for item in check(schema_folder, example=text)), text
        kinds += re.findall(r"(?m)^kind: (\w+)", text)
    assert kinds.count("Deployment") >= 3 and kinds.count("Ingress") >= 3 and kinds.count("Service") >= 3
