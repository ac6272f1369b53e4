# SPDX-License-Identifier: Apache-2.0
"""Says in a node's place which pods of a tenant are ready, on an admin cluster without nodes: what the real Deployment and ReplicaSet
controllers make of it is what the operator sees. The whole path with a kubelet is in test_cluster.py."""
from __future__ import annotations

import json

from manager_process import wait_for

READY = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}


def pods(harness, name: str, namespace: str = "default") -> list[dict]:
    return [pod for pod in harness.get("pods", "", namespace)["items"]
            if pod["metadata"].get("labels", {}).get("kamaji.clastix.io/name") == name and not pod["metadata"].get("deletionTimestamp")]


def is_ready(pod: dict) -> bool:
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"].get("conditions", []))


def make_ready(harness, name: str, count: int, namespace: str = "default") -> None:
    """Waits for as many pods that are not ready yet, and makes them ready."""
    waiting = wait_for(f"{count} new pods of {name}", lambda: (found := [pod for pod in pods(harness, name, namespace) if not is_ready(pod)])
                       and len(found) >= count and found, 30)
    for pod in waiting[:count]:
        harness.api.call("PATCH", f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/status", READY, "application/merge-patch+json")


def describe(harness, name: str) -> str:
    return json.dumps([(pod["metadata"]["name"], is_ready(pod)) for pod in pods(harness, name)])
