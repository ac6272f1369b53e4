# SPDX-License-Identifier: Apache-2.0
"""What the operator's manifests promise, without a cluster: `kubectl apply -k` and `kamaji local` install the same files."""
import pathlib

import pytest

OPERATOR = pathlib.Path(__file__).resolve().parent.parent.parent / "manifests" / "operator"


@pytest.fixture(scope="module")
def objects(render) -> dict[tuple[str, str], dict]:
    (kustomization,) = render.parse(OPERATOR / "kustomization.yaml")
    files = sorted(path.name for path in OPERATOR.glob("*.yaml") if path.name != "kustomization.yaml")
    assert kustomization["resources"] == files, "kustomization.yaml names every file, in order"
    return {(item["kind"], item["metadata"]["name"]): item for name in files for item in render.parse(OPERATOR / name)}


@pytest.fixture(scope="module")
def pod(objects) -> dict:
    return objects["Deployment", "kamaji"]["spec"]["template"]["spec"]


def test_a_lost_node_costs_half_a_minute(pod) -> None:
    """Without these two, admission adds the same with 300 s; without tolerationSeconds the pod would stay there for ever."""
    wanted = [{"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
              for key in ("not-ready", "unreachable")]
    assert pod["tolerations"] == wanted


def test_two_at_once_are_kept_apart(objects, pod) -> None:
    """The one that is made anew may meet one that still runs: the Lease is not turned off, and may be written."""
    (container,) = pod["containers"]
    assert not [argument for argument in container["args"] if argument.startswith("--leader-elect")]
    rules = objects["Role", "kamaji-leader-election-role"]["rules"]
    assert any(rule["resources"] == ["leases"] and "update" in rule["verbs"] and rule["resourceNames"] == ["kamaji.clastix.io"] for rule in rules)


def test_a_stop_may_end(pod) -> None:
    """A rollout has no pause when the Lease is given up: the operator waits 20 s for work under way, 5 s more
    once that is cut off, and 3 s for the Lease."""
    assert pod["terminationGracePeriodSeconds"] >= 20 + 5 + 3
