# SPDX-License-Identifier: Apache-2.0
"""What the READMEs tell to type for a cluster of one's own, typed: on a real API server, with the operator beside it."""
import json
import re

import pytest
from harness import ROOT, Harness, HarnessError, tenant
from manager_process import Manager, wait_for

INSTALLS, REMOVES = re.compile(r"^ *kubectl (apply .*-k \S+)", re.MULTILINE), re.compile(r"^ *kubectl (delete .*)$", re.MULTILINE)


def commands(document: str, pattern: re.Pattern) -> list[list[str]]:
    found = [line.split() for line in pattern.findall((ROOT / document).read_text())]
    assert found, f"{document} tells no command like {pattern.pattern}"
    # The folders are given from the top of the tree.
    return [[str(ROOT / word) if word.startswith("manifests") else word for word in line] for line in found]


def ours(harness: Harness) -> list[str]:
    kinds = "crd,namespaces,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations"
    return [name for name in harness.kubectl("get", kinds, "-o", "name").split() if "kamaji" in name]


def everything_gone(harness: Harness) -> bool:
    return ours(harness) == []


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    with Harness(tmp_path_factory.mktemp("install")).up() as running:
        yield running


@pytest.mark.parametrize("document", ["README.md", "manifests/README.md"])
def test_install_as_written(harness, document):
    for command in commands(document, INSTALLS):
        harness.kubectl(*command)
    found = ours(harness)
    assert sum("customresourcedefinition" in name for name in found) == 3 and "namespace/kamaji-system" in found, found
    assert harness.kubectl("-n", "kamaji-system", "get", "deployment", "kamaji", "-o", "name").strip() == "deployment.apps/kamaji"


def test_the_pod_leaves_a_lost_node_early(harness):
    """What admission makes of the Deployment's template: it adds its 300 s only where nothing is said."""
    template = harness.get("deployment", "kamaji", "kamaji-system")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": "kamaji-system"}, "spec": template["spec"]}
    made = json.loads(harness.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod)))
    limits = {item["key"]: item["tolerationSeconds"] for item in made["spec"]["tolerations"] if item["effect"] == "NoExecute"}
    assert limits == {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 30}


def test_removal_as_written(harness):
    """With a tenant and its store in use; the order told leaves nothing, and the store of a tenant is not lost before it."""
    # No pod runs here: the operator is outside and nothing would answer for its webhooks.
    harness.kubectl("delete", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "--all")
    harness.apply(*harness.datastore(), tenant("last"))
    manager = Manager(harness).start()
    wait_for("tenant in its store", lambda: harness.get("datastore", "default").get("status", {}).get("usedBy"), 30)
    for command in commands("README.md", REMOVES):
        if "manifests/operator" in command[-1]:
            assert manager.stop() == 0
            # What went with the webhooks above is no reason to stop.
            command = [*command, "--ignore-not-found"]
        # The API server ends a definition by its own queue, which backs off while that kind's cache is not filled yet.
        harness.kubectl(*command, "--timeout=180s")
    wait_for("nothing of ours is left", lambda: everything_gone(harness), 30)


def test_samples_are_what_the_server_takes(harness):
    """Every sample, with the kinds installed, as a server-side dry run with unknown fields refused."""
    harness.install_crds(str(ROOT / "manifests" / "crds"))
    harness.kubectl("create", "namespace", "kamaji-system")
    for sample in sorted((ROOT / "manifests" / "samples").glob("*.yaml")):
        try:
            harness.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(sample))
        except HarnessError as error:
            raise AssertionError(f"{sample.name}: {error}") from None
