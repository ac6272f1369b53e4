# SPDX-License-Identifier: Apache-2.0
"""The k8s/ tree as kustomize sees it."""
from __future__ import annotations

import functools
import json
import pathlib
import subprocess

from harness import component

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
K8S = ROOT / "k8s"
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))
CLOUD = ["production", "staging", "staging-aks", "staging-eks"]


@functools.cache
def kustomize_unchanged(folder: pathlib.Path) -> tuple[int, str, str]:
    """For folders of the tree itself, which no test writes to."""
    return kustomize(folder)


def kustomize(folder: pathlib.Path | str) -> tuple[int, str, str]:
    done = subprocess.run([component("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def objects_of(text: str) -> list[dict]:
    """YAML to objects: kubectl reads it, and needs no server for that."""
    done = subprocess.run([component("kubectl"), "annotate", "--local", "-f", "-", "staging/read=yes", "-o", "json"], input=text,
                          capture_output=True, text=True, timeout=60, check=True)
    decoder, items, at = json.JSONDecoder(), [], 0
    while at < len(done.stdout):
        item, at = decoder.raw_decode(done.stdout, at)
        item["metadata"]["annotations"].pop("staging/read")
        items.append(item)
        while at < len(done.stdout) and done.stdout[at].isspace():
            at += 1
    return items


@functools.cache
def rendered(where: str) -> list[dict]:
    """Objects of a folder below k8s/: "base", "overlays/local"."""
    code, out, errors = kustomize_unchanged(K8S / where)
    assert code == 0 and not errors, f"{where}: {errors}"
    return objects_of(out)


def find(where: str, kind: str, name: str) -> dict:
    found = [item for item in rendered(where) if item["kind"] == kind and item["metadata"]["name"] == name]
    assert len(found) == 1, f"{where}: {len(found)} of {kind} {name}"
    return found[0]


def workloads(where: str) -> dict[str, dict]:
    return {item["metadata"]["name"]: item for item in rendered(where) if item["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")}


def container(workload: dict) -> dict:
    containers = workload["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 1
    return containers[0]
