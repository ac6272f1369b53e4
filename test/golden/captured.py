# SPDX-License-Identifier: Apache-2.0
"""The data captured from upstream (reference/) and how ours is compared with it: for the tests here, which render without a cluster, and for
test/e2e/test_golden.py and test_admission.py, which ask a real API server. What may differ is named in this file and nowhere else."""
from __future__ import annotations

import copy
import json
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REFERENCE = HERE / "reference"
CASES = sorted(path.stem for path in (REFERENCE / "inputs").glob("*.yaml"))
ADMISSION_ANSWERS = 71

# --- objects ------------------------------------------------------------------------------------------------------------

# What differs on purpose, and where: everything else must be equal.
DIFFERENCES = {
    "key algorithm": "new keys are ECDSA P-256; --key-algorithm=RSA-2048 gives upstream's (compared as such in test/golden)",
    "conditions": "status.conditions is our optional addition",
    "certificate of the data store's CA": "made by the test, not by upstream",
    "observedGeneration 2": "upstream's finalizer write raises the generation; ours is a patch",
    "deployment.observedGeneration": "upstream rewrites the Deployment while it settles",
    "empty objects in spec": "upstream's finalizer write stores what the user left out as {}",
    "datastore-certificate without TLS": "ours is labelled and owned, upstream's leaks",
    "PostgreSQL: status": "there is no driver yet, so the pass ends at the store; what comes before and the pod template are compared",
    "metadata: label of the selector": "upstream cannot create that Deployment; we refuse the label at creation and ignore it later",
}


def find_tool() -> str:
    """KAMAJI_RENDER_TOOL, else the newest one built with the unit tests."""
    if "KAMAJI_RENDER_TOOL" in os.environ:
        return os.environ["KAMAJI_RENDER_TOOL"]
    found = sorted(ROOT.glob("build*/test/unit/controlplane/render_tool"), key=lambda path: path.stat().st_mtime)
    assert found, "render_tool is not built: build the unit tests first (make test does)"
    return str(found[-1])


class Render:
    """The step table without a cluster; also reads YAML and describes Secrets."""

    def __init__(self, tool: str | None = None):
        self.tool = tool or find_tool()

    def run(self, text: str, *arguments: str) -> list[dict]:
        process = subprocess.run([self.tool, *arguments], input=text.encode(), capture_output=True, check=False)
        if process.returncode:
            raise AssertionError(f"{self.tool} {' '.join(arguments)}: {process.stderr.decode()}")
        return [json.loads(line) for line in process.stdout.decode().splitlines()]

    def parse(self, path: pathlib.Path) -> list[dict]:
        return [document for document in self.run(path.read_text(), "--parse") if document]

    def describe(self, documents: list[dict]) -> list[dict]:
        """Keys, certificates, kubeconfigs, checksums and times as descriptions."""
        return self.run(stream(documents), "--parse", "--describe")


def stream(documents: list[dict]) -> str:
    return "\n---\n".join(json.dumps(document) for document in documents)


def named(documents: list[dict]) -> dict[tuple[str, str], dict]:
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def compare(wanted, golden, path: str, problems: list[str], defaults: dict) -> None:
    """Ours against the captured one, which may hold `defaults` (member: values that may stand there, or None for any)."""
    if isinstance(wanted, dict) and isinstance(golden, dict):
        for name in wanted.keys() | golden.keys():
            if name not in golden:
                if wanted[name] not in ({}, [], ""):
                    problems.append(f"{path}.{name}: ours alone: {json.dumps(wanted[name])[:120]}")
            elif name not in wanted:
                allowed = defaults.get(name, False)
                if allowed is False or (allowed is not None and golden[name] not in allowed):
                    problems.append(f"{path}.{name}: missing, upstream has {json.dumps(golden[name])[:120]}")
            else:
                compare(wanted[name], golden[name], f"{path}.{name}", problems, defaults)
    elif isinstance(wanted, list) and isinstance(golden, list) and len(wanted) == len(golden):
        for number, (ours, theirs) in enumerate(zip(wanted, golden)):
            compare(ours, theirs, f"{path}[{number}]", problems, defaults)
    elif wanted != golden:
        problems.append(f"{path}: {json.dumps(wanted)[:160]}, upstream has {json.dumps(golden)[:160]}")


def bare(value):
    """Without the empty objects that upstream writes into spec."""
    if isinstance(value, dict):
        return {name: bare(member) for name, member in value.items() if bare(member) not in ({}, None)}
    return [bare(member) for member in value] if isinstance(value, list) else value


def blank_store_authority(case: str, *sides: dict[tuple[str, str], dict]) -> None:
    for side in sides:
        secret = side.get(("Secret", f"{case}-datastore-certificate"))
        if secret and "ca.crt" in secret.get("data", {}):
            secret["data"]["ca.crt"] = "<the data store's CA>"
            secret["data"]["server.crt"]["certificate"]["issuer"] = "<the data store's CA>"


# --- admission ----------------------------------------------------------------------------------------------------------

# Accepted by upstream, refused by us at creation or at the update that brings it in, with the field that says so.
REFUSED = {
    "version 'v1.36.0+k3s1'": "spec.kubernetes.version",
    "schema with odd characters": "spec.dataStoreSchema",
    "port 0": "spec.networkProfile.port",
    "port -1": "spec.networkProfile.port",
    "port 70000": "spec.networkProfile.port",
    "nodeport without address": "spec.networkProfile.address",
    "networkProfile.address abc": "spec.networkProfile.address",
    "networkProfile.serviceCidrs ['10.96.0.0/16', '10.97.0.0/16']": "spec.networkProfile.serviceCidrs",
    "service and pod cidr overlap": "spec.networkProfile.podCidrs",
    "ingress without hostname": "spec.controlPlane.ingress.hostname",
    "gateway without hostname": "spec.controlPlane.gateway.hostname",
    "konnectivity port": "spec.addons.konnectivity.server.port",
    "json patch no slash": "spec.kubernetes.kubelet.configurationJSONPatches",
    "bad strategy": "spec.controlPlane.deployment.strategy.type",
    # Upstream checks the object as it was before, so the new value passes and every later update is refused.
    "dns ip outside": "spec.networkProfile.dnsServiceIPs",
}
# The same, which can only be seen with the API server at hand: what is named does not exist or is of the wrong kind.
REFUSED_WITH_SERVER = {
    "override sql datastore": "spec.dataStoreOverrides",
    "datastore to other driver": "spec.dataStore",
    "service cidr changed": "is not contained in any configured service CIDR",
    # Told in upstream's words, which name no field.
    "dns ip outside": "is not contained in any configured service CIDR",
}
# Refused by upstream with an internal error: the patch of its own webhook has no parent to go to.
ACCEPTED = {"no deployment"}
# The same, where it hides what the schema says.
OTHER_WORDS = {"no controlPlane": "spec.controlPlane: Required value"}
# The schema or its rules (CEL) refuse, which the API server checks whatever a webhook says.
SCHEMA = "is invalid:"


def change(spec: dict, changes: dict) -> dict:
    """`changes` names members with dots; "__del__" takes one away."""
    result = copy.deepcopy(spec)
    for path, value in changes.items():
        node, names = result, path.split(".")
        for name in names[:-1]:
            node = node.setdefault(name, {})
        if value == "__del__":
            node.pop(names[-1], None)
        else:
            node[names[-1]] = value
    return result


def admission_answers(render: Render) -> list[dict]:
    """case, operation, spec_changes or first and patch, answer ("accepted", "refused"), message."""
    return render.parse(REFERENCE / "admission.yaml")[0]


def base_spec(render: Render) -> dict:
    """What the admission answers change."""
    return render.parse(REFERENCE / "inputs" / "minimal.yaml")[0]["spec"]


def is_as_captured(case: dict, found: str | None) -> bool:
    """A real API server's answer (None: accepted) against the captured one."""
    name, message = case["case"], case["message"] or ""
    refused = {**REFUSED, **REFUSED_WITH_SERVER}
    if name in refused and case["answer"] == "accepted":
        return found is not None and refused[name] in found
    if name in ACCEPTED:
        return found is None
    if name in OTHER_WORDS:
        return found is not None and OTHER_WORDS[name] in found
    if case["answer"] == "accepted":
        return found is None
    if "admission webhook" in message:
        return found is not None and message[message.index("admission webhook"):] in found
    return found is not None and SCHEMA in found and message.split("Invalid value: ")[-1].strip()[:60] in found
